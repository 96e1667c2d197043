/* Plain functions for languages without C's designated initializers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/plain.h>

#include <math.h>
#include <string.h>

#include <strata/context.h>

#include "base/context.h"
#include "mesh/process.h"

enum { MOST_WORDS = 32, MOST_TEXT = 1024 };

/* "--mesh=cols=2 --seed=3" as the arguments of a program. */
typedef struct words {
    char text[MOST_TEXT]; /* each word ends with a NUL */
    char *list[MOST_WORDS + 1];
    int count;
} words;

/* false: there are too many. Words behind the last one that fits are left out. */
static bool split(const char *text, words *w)
{
    *w = (words){.list = {w->text}, .count = 1}; /* the name of the program, which is empty */
    size_t length = strlen(text);
    if (length + 2 > sizeof w->text)
        return false;
    memcpy(w->text + 1, text, length);
    char *rest;
    for (char *word = strtok_r(w->text + 1, " \t\n", &rest); word;
         word = strtok_r(NULL, " \t\n", &rest)) {
        if (w->count == MOST_WORDS)
            return false;
        w->list[w->count++] = word;
    }
    return true;
}

strata_context *strata_plain_init(MPI_Fint comm, const char *text)
{
    words w;
    char **list = w.list;
    bool fits = split(text ? text : "", &w);
    strata_options options = strata_options_from(&w.count, &list);
    strata_context *ctx = strata_init(strata__mpi_comm(comm), options);
    if (ctx && !fits)
        strata__fail(ctx, STRATA_INVALID, "more than %d options", MOST_WORDS - 1);
    else if (ctx && w.count > 1)
        strata__fail(ctx, STRATA_INVALID, "option '%s' is unknown", w.list[1]);
    return ctx;
}

strata_status strata_plain_compile(strata_model *model, const char *optimizer, const char *loss,
                                   const char *metric)
{
    return strata_compile(model, .optimizer = optimizer, .loss = loss, .metrics = {metric});
}

strata_dataset *strata_plain_local_dataset(strata_context *ctx, int64_t samples, int64_t features,
                                           const float *x, int64_t targets, const float *y)
{
    strata_array_options arrays = {
        .x = {{.data = x, .shape = STRATA_SHAPE(samples, features), .dtype = STRATA_FLOAT32}}};
    if (targets > 0)
        arrays.y[0] = (strata_array){
            .data = y, .shape = STRATA_SHAPE(samples, targets), .dtype = STRATA_FLOAT32};
    return strata_local_dataset_from(ctx, &arrays);
}

double strata_plain_fit(strata_model *model, strata_dataset *data, int64_t batch_size, int epochs)
{
    const strata_history *history =
        strata_fit(model, data, .batch_size = batch_size, .epochs = epochs, .verbose = "0");
    const double *losses = history ? strata_history_get(history, "loss") : NULL;
    return losses && history->epochs > 0 ? losses[history->epochs - 1] : NAN;
}

static double loss_of(const strata_logs *logs)
{
    return logs ? strata_logs_get(logs, "loss") : NAN;
}

double strata_plain_train_on_batch(strata_model *model, strata_dataset *data)
{
    return loss_of(strata_train_on_batch(model, data));
}

double strata_plain_evaluate(strata_model *model, strata_dataset *data, int64_t batch_size)
{
    return loss_of(strata_evaluate(model, data, .batch_size = batch_size, .verbose = "0"));
}
