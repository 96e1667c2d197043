/* The IDX format of the MNIST files: its header. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_IDX_H
#define STRATA_STORAGE_IDX_H

#include "base/context.h"

typedef struct strata__idx_header {
    strata_dtype dtype;
    strata_shape shape;
    bool swapped;   /* elements of more than one byte are big-endian */
    int64_t offset; /* of the first element */
} strata__idx_header;

/* Largest header: magic and STRATA_MAX_RANK sizes. */
#define STRATA__IDX_HEADER_SIZE (4 + 4 * STRATA_MAX_RANK)

/*
 * Reads the header from the first `size` bytes of the file (STRATA__IDX_HEADER_SIZE of them, or all
 * there are). Local.
 */
strata_status strata__idx_parse(strata_context *ctx, const char *path, const unsigned char *start,
                                int64_t size, strata__idx_header *header);

#endif
