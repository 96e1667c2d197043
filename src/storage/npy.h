/* NumPy's .npy format: the header, and writing a file by rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_NPY_H
#define STRATA_STORAGE_NPY_H

#include "storage/array.h"
#include "storage/file.h"

/* Most bytes that a header may have, magic included. */
#define STRATA__NPY_HEADER_SIZE 65552

bool strata__npy_is(const unsigned char *start, int64_t size);

/* Reads the header from the first `size` bytes of the file (STRATA__NPY_HEADER_SIZE or all). Local.
 */
strata_status strata__npy_parse(strata_context *ctx, const char *path, const unsigned char *start,
                                int64_t size, strata__array_header *header);

/* A new .npy file (version 1.0, little-endian, C order); rows may come in any order. */
typedef struct strata__npy_writer {
    strata__new_file file;
    int64_t offset, row_bytes, rows;
} strata__npy_writer;

/* Local. A scalar (rank 0) counts as one row. */
strata_status strata__npy_create(strata_context *ctx, const char *path, strata_dtype dtype,
                                 strata_shape shape, strata__npy_writer *writer);

/* Rows first … first+rows−1. Local. */
strata_status strata__npy_write(strata_context *ctx, strata__npy_writer *writer, int64_t first,
                                int64_t rows, const void *data);

/* Puts the file in place, or gives up; both release the writer. Local. */
strata_status strata__npy_finish(strata_context *ctx, strata__npy_writer *writer);
void strata__npy_discard(strata_context *ctx, strata__npy_writer *writer);

#endif
