/* The IDX format of the MNIST files: its header. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/idx.h"

/* Bytes 0 0, type, number of axes; then the sizes, four bytes each, most significant first. */
enum { TYPE = 2, RANK = 3, SIZES = 4 };

bool strata__idx_is(const unsigned char *start, int64_t size)
{
    return size >= SIZES && start[0] == 0 && start[1] == 0;
}

static bool find_type(unsigned char code, strata_dtype *dtype)
{
    switch (code) {
    case 0x08:
        *dtype = STRATA_UINT8;
        return true;
    case 0x0c:
        *dtype = STRATA_INT32;
        return true;
    case 0x0d:
        *dtype = STRATA_FLOAT32;
        return true;
    case 0x0e:
        *dtype = STRATA_FLOAT64;
        return true;
    default: /* 0x09 int8, 0x0b int16: no type of ours */
        return false;
    }
}

strata_status strata__idx_parse(strata_context *ctx, const char *path, const unsigned char *start,
                                int64_t size, strata__array_header *header)
{
    int rank = start[RANK];
    if (!find_type(start[TYPE], &header->dtype))
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "IDX file '%s' has elements of type 0x%02x; expected 0x08 (uint8), "
                            "0x0c (int32), 0x0d (float32) or 0x0e (float64)",
                            path, start[TYPE]);
    if (rank < 1 || rank > STRATA_MAX_RANK)
        return strata__fail(ctx, STRATA_BAD_DATA, "IDX file '%s' has %d axes; expected 1 to %d",
                            path, rank, STRATA_MAX_RANK);
    header->offset = SIZES + 4 * rank;
    if (size < header->offset)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "IDX file '%s' ends in its header: expected %lld bytes, found %lld",
                            path, (long long)header->offset, (long long)size);
    header->shape.rank = rank;
    for (int i = 0; i < rank; i++) {
        const unsigned char *at = start + SIZES + 4 * i;
        header->shape.dims[i] = (int64_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
    }
    header->swapped = strata_dtype_size(header->dtype) > 1;
    return STRATA_OK;
}
