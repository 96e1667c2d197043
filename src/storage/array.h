/* Arrays in files: NPY or IDX, the latter packed with gzip or not; found out by their first bytes.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_ARRAY_H
#define STRATA_STORAGE_ARRAY_H

#include "base/context.h"

typedef struct strata__array {
    char *path;
    strata_dtype dtype; /* float16 files and other types are refused */
    strata_shape shape; /* every size known; (rows, …) */
    int64_t
        row_bytes; /* of one row: product of the sizes after the first times the element's bytes */
    struct strata__array_parts *parts;
} strata__array;

/*
 * Opens an .npy file (versions 1 to 3, C order, either byte order) or an IDX file. The header and
 * the size of the file are checked; a gzip file's true length shows when its end is read.
 * STRATA_NO_INPUT, STRATA_BAD_DATA or STRATA_UNSUPPORTED with one line: file, what was expected,
 * what was found. Local: agree afterwards.
 */
strata_status strata__array_open(strata_context *ctx, const char *path, strata__array **array);

/*
 * Rows first … first+rows−1 in native byte order into `out` (rows · row_bytes). Any order; forward
 * is fast in a gzip file, backward starts over. Reading the last row of a gzip file also checks
 * that it ends there and its checksum. Local.
 */
strata_status strata__array_read(strata_context *ctx, strata__array *array, int64_t first,
                                 int64_t rows, void *out);

/*
 * The whole array in memory without a copy (read-only, shared by all processes of the node), or
 * NULL, without an error, where that cannot be: gzip, foreign byte order, no bytes. Valid until the
 * array is closed. Local.
 */
const void *strata__array_map(strata__array *array);

void strata__array_close(strata_context *ctx, strata__array *array); /* Local. NULL is fine. */

#endif
