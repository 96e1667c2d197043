/* HDF5 files from strangers: the structure is walked and checked before any data are read. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_TREE_H
#define STRATA_STORAGE_TREE_H

#include "storage/hdf5.h"
#include "storage/hdf5_types.h"

typedef struct strata__tree_item {
    char *path; /* from the root, without a leading slash */
    bool is_group;
    bool is_number;     /* a dataset of numbers that some strata_dtype holds without loss */
    strata_dtype dtype; /* which one */
    strata_shape shape;
    int64_t offset; /* where the elements lie, in one run and exactly as in memory; else -1 */
} strata__tree_item;

typedef struct strata__tree {
    strata__bytes bytes;
    strata__hdf5 hdf5;
    strata__tree_item *items; /* sorted by path */
    int count, capacity;
} strata__tree;

/*
 * Takes the bytes over (also on failure), opens them as HDF5 and walks every object.
 * STRATA_BAD_DATA, with the path inside the file: soft and external links, external and virtual
 * storage, filters other than deflate, shuffle and Fletcher32, objects that are neither groups nor
 * datasets, more than 100,000 objects or 64 levels, more than STRATA_MAX_RANK axes, names with
 * control characters, and data sets that declare more than the file can hold (1000 times the stored
 * bytes when packed). Local.
 */
strata_status strata__tree_open(strata_context *ctx, strata__bytes *bytes, strata__tree **tree);
void strata__tree_close(strata_context *ctx, strata__tree *tree); /* NULL is fine. */

/* NULL when there is nothing of that path. */
const strata__tree_item *strata__tree_find(const strata__tree *tree, const char *path);

/* The first item whose path is `path` or sorts after it; those below a group "a" start "a/". */
int strata__tree_from(const strata__tree *tree, const char *path);

/* A block of a dataset of numbers, as strata__weights_read() gives it. Local. */
strata_status strata__tree_read(strata_context *ctx, const strata__tree *tree,
                                const strata__tree_item *item, const int64_t *first,
                                const int64_t *count, strata_dtype dtype, void *out);

/* Names end in messages and paths: no control characters, nothing that walks, at most 255 bytes. */
bool strata__tree_is_name(const char *name, size_t length);

#endif
