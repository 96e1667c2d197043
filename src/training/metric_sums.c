/* The sums of all metrics of a model within an epoch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/metric_sums.h"

#include <string.h>

#include "base/memory.h"

/* --- out of the metrics and into them --- */

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

static int exchange_all(strata__trainer *trainer, double *values, bool puts)
{
    sums s = {.values = values, .puts = puts};
    for (int i = 0; i < trainer->log_count; i++)
        exchange(&s, &trainer->logged[i]->total, &trainer->logged[i]->count);
    strata__layer_walk(trainer->model->layer, exchange_layer, &s);
    return 2 * s.count;
}

/* --- set aside --- */

strata_status strata__metric_sums_set_aside(strata__trainer *trainer)
{
    int count = exchange_all(trainer, NULL, false);
    trainer->sums = strata__alloc(trainer->model->ctx, (size_t)count * sizeof *trainer->sums);
    if (!trainer->sums)
        return STRATA_NO_MEMORY;
    exchange_all(trainer, trainer->sums, false);
    return STRATA_OK;
}

void strata__metric_sums_drop(strata__trainer *trainer)
{
    strata__free(trainer->model->ctx, trainer->sums);
    trainer->sums = NULL;
}

/* --- as JSON --- */

static json_t *rows_json(const double *values, int rows, int columns)
{
    json_t *list = json_array();
    for (int r = 0; r < rows; r++) {
        json_t *row = json_array();
        for (int c = 0; c < columns; c++)
            json_array_append_new(row, strata__json_real(values[r * columns + c]));
        json_array_append_new(list, row);
    }
    return list;
}

json_t *strata__metric_sums_json(strata__trainer *trainer)
{
    strata_context *ctx = trainer->model->ctx;
    const strata__mesh *mesh = ctx->mesh;
    int columns = exchange_all(trainer, NULL, false);
    double *values = strata__calloc(ctx, (size_t)mesh->size * (size_t)columns, sizeof *values);
    if (strata__agree(ctx) != STRATA_OK) {
        strata__free(ctx, values);
        return NULL;
    }
    double *own = values + (size_t)mesh->rank * (size_t)columns;
    if (trainer->sums)
        memcpy(own, trainer->sums, (size_t)columns * sizeof *own);
    else
        exchange_all(trainer, own, false);
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

/* Of the ranks of the first column: those of the others have the same. */
static bool add_column(const json_t *rows, int64_t cols, int columns, double *values)
{
    bool fits = json_array_size(rows) > 0 && cols > 0;
    for (size_t r = 0; fits && r < json_array_size(rows); r += (size_t)cols)
        fits = add_row(json_array_get(rows, r), columns, values);
    return fits;
}

strata_status strata__metric_sums_take(strata__trainer *trainer, const json_t *sums, bool same_mesh,
                                       int64_t cols)
{
    strata_context *ctx = trainer->model->ctx;
    bool fits = true;
    int columns = exchange_all(trainer, NULL, false);
    double *values = strata__calloc(ctx, (size_t)columns, sizeof *values);
    if (!values)
        return STRATA_NO_MEMORY;
    if (same_mesh)
        fits = add_row(json_array_get(sums, (size_t)ctx->mesh->rank), columns, values);
    else if (ctx->mesh->groups[STRATA__BATCH].rank == 0)
        fits = add_column(sums, cols, columns, values);
    if (fits)
        exchange_all(trainer, values, true);
    strata__free(ctx, values);
    return fits ? STRATA_OK
                : strata__fail(ctx, STRATA_INVALID,
                               "the checkpoint stands within an epoch and has sums of other "
                               "metrics than model '%s' is compiled with",
                               trainer->model->layer->name);
}
