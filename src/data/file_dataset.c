/* Datasets from IDX and NPY files, in memory that the ranks of a node share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "data/dataset.h"
#include "storage/array.h"

/* "name=file": only a plain word counts as a name, so that paths may hold '='. */
static const char *split_name(const char *text, char *name, size_t size)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;
    name[0] = '\0';
    if (length == 0 || length >= size || memchr(text, '/', length))
        return text;
    memcpy(name, text, length);
    name[length] = '\0';
    return equals + 1;
}

/* One copy a node, which its first rank reads; without shared memory each reads its own. */
static strata_status make_room(strata_dataset *dataset, size_t bytes, bool *reads, char **memory)
{
    strata_context *ctx = dataset->ctx;
    strata__shared *shared;
    STRATA_TRY(strata__shared_once(ctx, STRATA__WORLD, bytes, &shared, memory));
    dataset->shared[dataset->shared_count++] = shared;
    *reads = !shared->shared || ctx->mesh->groups[STRATA__WORLD].node_rank == 0;
    return STRATA_OK;
}

static strata_status read_rows(strata_dataset *dataset, strata__array *array, const char **data)
{
    strata_context *ctx = dataset->ctx;
    bool reads;
    char *memory;
    STRATA_TRY(make_room(dataset, (size_t)(array->rows * array->row_bytes), &reads, &memory));
    if (reads)
        strata__array_read(ctx, array, 0, array->rows, memory);
    *data = memory;
    return strata__agree(ctx);
}

/* A mapped file needs no copy; that it can be mapped is agreed, since the other way is collective.
 */
static bool map_everywhere(strata_context *ctx, strata__array *array, const char **data)
{
    *data = strata__array_map(array);
    int32_t missing = *data == NULL;
    strata__max(ctx, STRATA__WORLD, &missing, 1, STRATA_INT32);
    return !missing;
}

/* Nodes may have files of their own: a path must lead to the same shape and type everywhere. */
static strata_status check_alike(strata_context *ctx, const strata__array *array)
{
    struct {
        strata_shape shape;
        strata_dtype dtype;
    } first = {array->shape, array->dtype};
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    strata__broadcast(ctx, STRATA__WORLD, 0, &first, sizeof first);
    if (array->dtype != first.dtype || !strata__shape_equal(&array->shape, &first.shape))
        strata__fail(ctx, STRATA_BAD_DATA,
                     "'%s' is %s%s here and %s%s on rank 0; every node needs the same file",
                     array->path, strata_dtype_name(array->dtype),
                     strata__shape_text(&array->shape, ours), strata_dtype_name(first.dtype),
                     strata__shape_text(&first.shape, theirs));
    return strata__agree(ctx);
}

/* NULL after an error. */
static strata__array *open_everywhere(strata_context *ctx, const char *path)
{
    strata__array *array = NULL;
    strata__array_open(ctx, path, &array);
    if (strata__agree(ctx) == STRATA_OK && check_alike(ctx, array) == STRATA_OK)
        return array;
    strata__array_close(ctx, array);
    return NULL;
}

static strata_status read_column(strata_dataset *dataset, const char *text, strata__column *column)
{
    strata_context *ctx = dataset->ctx;
    char name[128];
    const char *path = split_name(text, name, sizeof name), *data;
    strata__array *array = open_everywhere(ctx, path);
    if (!array)
        return ctx->status;
    if (map_everywhere(ctx, array, &data)) {
        dataset->arrays[dataset->array_count++] = array;
        STRATA_TRY(strata__column_set(dataset, column, name[0] ? name : NULL, array->dtype,
                                      &array->shape, data));
        return STRATA_OK;
    }
    strata_status status = read_rows(dataset, array, &data);
    if (status == STRATA_OK)
        status = strata__column_set(dataset, column, name[0] ? name : NULL, array->dtype,
                                    &array->shape, data);
    strata__array_close(ctx, array);
    return status;
}

static strata_status read_columns(strata_dataset *dataset, const char *const *texts, int *count,
                                  strata__column *columns)
{
    for (int i = 0; i < STRATA_MAX_COLUMNS && texts[i]; i++) {
        STRATA_TRY(read_column(dataset, texts[i], &columns[i]));
        ++*count;
    }
    return STRATA_OK;
}

strata_dataset *strata_file_dataset_from(strata_context *ctx, const strata_file_options *options)
{
    if (!ctx || strata__agree(ctx) != STRATA_OK)
        return NULL;
    if (!options->x[0]) {
        strata__fail(ctx, STRATA_INVALID, "dataset without x: give at least one file of inputs");
        return NULL;
    }
    strata_dataset *dataset = strata__dataset_new(ctx);
    if (dataset && read_columns(dataset, options->x, &dataset->x_count, dataset->x) == STRATA_OK &&
        read_columns(dataset, options->y, &dataset->y_count, dataset->y) == STRATA_OK)
        read_columns(dataset, options->sample_weight, &dataset->weight_count, dataset->weights);
    return strata__agree(ctx) == STRATA_OK ? dataset : NULL;
}

strata_dataset *strata_idx_dataset_from(strata_context *ctx, const strata_idx_options *options)
{
    if (!ctx || strata__agree(ctx) != STRATA_OK)
        return NULL;
    if (!options->images || !options->labels) {
        strata__fail(ctx, STRATA_INVALID, "strata_idx_dataset() needs .images and .labels");
        return NULL;
    }
    const char *folder = options->folder ? options->folder : "", *slash = *folder ? "/" : "";
    char *images = strata__format(ctx, "%s%s%s", folder, slash, options->images);
    char *labels = strata__format(ctx, "%s%s%s", folder, slash, options->labels);
    strata_dataset *dataset = NULL;
    if (images && labels)
        dataset = strata_file_dataset(ctx, .x = {images}, .y = {labels});
    strata__free(ctx, images);
    strata__free(ctx, labels);
    return strata__agree(ctx) == STRATA_OK ? dataset : NULL;
}
