/* Parts of a row-major array in a file: their contiguous runs, their place, their checksum. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_SHARD_H
#define STRATA_STORAGE_SHARD_H

#include "storage/bytes.h"
#include "storage/checkpoint.h"

/*
 * Where one part lies. A row of the table /shards in a checkpoint, so the order of members is that
 * of the columns: 19 of int64.
 */
typedef struct strata__place {
    int64_t entry; /* position among the names of all entries, sorted */
    int64_t flat;  /* 0 or 1, see strata__shard */
    int64_t first[STRATA_MAX_RANK], count[STRATA_MAX_RANK]; /* 0 past the last axis */
    int64_t crc32c;
} strata__place;

enum { STRATA__PLACE_COLUMNS = sizeof(strata__place) / sizeof(int64_t) };

/* Whether a checkpoint itself has a dataset of that name. */
bool strata__is_own_name(const char *name);

/* The place of a shard, without its checksum. */
strata__place strata__place_of(const strata_shape *shape, const strata__shard *shard,
                               int64_t entry);

/* Number of elements of the part, or -1 when it is not inside of the array. */
int64_t strata__place_elements(const strata__place *place, const strata_shape *shape);

/* Steps through the longest runs that lie without gaps in the array, in the part's own row-major
 * order. */
typedef struct strata__runs {
    int axes;       /* stepped over; the rest is one run */
    int64_t length; /* elements of a run */
    int64_t first, stride[STRATA_MAX_RANK], count[STRATA_MAX_RANK]; /* elements */
    int64_t at[STRATA_MAX_RANK];
    bool done;
} strata__runs;

strata__runs strata__runs_of(const strata__place *place, const strata_shape *shape);

/* The next run's first element in the array; false after the last. */
bool strata__runs_next(strata__runs *runs, int64_t *first);

/* An array in a file. */
typedef struct strata__stored {
    const strata__bytes *bytes;
    int64_t offset; /* of element 0 */
    strata_shape shape;
    size_t size; /* of an element */
} strata__stored;

/* Reads a part, or its checksum. Local. */
strata_status strata__stored_read(strata_context *ctx, const strata__stored *array,
                                  const strata__place *place, void *data);
strata_status strata__stored_sum(strata_context *ctx, const strata__stored *array,
                                 const strata__place *place, uint32_t *sum);

#endif
