/* The IDX format of the MNIST files: its header. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_IDX_H
#define STRATA_STORAGE_IDX_H

#include "storage/array.h"

bool strata__idx_is(const unsigned char *start, int64_t size);

/* Reads the header from the first `size` bytes of the file. Local. */
strata_status strata__idx_parse(strata_context *ctx, const char *path, const unsigned char *start,
                                int64_t size, strata__array_header *header);

#endif
