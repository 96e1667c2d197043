/* Logs of a step and the history of a fit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/history.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"

/* --- logs --- */

int strata__logs_find(const strata_logs *logs, const char *name)
{
    for (int i = 0; logs && i < logs->count; i++) {
        if (strcmp(logs->names[i], name) == 0)
            return i;
    }
    return -1;
}

double strata_logs_get(const strata_logs *logs, const char *name)
{
    int index = strata__logs_find(logs, name);
    return index < 0 ? NAN : logs->values[index];
}

void strata__log_room_free(strata__trainer *trainer)
{
    strata_context *ctx = trainer->model->ctx;
    for (int i = 0; i < trainer->name_room; i++)
        strata__free(ctx, (void *)(uintptr_t)trainer->names[i]);
    strata__free(ctx, trainer->names);
    strata__free(ctx, trainer->values);
    strata__free(ctx, trainer->line_names);
    strata__free(ctx, trainer->line_values);
    trainer->names = trainer->line_names = NULL;
    trainer->values = trainer->line_values = NULL;
    trainer->name_room = 0;
}

/* First half: names of training, second half: the same with "val_". A line has room for all of
 * them, and for a number of each callback. Made anew when a layer has added a metric. */
static strata_status make_room(strata__trainer *trainer, int layer_metrics)
{
    strata_context *ctx = trainer->model->ctx;
    int count = trainer->log_count + layer_metrics;
    if (trainer->name_room == 2 * count)
        return STRATA_OK;
    strata__log_room_free(trainer);
    trainer->names = strata__calloc(ctx, 2 * (size_t)count, sizeof *trainer->names);
    trainer->values = strata__calloc(ctx, 2 * (size_t)count, sizeof *trainer->values);
    size_t line = 2 * (size_t)count + STRATA_MAX_CALLBACKS;
    trainer->line_names = strata__calloc(ctx, line, sizeof *trainer->line_names);
    trainer->line_values = strata__calloc(ctx, line, sizeof *trainer->line_values);
    STRATA_TRY(strata__agree(ctx));
    trainer->name_room = 2 * count;
    for (int i = 0; i < count; i++) {
        const char *name =
            i < trainer->log_count
                ? trainer->logged[i]->name
                : strata_layer_metric_name(trainer->model->layer, i - trainer->log_count);
        trainer->names[i] = strata__strdup(ctx, name);
        trainer->names[count + i] = strata__format(ctx, "val_%s", name);
    }
    return strata__agree(ctx);
}

/* Each column of the mesh has totalled its own copies of the sums; the first one's results hold,
 * since callbacks decide by them. */
strata_logs strata__trainer_logs(strata__trainer *trainer, bool validation)
{
    strata_layer *layer = trainer->model->layer;
    int layer_metrics = strata_layer_metric_count(layer);
    if (make_room(trainer, layer_metrics) != STRATA_OK)
        return (strata_logs){0};
    int count = trainer->log_count + layer_metrics, first = validation ? count : 0;
    strata__metrics_results(trainer->model->ctx, trainer->log_count, trainer->logged,
                            trainer->values + first);
    for (int i = 0; i < layer_metrics; i++)
        trainer->values[first + trainer->log_count + i] = strata_layer_metric_value(layer, i);
    strata__broadcast(trainer->model->ctx, STRATA__COLS, 0, trainer->values + first,
                      count * (int64_t)sizeof(double));
    return (strata_logs){
        .count = count, .names = trainer->names + first, .values = trainer->values + first};
}

void strata__trainer_reset(strata__trainer *trainer)
{
    for (int i = 0; i < trainer->log_count; i++)
        strata__metric_reset(trainer->logged[i]);
    strata_layer_reset_metrics(trainer->model->layer);
}

/* --- the line of an epoch --- */

void strata__line_add(strata__trainer *trainer, const strata_logs *logs)
{
    strata_logs *line = &trainer->line;
    memcpy(trainer->line_names + line->count, logs->names, (size_t)logs->count * sizeof(char *));
    memcpy(trainer->line_values + line->count, logs->values, (size_t)logs->count * sizeof(double));
    line->count += logs->count;
}

void strata__line_begin(strata__trainer *trainer, const strata_logs *logs)
{
    trainer->line = (strata_logs){.names = trainer->line_names, .values = trainer->line_values};
    strata__line_add(trainer, logs);
}

strata_status strata__line_note(strata__trainer *trainer, const char *name, double value)
{
    int index = strata__logs_find(&trainer->line, name);
    if (index >= 0)
        trainer->line_values[index] = value;
    else if (trainer->line.count < trainer->name_room + STRATA_MAX_CALLBACKS)
        strata__line_add(trainer, &(strata_logs){1, &name, &value});
    return strata__history_set(trainer->model->ctx, trainer->history, name, value);
}

/* --- history --- */

strata__history *strata__history_new(strata_context *ctx, int epochs)
{
    strata__history *history = strata__calloc(ctx, 1, sizeof *history);
    if (history)
        history->room_epochs = epochs;
    return history;
}

static bool more_epochs(strata_context *ctx, strata__history *history)
{
    if (history->shown.epochs < history->room_epochs)
        return true;
    int room = history->room_epochs ? 2 * history->room_epochs : 16;
    for (int i = 0; i < history->shown.count; i++) {
        double *values = strata__realloc(ctx, history->values[i], (size_t)room * sizeof *values);
        if (!values)
            return false;
        history->values[i] = values;
    }
    history->room_epochs = room;
    return true;
}

static bool add_name(strata_context *ctx, strata__history *history, const char *name)
{
    int count = history->shown.count;
    if (count == history->room_names) {
        int room = count ? 2 * count : 16;
        char **names = strata__realloc(ctx, history->names, (size_t)room * sizeof *names);
        if (names)
            history->names = names;
        double **values = strata__realloc(ctx, history->values, (size_t)room * sizeof *values);
        if (values)
            history->values = values;
        if (!names || !values)
            return false;
        history->room_names = room;
    }
    history->names[count] = strata__strdup(ctx, name);
    history->values[count] = strata__alloc(ctx, (size_t)history->room_epochs * sizeof(double));
    if (!history->names[count] || !history->values[count])
        return false;
    for (int epoch = 0; epoch < history->shown.epochs; epoch++)
        history->values[count][epoch] = NAN;
    history->shown.count++;
    return true;
}

static int find_name(const strata__history *history, const char *name)
{
    for (int i = 0; i < history->shown.count; i++) {
        if (strcmp(history->names[i], name) == 0)
            return i;
    }
    return -1;
}

static void show(strata__history *history)
{
    history->shown.names = (const char *const *)history->names;
    history->shown.values = (const double *const *)history->values;
}

strata_status strata__history_add(strata_context *ctx, strata__history *history,
                                  const strata_logs *logs)
{
    if (!more_epochs(ctx, history))
        return STRATA_NO_MEMORY;
    for (int i = 0; i < logs->count; i++) {
        if (find_name(history, logs->names[i]) < 0 && !add_name(ctx, history, logs->names[i]))
            return STRATA_NO_MEMORY;
    }
    for (int k = 0; k < history->shown.count; k++)
        history->values[k][history->shown.epochs] = strata_logs_get(logs, history->names[k]);
    history->shown.epochs++;
    show(history);
    return STRATA_OK;
}

strata_status strata__history_set(strata_context *ctx, strata__history *history, const char *name,
                                  double value)
{
    if (find_name(history, name) < 0 && !add_name(ctx, history, name))
        return STRATA_NO_MEMORY;
    history->values[find_name(history, name)][history->shown.epochs - 1] = value;
    show(history);
    return STRATA_OK;
}

void strata__history_free(strata_context *ctx, strata__history *history)
{
    if (!history)
        return;
    for (int i = 0; i < history->shown.count; i++) {
        strata__free(ctx, history->names[i]);
        strata__free(ctx, history->values[i]);
    }
    strata__free(ctx, history->names);
    strata__free(ctx, history->values);
    strata__free(ctx, history);
}

const double *strata_history_get(const strata_history *history, const char *name)
{
    for (int i = 0; history && i < history->count; i++) {
        if (strcmp(history->names[i], name) == 0)
            return history->values[i];
    }
    return NULL;
}
