/* Datasets: columns of samples in memory, and slices of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include <string.h>

#include "base/memory.h"

strata_dataset *strata__dataset_new(strata_context *ctx)
{
    strata_dataset *dataset = strata__calloc(ctx, 1, sizeof *dataset);
    if (!dataset)
        return NULL;
    dataset->ctx = ctx;
    dataset->size = -1;
    dataset->next = ctx->datasets;
    ctx->datasets = dataset;
    return dataset;
}

static void free_columns(strata_context *ctx, int count, strata__column *columns)
{
    for (int i = 0; i < count; i++)
        strata__free(ctx, columns[i].name);
}

void strata_dataset_free(strata_dataset *dataset)
{
    if (!dataset)
        return;
    strata_context *ctx = dataset->ctx;
    if (dataset->shared_count > 0)
        strata__agree(ctx); /* all ranks are here */
    for (strata_dataset **at = &ctx->datasets; *at; at = &(*at)->next) {
        if (*at == dataset) {
            *at = dataset->next;
            break;
        }
    }
    for (int i = 0; i < dataset->shared_count; i++)
        strata__shared_free(ctx, dataset->shared[i]);
    for (int i = 0; i < dataset->array_count; i++)
        strata__array_close(ctx, dataset->arrays[i]);
    strata__free(ctx, dataset->firsts);
    free_columns(ctx, dataset->x_count, dataset->x);
    free_columns(ctx, dataset->y_count, dataset->y);
    free_columns(ctx, dataset->weight_count, dataset->weights);
    strata__free(ctx, dataset);
}

void strata__datasets_free(strata_context *ctx)
{
    while (ctx->datasets)
        strata_dataset_free(ctx->datasets);
}

int64_t strata_dataset_size(const strata_dataset *dataset)
{
    return dataset ? dataset->size : 0;
}

strata_status strata__column_set(strata_dataset *dataset, strata__column *column, const char *name,
                                 strata_dtype dtype, const strata_shape *shape, const void *data)
{
    strata_context *ctx = dataset->ctx;
    int64_t samples = shape->rank > 0 ? shape->dims[0] : 0;
    if (samples < (dataset->firsts ? 0 : 1))
        return strata__fail(ctx, STRATA_INVALID, "dataset: %s has no samples",
                            name ? name : "an array");
    if (dataset->size >= 0 && dataset->size != samples)
        return strata__fail(ctx, STRATA_INVALID,
                            "Data cardinality is ambiguous. Make sure all arrays contain the same "
                            "number of samples. '%s' "
                            "has %lld, the arrays before it %lld",
                            name ? name : "an array", (long long)samples, (long long)dataset->size);
    dataset->size = samples;
    *column = (strata__column){.dtype = dtype, .data = data, .sample.rank = shape->rank - 1};
    for (int i = 1; i < shape->rank; i++)
        column->sample.dims[i - 1] = shape->dims[i];
    column->sample_bytes =
        (size_t)strata__product(shape, 1, shape->rank) * strata_dtype_size(dtype);
    column->name = strata__strdup(ctx, name);
    return ctx->status;
}

static strata_status take_arrays(strata_dataset *dataset, const strata_array *arrays, int *count,
                                 strata__column *columns)
{
    for (int i = 0; i < STRATA_MAX_COLUMNS && arrays[i].data; i++) {
        STRATA_TRY(strata__column_set(dataset, &columns[i], arrays[i].name, arrays[i].dtype,
                                      &arrays[i].shape, arrays[i].data));
        ++*count;
    }
    return STRATA_OK;
}

strata_dataset *strata_array_dataset_from(strata_context *ctx, const strata_array_options *options)
{
    if (!ctx || ctx->status != STRATA_OK)
        return NULL;
    strata_dataset *dataset = strata__dataset_new(ctx);
    if (!dataset)
        return NULL;
    if (!options->x[0].data) {
        strata__fail(ctx, STRATA_INVALID, "dataset without x: give at least one array of inputs");
        return NULL;
    }
    if (take_arrays(dataset, options->x, &dataset->x_count, dataset->x) != STRATA_OK ||
        take_arrays(dataset, options->y, &dataset->y_count, dataset->y) != STRATA_OK ||
        take_arrays(dataset, options->sample_weight, &dataset->weight_count, dataset->weights) !=
            STRATA_OK)
        return NULL;
    return dataset;
}

/* --- slices --- */

static strata_status slice_columns(strata_dataset *slice, int64_t first, int count,
                                   const strata__column *from, strata__column *to, int *taken)
{
    for (int i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].name = strata__strdup(slice->ctx, from[i].name);
        to[i].data = from[i].data + (size_t)first * from[i].sample_bytes;
        ++*taken;
    }
    return slice->ctx->status;
}

strata_dataset *strata_dataset_slice(strata_dataset *dataset, int64_t first, int64_t count)
{
    if (!dataset || dataset->ctx->status != STRATA_OK)
        return NULL;
    strata_context *ctx = dataset->ctx;
    if (first < 0 || count < 1 || count > dataset->size - first) {
        strata__fail(ctx, STRATA_INVALID, "slice of %lld samples from %lld of a dataset of %lld",
                     (long long)count, (long long)first, (long long)dataset->size);
        return NULL;
    }
    strata_dataset *slice = strata__dataset_new(ctx);
    if (!slice)
        return NULL;
    slice->size = count;
    if (dataset->firsts && strata__local_slice(dataset, first, count, slice, &first) != STRATA_OK)
        return NULL;
    slice_columns(slice, first, dataset->x_count, dataset->x, slice->x, &slice->x_count);
    slice_columns(slice, first, dataset->y_count, dataset->y, slice->y, &slice->y_count);
    slice_columns(slice, first, dataset->weight_count, dataset->weights, slice->weights,
                  &slice->weight_count);
    return ctx->status == STRATA_OK ? slice : NULL;
}
