/* Checkpoints: one HDF5 file of logical row-major arrays that any mesh can load. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_CHECKPOINT_H
#define STRATA_STORAGE_CHECKPOINT_H

#include "base/context.h"

/*
 * Version 1 of the format, readable by plain h5py:
 *   attribute `format_version` of the root (int32 scalar)
 *   /document     JSON text (fixed-length UTF-8 string, scalar), attribute `crc32c`
 *   /<entry name> one contiguous little-endian dataset an entry, e.g.
 * /weights/sequential/dense/kernel /shards       table: which rank's part of which entry has which
 * CRC32C. Compound of entry (int32, in the order of /document's list below), flat (int32),
 * first[8], count[8] (int64), crc32c (uint32) /entries      names of the entries in order
 * (fixed-length UTF-8 strings)
 */
#define STRATA__CHECKPOINT_VERSION 1

/* One rank's part of an array: a block (first and count per axis), or, if flat, elements first[0] …
 * of the row-major array. */
typedef struct strata__shard {
    bool flat;
    bool writes; /* this rank saves it; on saving, the writers' shards cover each entry exactly once
                  */
    int64_t first[STRATA_MAX_RANK], count[STRATA_MAX_RANK]; /* a count may be 0 */
    void *data;                                             /* the part, row-major */
} strata__shard;

/* An array. All ranks list the same entries (name, dtype, shape) in the same order, each with its
 * own shards. */
typedef struct strata__entry {
    const char *name; /* "weights/sequential/dense/kernel": a relative path, not "document",
                         "shards" or "entries" */
    strata_dtype dtype;
    strata_shape shape;
    strata__shard *shards;
    int shard_count;
} strata__entry;

/*
 * Rank 0 lays the file out and reserves its space, every rank writes its parts at their places,
 * syncs, reads them back and compares; rank 0 renames over `path`. On failure the old file stands.
 * `document` is JSON text, used on rank 0. Collective on the mesh.
 */
strata_status strata__checkpoint_save(strata_context *ctx, const char *path,
                                      const strata__entry *entries, int count,
                                      const char *document);

typedef struct strata__checkpoint strata__checkpoint;

/* Checks format, structure and every checksum (the ranks share the work). Collective on the mesh.
 */
strata_status strata__checkpoint_open(strata_context *ctx, const char *path,
                                      strata__checkpoint **checkpoint);

const char *strata__checkpoint_document(const strata__checkpoint *checkpoint);

/* Name, dtype and shape of the entries in the file (no shards); NULL past the last. Local. */
const strata__entry *strata__checkpoint_entry(const strata__checkpoint *checkpoint, int number);

/*
 * Fills the shards' data. The entries' shapes and types must be those of the file, and where some
 * entries of a top group
 * ("weights") are asked for, all of them must be: the message names the array that differs.
 * Collective on the mesh.
 */
strata_status strata__checkpoint_read(strata_context *ctx, const strata__checkpoint *checkpoint,
                                      const strata__entry *entries, int count);

void strata__checkpoint_close(strata_context *ctx, strata__checkpoint *checkpoint); /* Local. */

#endif
