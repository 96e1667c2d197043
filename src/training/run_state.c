/* The state of a run beside its arrays. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/run_state.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "training/callback.h"
#include "training/history.h"

static json_t *real(double value)
{
    return strata__json_real(value);
}

static int64_t whole(const json_t *state, const char *key)
{
    return json_integer_value(json_object_get(state, key));
}

/* --- metric sums --- */

/* Σ and weight of every metric, one after the other; `sums` NULL: only counts them. */
typedef struct sums {
    int count;
    double *values; /* [2 · metrics] */
    bool puts;      /* values go into the metrics, not out of them */
} sums;

static void exchange(sums *s, double *total, double *count)
{
    double *pair = s->values ? s->values + 2 * (size_t)s->count : NULL;
    s->count++;
    if (!pair)
        return;
    if (s->puts) {
        *total = pair[0];
        *count = pair[1];
    } else {
        pair[0] = *total;
        pair[1] = *count;
    }
}

static void exchange_layer(void *user, strata_layer *layer)
{
    for (int i = 0; i < layer->metrics.count; i++) {
        strata__layer_metric *metric = layer->metrics.items[i];
        exchange(user, &metric->total, &metric->count);
    }
}

static int exchange_sums(strata__trainer *trainer, double *values, bool puts)
{
    sums s = {.values = values, .puts = puts};
    for (int i = 0; i < trainer->log_count; i++)
        exchange(&s, &trainer->logged[i]->total, &trainer->logged[i]->count);
    strata__layer_walk(trainer->model->layer, exchange_layer, &s);
    return 2 * s.count;
}

static json_t *rows_json(const double *values, int rows, int columns)
{
    json_t *list = json_array();
    for (int r = 0; r < rows; r++) {
        json_t *row = json_array();
        for (int c = 0; c < columns; c++)
            json_array_append_new(row, real(values[r * columns + c]));
        json_array_append_new(list, row);
    }
    return list;
}

/* Each rank's own, so that a run on the same mesh goes on to the last bit. */
static json_t *sums_json(strata__trainer *trainer)
{
    strata_context *ctx = trainer->model->ctx;
    const strata__mesh *mesh = ctx->mesh;
    int columns = exchange_sums(trainer, NULL, false);
    double *values = strata__calloc(ctx, (size_t)mesh->size * (size_t)columns, sizeof *values);
    if (strata__agree(ctx) != STRATA_OK) {
        strata__free(ctx, values);
        return NULL;
    }
    exchange_sums(trainer, values + (size_t)mesh->rank * (size_t)columns, false);
    strata__sum(ctx, STRATA__WORLD, values, (int64_t)mesh->size * columns, STRATA_FLOAT64);
    json_t *list = rows_json(values, mesh->size, columns);
    strata__free(ctx, values);
    return list;
}

/* A row of `columns` numbers is added to `values`. */
static bool add_row(const json_t *row, int columns, double *values)
{
    bool fits = json_array_size(row) == (size_t)columns;
    for (int c = 0; fits && c < columns; c++) {
        double value;
        fits = strata__json_number(json_array_get(row, (size_t)c), &value);
        values[c] += fits ? value : 0;
    }
    return fits;
}

/* On another mesh the first rank of each column goes on with the sums of all. */
static bool add_rows(const strata_context *ctx, const json_t *state, int columns, double *values)
{
    const json_t *rows = json_object_get(state, "sums");
    if (strata__run_state_same_mesh(ctx, state))
        return add_row(json_array_get(rows, (size_t)ctx->mesh->rank), columns, values);
    size_t step = (size_t)json_integer_value(json_array_get(json_object_get(state, "mesh"), 2));
    bool fits = json_array_size(rows) > 0;
    for (size_t r = 0; fits && r < json_array_size(rows); r += step) {
        if (ctx->mesh->groups[STRATA__BATCH].rank == 0)
            fits = add_row(json_array_get(rows, r), columns, values);
    }
    return fits;
}

static strata_status take_sums(strata__trainer *trainer, const json_t *state)
{
    strata_context *ctx = trainer->model->ctx;
    int columns = exchange_sums(trainer, NULL, false);
    double *values = strata__calloc(ctx, (size_t)columns, sizeof *values);
    if (!values)
        return STRATA_NO_MEMORY;
    bool fits = add_rows(ctx, state, columns, values);
    if (fits)
        exchange_sums(trainer, values, true);
    strata__free(ctx, values);
    return fits ? STRATA_OK
                : strata__fail(ctx, STRATA_INVALID,
                               "the checkpoint stands within an epoch and has sums of other "
                               "metrics than model '%s' is compiled with",
                               trainer->model->layer->name);
}

/* --- history --- */

static json_t *history_json(const strata__history *history)
{
    json_t *names = json_array(), *values = json_array();
    for (int i = 0; history && i < history->shown.count; i++) {
        json_t *list = json_array();
        for (int epoch = 0; epoch < history->shown.epochs; epoch++)
            json_array_append_new(list, real(history->values[i][epoch]));
        json_array_append_new(names, json_string(history->names[i]));
        json_array_append_new(values, list);
    }
    return json_pack("{s:o, s:o}", "names", names, "values", values);
}

static double history_value(const json_t *values, size_t name, size_t epoch)
{
    double value;
    const json_t *json = json_array_get(json_array_get(values, name), epoch);
    return strata__json_number(json, &value) ? value : NAN;
}

static strata_status take_epochs(strata__trainer *trainer, const json_t *values, strata_logs *logs,
                                 double *room)
{
    size_t epochs = json_array_size(json_array_get(values, 0));
    for (size_t epoch = 0; epoch < epochs; epoch++) {
        for (int i = 0; i < logs->count; i++)
            room[i] = history_value(values, (size_t)i, epoch);
        STRATA_TRY(strata__history_add(trainer->model->ctx, trainer->history, logs));
    }
    return STRATA_OK;
}

static strata_status take_history(strata__trainer *trainer, const json_t *history)
{
    strata_context *ctx = trainer->model->ctx;
    const json_t *names = json_object_get(history, "names");
    size_t count = json_array_size(names);
    const char **list = strata__alloc(ctx, count * sizeof *list);
    double *values = strata__alloc(ctx, count * sizeof *values);
    strata_status status = list && values ? STRATA_OK : STRATA_NO_MEMORY;
    for (size_t i = 0; status == STRATA_OK && i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        list[i] = name ? name : "";
    }
    strata_logs logs = {.count = (int)count, .names = list, .values = values};
    if (status == STRATA_OK)
        status = take_epochs(trainer, json_object_get(history, "values"), &logs, values);
    strata__free(ctx, list);
    strata__free(ctx, values);
    return status;
}

/* --- callbacks --- */

strata__kept_weights *strata__kept_of(const strata__hooks *hooks, int index)
{
    const strata__callback_methods *methods = strata__callback_methods_of(hooks->callbacks[index]);
    return methods && methods->kept ? methods->kept(hooks->callbacks[index]) : NULL;
}

static json_t *callbacks_json(const strata__hooks *hooks)
{
    json_t *list = json_array();
    for (int i = 0; hooks && i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        const strata__callback_methods *methods = strata__callback_methods_of(callback);
        const strata__kept_weights *kept = strata__kept_of(hooks, i);
        json_t *state = methods && methods->save ? methods->save(callback) : json_null();
        json_array_append_new(list, json_pack("{s:s?, s:o, s:b}", "name", callback->name, "state",
                                              state, "kept", kept && kept->count > 0));
    }
    return list;
}

static void move_kept(strata_context *ctx, strata__kept_weights *from, strata__kept_weights *to)
{
    if (!to)
        return;
    strata__kept_weights_free(ctx, to);
    *to = *from;
    *from = (strata__kept_weights){0};
}

static strata_status take_callback(const strata__trainer *trainer, const strata__hooks *hooks,
                                   int index, const json_t *saved, strata__kept_weights *kept)
{
    strata_callback *callback = hooks->callbacks[index];
    const strata__callback_methods *methods = strata__callback_methods_of(callback);
    move_kept(trainer->model->ctx, kept, strata__kept_of(hooks, index));
    return methods->restore(callback, trainer->model, json_object_get(saved, "state"));
}

/* The next callback from `index` on that can take up a state, or hooks->count. */
static int next_taker(const strata__hooks *hooks, int index, const char *name)
{
    for (; index < hooks->count; index++) {
        const strata_callback *callback = hooks->callbacks[index];
        const strata__callback_methods *methods = strata__callback_methods_of(callback);
        if (methods && methods->restore && strcmp(callback->name, name) == 0)
            return index;
    }
    return hooks->count;
}

/* Callbacks find their state by their class, in order; the program may have added others since. */
static strata_status take_callbacks(const strata__trainer *trainer, const strata__hooks *hooks)
{
    const json_t *list = json_object_get(trainer->resume->state, "callbacks");
    size_t size = json_array_size(list);
    int taker = 0;
    for (size_t i = 0; i < size && i < STRATA_MAX_CALLBACKS; i++) {
        const json_t *saved = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(saved, "name"));
        int next = name && json_is_object(json_object_get(saved, "state"))
                       ? next_taker(hooks, taker, name)
                       : hooks->count;
        if (next == hooks->count)
            continue;
        STRATA_TRY(take_callback(trainer, hooks, next, saved, &trainer->resume->kept[i]));
        taker = next + 1;
    }
    return STRATA_OK;
}

/* --- all of it --- */

json_t *strata__run_state(strata__trainer *trainer)
{
    strata_context *ctx = trainer->model->ctx;
    const strata__mesh *mesh = ctx->mesh;
    const strata__optimizer *optimizer = trainer->optimizer;
    json_t *sums = trainer->step > 0 ? sums_json(trainer) : json_null();
    return json_pack(
        "{s:s, s:[i, i, i], s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "model",
        trainer->model->layer->name, "mesh", mesh->data, mesh->rows, mesh->cols, "seed",
        (json_int_t)ctx->seed, "global_step", (json_int_t)ctx->step, "iteration",
        (json_int_t)optimizer->iteration, "learning_rate", real(optimizer->learning_rate), "epoch",
        (json_int_t)trainer->epoch, "step", (json_int_t)trainer->step, "samples",
        (json_int_t)trainer->samples, "batch_size", (json_int_t)trainer->batch_size, "stopped",
        trainer->stop, "sums", sums, "history", history_json(trainer->history), "callbacks",
        callbacks_json(trainer->hooks));
}

strata_status strata__run_state_check(strata_context *ctx, const json_t *state, const char *path)
{
    static const char *const counters[] = {"global_step", "iteration", "epoch",
                                           "step",        "samples",   "batch_size"};
    double rate;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        const json_t *number = json_object_get(state, counters[i]);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return strata__fail(ctx, STRATA_BAD_DATA, "checkpoint '%s': '%s' is no counter", path,
                                counters[i]);
    }
    for (size_t axis = 0; axis < 3; axis++) {
        if (json_integer_value(json_array_get(json_object_get(state, "mesh"), axis)) < 1)
            return strata__fail(ctx, STRATA_BAD_DATA, "checkpoint '%s': 'mesh' is damaged", path);
    }
    if (whole(state, "epoch") >= INT_MAX || !json_is_integer(json_object_get(state, "seed")) ||
        !strata__json_number(json_object_get(state, "learning_rate"), &rate))
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "checkpoint '%s': epoch, seed or learning_rate is damaged", path);
    return STRATA_OK;
}

bool strata__run_state_same_mesh(const strata_context *ctx, const json_t *state)
{
    const json_t *mesh = json_object_get(state, "mesh");
    return json_integer_value(json_array_get(mesh, 0)) == ctx->mesh->data &&
           json_integer_value(json_array_get(mesh, 1)) == ctx->mesh->rows &&
           json_integer_value(json_array_get(mesh, 2)) == ctx->mesh->cols;
}

void strata__run_state_apply(strata__trainer *trainer, const json_t *state)
{
    strata_context *ctx = trainer->model->ctx;
    double rate = 0;
    strata__json_number(json_object_get(state, "learning_rate"), &rate);
    ctx->seed = (uint64_t)whole(state, "seed");
    ctx->step = (uint64_t)whole(state, "global_step");
    trainer->optimizer->iteration = whole(state, "iteration");
    trainer->optimizer->learning_rate = (float)rate;
    trainer->epoch = whole(state, "epoch");
}

static strata_status check_cursor(const strata__trainer *trainer, const json_t *state)
{
    if (whole(state, "step") == 0 || (whole(state, "samples") == trainer->samples &&
                                      whole(state, "batch_size") == trainer->batch_size))
        return STRATA_OK;
    return strata__fail(trainer->model->ctx, STRATA_INVALID,
                        "the checkpoint stands within an epoch of %lld samples in batches of %lld; "
                        "this fit has %lld in batches of %lld",
                        (long long)whole(state, "samples"), (long long)whole(state, "batch_size"),
                        (long long)trainer->samples, (long long)trainer->batch_size);
}

static strata_status take(strata__trainer *trainer, const strata__hooks *hooks)
{
    const json_t *state = trainer->resume->state;
    STRATA_TRY(check_cursor(trainer, state));
    trainer->epoch = whole(state, "epoch");
    trainer->step = whole(state, "step");
    trainer->stop = json_is_true(json_object_get(state, "stopped"));
    if (trainer->step > 0)
        STRATA_TRY(take_sums(trainer, state));
    STRATA_TRY(take_history(trainer, json_object_get(state, "history")));
    return take_callbacks(trainer, hooks);
}

strata_status strata__resume_take(strata__trainer *trainer, const strata__hooks *hooks,
                                  int *first_epoch)
{
    strata_context *ctx = trainer->model->ctx;
    if (!trainer->resume)
        return STRATA_OK;
    take(trainer, hooks);
    strata__resume_free(ctx, trainer->resume);
    trainer->resume = NULL;
    *first_epoch = (int)trainer->epoch;
    return strata__agree(ctx);
}

void strata__resume_free(strata_context *ctx, strata__resume *resume)
{
    if (!resume)
        return;
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++)
        strata__kept_weights_free(ctx, &resume->kept[i]);
    json_decref(resume->state);
    strata__free(ctx, resume);
}
