/* Whole copies of tensors that are spread over the mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/tensor.h"

#include <string.h>

/*
 * Every rank puts its piece into a zeroed whole and the pieces are added as bytes: only one rank of a row contributes to each
 * element, so the sum is exact for any type.
 */
static void place_piece(const strata_tensor *tensor, char *whole)
{
    size_t size = strata_dtype_size(tensor->dtype);
    bool samples_only = tensor->shape.rank == 1 && tensor->layout.batch;
    int64_t columns = samples_only ? 1 : strata__last(&tensor->shape);
    int64_t local_columns = samples_only ? 1 : strata__last(&tensor->local);
    int64_t rows = samples_only ? tensor->local.dims[0] : strata__local_rows(tensor);
    int64_t first_row = tensor->first_sample *
                        strata__product(&tensor->shape, 1, tensor->shape.rank > 0 ? tensor->shape.rank - 1 : 0);
    for (int64_t i = 0; i < rows; i++)
        memcpy(whole + (size_t)((first_row + i) * columns + tensor->first_feature) * size,
               (const char *)tensor->data + (size_t)(i * local_columns) * size,
               (size_t)local_columns * size);
}

strata_status strata_tensor_gather(const strata_tensor *tensor, void *data)
{
    strata_context *ctx = tensor->ctx;
    if (tensor->symbolic)
        return strata__fail(ctx, STRATA_INVALID, "a symbolic tensor has no values to gather");
    int64_t count = strata__product(&tensor->shape, 0, tensor->shape.rank);
    size_t bytes = (size_t)count * strata_dtype_size(tensor->dtype);
    memset(data, 0, bytes);
    place_piece(tensor, data);
    if (tensor->layout.split)
        strata__sum(ctx, STRATA__COLS, data, (int64_t)bytes, STRATA_UINT8);
    if (tensor->layout.batch)
        strata__sum(ctx, STRATA__BATCH, data, (int64_t)bytes, STRATA_UINT8);
    return STRATA_OK;
}
