/* A run of bytes to read from: part of a file, or memory; on one rank or on all. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_BYTES_H
#define STRATA_STORAGE_BYTES_H

#include "base/context.h"

/* A value that owns its parts. Zeroed: nothing. */
typedef struct strata__bytes {
    char *name;          /* of the file, for messages */
    char *memory;        /* [size], or NULL: in a file */
    int fd;              /* of the file when memory is NULL */
    int64_t first, size; /* where the run lies in the file; its length */
} strata__bytes;

/* A whole regular file. Local. */
strata_status strata__bytes_open(strata_context *ctx, const char *path, strata__bytes *bytes);

/* Takes `memory` over. Local. */
strata_status strata__bytes_of_memory(strata_context *ctx, const char *name, char *memory,
                                      int64_t size, strata__bytes *bytes);

/* Copies bytes offset … offset+count−1 of the run; outside of it is STRATA_BAD_DATA. Local. */
strata_status strata__bytes_read(strata_context *ctx, const strata__bytes *bytes, int64_t offset,
                                 void *data, int64_t count);

/* A checksum that can be taken piece by piece. */
typedef uint32_t strata__sum_function(uint32_t sum, const void *data, size_t size);

/* Goes on from `sum` over bytes offset … offset+count−1. Local. */
strata_status strata__bytes_sum(strata_context *ctx, const strata__bytes *bytes, int64_t offset,
                                int64_t count, strata__sum_function *function, uint32_t *sum);

/*
 * Rank 0's run becomes everybody's (others pass a zeroed one): a copy in memory up to `copy_limit`
 * bytes or when it lies in memory, else each rank opens the file (a shared file system is needed
 * then). Agrees. Collective on the mesh.
 */
strata_status strata__bytes_share(strata_context *ctx, strata__bytes *bytes, int64_t copy_limit);

/* Up to here ranks get copies and the file is read once; above it they read their own pieces. */
#define STRATA__COPY_LIMIT ((int64_t)32 << 20)

void strata__bytes_free(strata_context *ctx, strata__bytes *bytes); /* Local. */

#endif
