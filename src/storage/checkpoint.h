/* Checkpoints: one HDF5 file of logical row-major arrays that any mesh can load. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_CHECKPOINT_H
#define STRATA_STORAGE_CHECKPOINT_H

#include "base/context.h"

/*
 * Version 1 of the format. In front of the HDF5 part stands a seal (storage/seal.h), which plain
 * HDF5 programs pass over as a user block. Then, plain for h5py:
 *   attribute `format_version` of the root, int32
 *   /document       uint8 (bytes): JSON text with configuration, counters, random state, …
 *   /<entry name>   a contiguous little-endian dataset, e.g. /weights/sequential/dense/kernel
 *   /shards         int64 (shards, 19), a row for each part of an array as some rank wrote it:
 *                   entry, flat, first[8], count[8], crc32c. `entry` is the position among the
 *                   names of all arrays in the order of their bytes; `flat` parts are elements
 *                   first[0] … of the row-major array, others blocks. The checksum is taken over
 *                   the part's bytes in row-major order.
 */
#define STRATA__CHECKPOINT_VERSION 1

/* One rank's part of an array: a block, or, if flat, a run of elements of the row-major array. */
typedef struct strata__shard {
    bool flat;
    bool writes; /* this rank saves it; the writers' shards cover each entry exactly once */
    int64_t first[STRATA_MAX_RANK], count[STRATA_MAX_RANK]; /* a count may be 0 */
    void *data;                                             /* the part, row-major */
} strata__shard;

/* An array. All ranks list the same names, types and shapes in the same order, with own shards. */
typedef struct strata__entry {
    const char *name; /* a relative path, "weights/dense/kernel"; not "document" or "shards" */
    strata_dtype dtype;
    strata_shape shape;
    const strata__shard *shards;
    int shard_count;
} strata__entry;

/* What a checkpoint is to hold. */
typedef struct strata__contents {
    const strata__entry *entries;
    int count;
    const char *document; /* JSON text, used on rank 0 */
    uint64_t run;         /* all checkpoints of a run have the same; 0: of none */
} strata__contents;

/*
 * Rank 0 lays the file out and reserves its space, every rank writes its parts at their places,
 * syncs, reads them back and compares; rank 0 renames over `path`. On failure the old file stands
 * and nothing else is left. `path` counts on rank 0. Collective on the mesh.
 */
strata_status strata__checkpoint_save(strata_context *ctx, const char *path,
                                      const strata__contents *contents);

typedef struct strata__checkpoint strata__checkpoint;

/*
 * Checks the format, the structure and every checksum; the ranks share the work. STRATA_BAD_DATA
 * names the array that is damaged, STRATA_UNSUPPORTED a newer format. Collective on the mesh.
 */
strata_status strata__checkpoint_open(strata_context *ctx, const char *path,
                                      strata__checkpoint **checkpoint);

/* Owned by the checkpoint. */
const char *strata__checkpoint_document(const strata__checkpoint *checkpoint);

/* The run that saved it; 0: none in particular. Local. */
uint64_t strata__checkpoint_run(const strata__checkpoint *checkpoint);

/* The entries in the file, sorted by name, without shards; NULL past the last. Local. */
const strata__entry *strata__checkpoint_entry(const strata__checkpoint *checkpoint, int number);

/*
 * Whether types and shapes are those of the file, and of a top group ("weights") of which some
 * arrays are asked for all are: STRATA_BAD_DATA names the array that differs, on all ranks. Local.
 */
strata_status strata__checkpoint_fits(strata_context *ctx, const strata__checkpoint *checkpoint,
                                      const strata__entry *entries, int count);

/* Fills the data of the shards, of entries that fit. Collective on the mesh. */
strata_status strata__checkpoint_read(strata_context *ctx, const strata__checkpoint *checkpoint,
                                      const strata__entry *entries, int count);

/* NULL is fine. Local. */
void strata__checkpoint_close(strata_context *ctx, strata__checkpoint *checkpoint);

#endif
