/* Datasets whose samples lie on the ranks that made them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "data/dataset.h"

static strata_status take_arrays(strata_dataset *dataset, const strata_array *arrays, int *count,
                                 strata__column *columns)
{
    for (int i = 0; i < STRATA_MAX_COLUMNS && arrays[i].shape.rank > 0; i++) {
        if (!arrays[i].data && arrays[i].shape.dims[0] > 0)
            return strata__fail(
                dataset->ctx, STRATA_INVALID, "dataset: '%s' has %lld samples but no data",
                arrays[i].name ? arrays[i].name : "an array", (long long)arrays[i].shape.dims[0]);
        STRATA_TRY(strata__column_set(dataset, &columns[i], arrays[i].name, arrays[i].dtype,
                                      &arrays[i].shape, arrays[i].data));
        ++*count;
    }
    return STRATA_OK;
}

/* --- the same on all ranks --- */

/* What a column is, but for the number of samples. */
typedef struct kind {
    char name[128];
    strata_dtype dtype;
    strata_shape sample;
} kind;

/* In front of the kinds of all columns. */
typedef struct counts {
    int x, y, weights;
} counts;

static void describe(int count, const strata__column *columns, kind *kinds)
{
    for (int i = 0; i < count; i++) {
        if (columns[i].name)
            snprintf(kinds[i].name, sizeof kinds[i].name, "%s", columns[i].name);
        kinds[i].dtype = columns[i].dtype;
        kinds[i].sample = columns[i].sample;
    }
}

static strata_status compare(const strata_dataset *dataset, const kind *own, const kind *first,
                             int count)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    for (int i = 0; i < count; i++) {
        if (strcmp(own[i].name, first[i].name) != 0 || own[i].dtype != first[i].dtype ||
            !strata__shape_equal(&own[i].sample, &first[i].sample))
            return strata__fail(dataset->ctx, STRATA_INVALID,
                                "array %d of the dataset is '%s', %s%s, here and '%s', %s%s, on "
                                "rank 0; every rank must pass the "
                                "same arrays",
                                i, own[i].name, strata_dtype_name(own[i].dtype),
                                strata__shape_text(&own[i].sample, ours), first[i].name,
                                strata_dtype_name(first[i].dtype),
                                strata__shape_text(&first[i].sample, theirs));
    }
    return STRATA_OK;
}

/* Collective on the mesh. */
static strata_status check_alike(const strata_dataset *dataset)
{
    enum { MOST = 3 * STRATA_MAX_COLUMNS };
    strata_context *ctx = dataset->ctx;
    kind own[MOST] = {0}, first[MOST];
    counts sizes = {dataset->x_count, dataset->y_count, dataset->weight_count}, first_sizes = sizes;
    describe(sizes.x, dataset->x, own);
    describe(sizes.y, dataset->y, own + sizes.x);
    describe(sizes.weights, dataset->weights, own + sizes.x + sizes.y);
    memcpy(first, own, sizeof own);
    strata__broadcast(ctx, STRATA__WORLD, 0, &first_sizes, sizeof first_sizes);
    strata__broadcast(ctx, STRATA__WORLD, 0, first, sizeof first);
    if (memcmp(&sizes, &first_sizes, sizeof sizes) != 0)
        strata__fail(ctx, STRATA_INVALID,
                     "a dataset of %d x, %d y and %d weights here and of %d, %d and %d on rank 0; "
                     "every rank must pass the same arrays",
                     sizes.x, sizes.y, sizes.weights, first_sizes.x, first_sizes.y,
                     first_sizes.weights);
    else
        compare(dataset, own, first, sizes.x + sizes.y + sizes.weights);
    return strata__agree(ctx);
}

/* --- which samples lie where --- */

/* Collective on the mesh. */
static strata_status number_samples(strata_dataset *dataset)
{
    strata_context *ctx = dataset->ctx;
    int ranks = ctx->mesh->size;
    memset(dataset->firsts, 0, (size_t)(ranks + 1) * sizeof *dataset->firsts);
    dataset->firsts[ctx->mesh->rank + 1] = dataset->size;
    strata__sum(ctx, STRATA__WORLD, dataset->firsts, ranks + 1, STRATA_INT64);
    for (int r = 0; r < ranks; r++)
        dataset->firsts[r + 1] += dataset->firsts[r];
    dataset->size = dataset->firsts[ranks];
    if (dataset->size == 0)
        return strata__fail(ctx, STRATA_INVALID, "dataset: no rank has a sample");
    return STRATA_OK;
}

strata_dataset *strata_local_dataset_from(strata_context *ctx, const strata_array_options *options)
{
    if (!ctx)
        return NULL;
    strata_dataset *dataset = strata__dataset_new(ctx);
    if (dataset)
        dataset->firsts =
            strata__alloc(ctx, (size_t)(ctx->mesh->size + 1) * sizeof *dataset->firsts);
    if (strata__agree(ctx) != STRATA_OK)
        return NULL;
    if (options->x[0].shape.rank == 0)
        strata__fail(ctx, STRATA_INVALID, "dataset without x: give at least one array of inputs");
    else if (take_arrays(dataset, options->x, &dataset->x_count, dataset->x) == STRATA_OK &&
             take_arrays(dataset, options->y, &dataset->y_count, dataset->y) == STRATA_OK)
        take_arrays(dataset, options->sample_weight, &dataset->weight_count, dataset->weights);
    if (strata__agree(ctx) != STRATA_OK || check_alike(dataset) != STRATA_OK ||
        number_samples(dataset) != STRATA_OK)
        return NULL;
    return dataset;
}

static int64_t clamp(int64_t number, int64_t most)
{
    return number < 0 ? 0 : number < most ? number : most;
}

strata_status strata__local_slice(const strata_dataset *dataset, int64_t first, int64_t count,
                                  strata_dataset *slice, int64_t *own_first)
{
    int ranks = dataset->ctx->mesh->size;
    const int64_t *own = dataset->firsts + dataset->ctx->mesh->rank;
    slice->firsts = strata__alloc(dataset->ctx, (size_t)(ranks + 1) * sizeof *slice->firsts);
    if (!slice->firsts)
        return STRATA_NO_MEMORY;
    for (int r = 0; r <= ranks; r++)
        slice->firsts[r] = clamp(dataset->firsts[r] - first, count);
    *own_first = clamp(first - own[0], own[1] - own[0]);
    return STRATA_OK;
}
