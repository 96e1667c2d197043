/* Parts of a row-major array in a file: their contiguous runs, their place, their checksum. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard.h"

#include <string.h>

#include "storage/crc32c.h"
#include "tensor/tensor.h"

bool strata__is_own_name(const char *name)
{
    return strcmp(name, "document") == 0 || strcmp(name, "shards") == 0;
}

strata__place strata__place_of(const strata_shape *shape, const strata__shard *shard, int64_t entry)
{
    strata__place place = {.entry = entry, .flat = shard->flat};
    int axes = shard->flat ? 1 : shape->rank;
    for (int i = 0; i < axes; i++) {
        place.first[i] = shard->first[i];
        place.count[i] = shard->count[i];
    }
    return place;
}

/* A flat part is one of the array without its axes. */
static strata_shape shape_of_place(const strata__place *place, const strata_shape *shape)
{
    return place->flat ? (strata_shape){.rank = 1, .dims = {strata__product(shape, 0, shape->rank)}}
                       : *shape;
}

int64_t strata__place_elements(const strata__place *place, const strata_shape *shape)
{
    if (place->flat != 0 && place->flat != 1)
        return -1;
    strata_shape whole = shape_of_place(place, shape);
    int64_t elements = 1;
    for (int i = 0; i < whole.rank; i++) {
        int64_t first = place->first[i], count = place->count[i];
        if (first < 0 || count < 0 || first > whole.dims[i] || count > whole.dims[i] - first)
            return -1;
        elements *= count;
    }
    return elements;
}

/*
 * From the last axis outwards, axes that the part has in full join the run, and so does the first
 * one that it has not; the axes outside of that are stepped over.
 */
strata__runs strata__runs_of(const strata__place *place, const strata_shape *shape)
{
    strata_shape whole = shape_of_place(place, shape);
    strata__runs runs = {.axes = whole.rank, .length = 1};
    int64_t stride = 1;
    bool joined = true;
    runs.done = strata__place_elements(place, shape) <= 0;
    for (int i = whole.rank - 1; i >= 0; i--) {
        runs.first += place->first[i] * stride;
        runs.stride[i] = stride;
        runs.count[i] = place->count[i];
        if (joined) {
            runs.length *= place->count[i];
            runs.axes = i;
            joined = place->count[i] == whole.dims[i];
        }
        stride *= whole.dims[i];
    }
    return runs;
}

bool strata__runs_next(strata__runs *runs, int64_t *first)
{
    if (runs->done)
        return false;
    *first = runs->first;
    int axis = runs->axes - 1;
    while (axis >= 0) {
        runs->first += runs->stride[axis];
        if (++runs->at[axis] < runs->count[axis])
            break;
        runs->first -= runs->count[axis] * runs->stride[axis];
        runs->at[axis--] = 0;
    }
    runs->done = axis < 0;
    return true;
}

strata_status strata__stored_read(strata_context *ctx, const strata__stored *array,
                                  const strata__place *place, void *data)
{
    strata__runs runs = strata__runs_of(place, &array->shape);
    char *to = data;
    int64_t first, size = (int64_t)array->size, bytes = runs.length * size;
    while (strata__runs_next(&runs, &first)) {
        STRATA_TRY(strata__bytes_read(ctx, array->bytes, array->offset + first * size, to, bytes));
        to += bytes;
    }
    return STRATA_OK;
}

strata_status strata__stored_sum(strata_context *ctx, const strata__stored *array,
                                 const strata__place *place, uint32_t *sum)
{
    strata__runs runs = strata__runs_of(place, &array->shape);
    int64_t first, size = (int64_t)array->size;
    *sum = 0;
    while (strata__runs_next(&runs, &first))
        STRATA_TRY(strata__bytes_sum(ctx, array->bytes, array->offset + first * size,
                                     runs.length * size, strata__crc32c, sum));
    return STRATA_OK;
}
