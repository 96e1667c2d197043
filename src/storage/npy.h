/* NumPy's .npy format: the header, and writing a file piece by piece. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_NPY_H
#define STRATA_STORAGE_NPY_H

#include "storage/bytes.h"
#include "storage/file.h"

typedef struct strata__npy_header {
    strata_dtype dtype;
    strata_shape shape; /* a scalar has rank 0 */
    bool swapped;       /* elements are big-endian */
    int64_t offset;     /* of the first element */
} strata__npy_header;

/* Reads the header at the start of `bytes`, and checks that the elements fill the rest exactly.
 * Local. */
strata_status strata__npy_parse(strata_context *ctx, const strata__bytes *bytes,
                                strata__npy_header *header);

/* A new .npy file (version 1.0, little-endian, C order) in which rows are put at any place; see
 * storage/file.h. */
typedef struct strata__npy_writer {
    strata__new_file file;
    int64_t offset, row_bytes, rows;
} strata__npy_writer;

strata_status strata__npy_create(strata_context *ctx, const char *path, strata_dtype dtype,
                                 strata_shape shape, strata__npy_writer *writer); /* Local. */
strata_status strata__npy_write(strata_context *ctx, strata__npy_writer *writer, int64_t first,
                                int64_t rows, const void *data); /* Local. */
strata_status strata__npy_finish(strata_context *ctx,
                                 strata__npy_writer *writer);              /* Local; releases. */
void strata__npy_discard(strata_context *ctx, strata__npy_writer *writer); /* Local; releases. */

#endif
