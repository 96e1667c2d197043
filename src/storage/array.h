/* Arrays in files: NPY or IDX, packed with gzip or not; told apart by their first bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_ARRAY_H
#define STRATA_STORAGE_ARRAY_H

#include "base/context.h"

/* What the header of either format says. */
typedef struct strata__array_header {
    strata_dtype dtype;
    strata_shape shape; /* every size known; a scalar has rank 0 */
    bool swapped;       /* the elements are not in this machine's byte order */
    int64_t offset;     /* of the first element in the (unpacked) file */
} strata__array_header;

typedef struct strata__array {
    char *path;
    strata_dtype dtype;
    strata_shape shape; /* (rows, …); a scalar has rank 0 and counts as one row */
    int64_t rows;
    int64_t row_bytes; /* sizes after the first · bytes of an element */
    struct strata__array_parts *parts;
} strata__array;

/*
 * Opens an .npy file (versions 1 to 3, C order, either byte order) or an IDX file. The header and
 * the size of the file are checked; the true length of a gzip file shows when its end is read.
 * STRATA_NO_INPUT, STRATA_BAD_DATA or STRATA_UNSUPPORTED with one line: the file, what was
 * expected, what was found. Local: agree afterwards.
 */
strata_status strata__array_open(strata_context *ctx, const char *path, strata__array **array);

/*
 * Rows first … first+rows−1 in native byte order into `out` (rows · row_bytes). In a gzip file
 * going forward is cheap, going backward starts over, and reading the last row also checks the
 * file's end and checksum. Local.
 */
strata_status strata__array_read(strata_context *ctx, strata__array *array, int64_t first,
                                 int64_t rows, void *out);

/*
 * The whole array without a copy: read-only, one for all processes of the node, valid until the
 * array is closed. NULL, without an error, where that cannot be: gzip, foreign byte order,
 * unaligned or no elements. Local.
 */
const void *strata__array_map(strata__array *array);

void strata__array_close(strata_context *ctx, strata__array *array); /* Local. NULL is fine. */

#endif
