/* Whole copies of tensors that are spread over the mesh, and pieces of whole ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/tensor.h"

#include <string.h>

/* The local piece as a block of the whole, seen as a matrix of samples (and inner positions) ×
 * features. */
typedef struct block {
    int64_t rows, columns, first_row, first_column;
    int64_t all_rows, all_columns;
} block;

static block block_of(const strata_tensor *tensor)
{
    const strata_shape *shape = &tensor->shape;
    if (shape->rank == 1 && tensor->layout.batch)
        return (block){.rows = tensor->local.dims[0],
                       .columns = 1,
                       .first_row = tensor->first_sample,
                       .all_rows = shape->dims[0],
                       .all_columns = 1};
    int inner = shape->rank > 0 ? shape->rank - 1 : 0;
    return (block){.rows = strata__local_rows(tensor),
                   .columns = strata__last(&tensor->local),
                   .first_row = tensor->first_sample * strata__product(shape, 1, inner),
                   .first_column = tensor->first_feature,
                   .all_rows = strata__product(shape, 0, inner),
                   .all_columns = strata__last(shape)};
}

/*
 * Every rank puts its piece into a zeroed whole and the pieces are added as bytes: only one rank of
 * a row contributes to each element, so the sum is exact for any type.
 */
static void place_piece(const strata_tensor *tensor, char *whole)
{
    size_t size = strata_dtype_size(tensor->dtype);
    block b = block_of(tensor);
    for (int64_t i = 0; i < b.rows; i++)
        memcpy(whole + (size_t)((b.first_row + i) * b.all_columns + b.first_column) * size,
               (const char *)tensor->data + (size_t)(i * b.columns) * size,
               (size_t)b.columns * size);
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

/* --- pieces --- */

static bool is_within(const block *inner, const block *outer)
{
    return inner->first_row >= outer->first_row && inner->first_column >= outer->first_column &&
           inner->first_row + inner->rows <= outer->first_row + outer->rows &&
           inner->first_column + inner->columns <= outer->first_column + outer->columns;
}

static bool has_piece(const strata_tensor *from, const strata_tensor *like)
{
    if (from->symbolic || from->dtype != STRATA_FLOAT32 ||
        !strata__shape_equal(&from->shape, &like->shape))
        return false;
    block wanted = block_of(like), had = block_of(from);
    return from->layout.batch <= like->layout.batch && from->layout.split <= like->layout.split &&
           is_within(&wanted, &had);
}

static strata_tensor *refuse_piece(const strata_tensor *from, const strata_tensor *like)
{
    char given[STRATA__SHAPE_TEXT], wanted[STRATA__SHAPE_TEXT];
    strata__fail(like->ctx, STRATA_INVALID,
                 "the upstream gradient (%s, shape %s) does not fit a target of float32 and shape "
                 "%s that is %s",
                 strata_dtype_name(from->dtype), strata__shape_text(&from->shape, given),
                 strata__shape_text(&like->shape, wanted),
                 like->layout.batch ? "a batch" : "whole");
    return NULL;
}

strata_tensor *strata__tensor_piece(strata_tensor *from, const strata_tensor *like)
{
    if (!has_piece(from, like))
        return refuse_piece(from, like);
    if (from->layout.batch == like->layout.batch && from->layout.split == like->layout.split)
        return strata__tensor_share(from);
    strata_tensor *piece = strata__tensor_like(like);
    if (!piece)
        return NULL;
    block b = block_of(like), had = block_of(from);
    const float *data = (const float *)from->data + (b.first_row - had.first_row) * had.columns +
                        (b.first_column - had.first_column);
    for (int64_t i = 0; i < b.rows; i++)
        memcpy((float *)piece->data + i * b.columns, data + i * had.columns,
               (size_t)b.columns * sizeof *data);
    return strata_tensor_keep(piece);
}
