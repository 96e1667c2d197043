/* Changes of layout: feature axes gathered over the columns of the mesh, and cut again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "ops/ops.h"

/* Columns of one matrix to or from columns of another; strides and counts in elements of `size`
 * bytes. */
static void copy_columns(const char *from, int64_t from_stride, char *to, int64_t to_stride,
                         int64_t rows, int64_t columns, size_t size)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + (size_t)(i * to_stride) * size, from + (size_t)(i * from_stride) * size,
               (size_t)columns * size);
}

/* (rows × own columns) → (rows × all columns) */
static void gather(const strata_tensor *piece, strata_tensor *whole)
{
    strata_context *ctx = piece->ctx;
    size_t size = strata_dtype_size(piece->dtype);
    int64_t rows = strata__local_rows(piece), columns = strata__last(&piece->shape);
    if (size == sizeof(float)) {
        strata__gather_columns(ctx, STRATA__COLS, piece->data, whole->data, rows, columns);
        return;
    }
    /* One rank has each element and the others zeros: a sum of bytes is exact for any type. */
    int64_t own = strata__last(&piece->local), bytes = rows * columns * (int64_t)size;
    memset(whole->data, 0, (size_t)bytes);
    copy_columns(piece->data, own, (char *)whole->data + (size_t)piece->first_feature * size,
                 columns, rows, own, size);
    strata__sum(ctx, STRATA__COLS, whole->data, bytes, STRATA_UINT8);
}

static void cut(const strata_tensor *whole, strata_tensor *piece)
{
    size_t size = strata_dtype_size(piece->dtype);
    copy_columns((const char *)whole->data + (size_t)piece->first_feature * size,
                 strata__last(&whole->local), piece->data, strata__last(&piece->local),
                 strata__local_rows(piece), strata__last(&piece->local), size);
}

static strata_tensor *with_split(strata_tensor *x, bool split)
{
    strata__layout layout = {.batch = x->layout.batch, .split = split};
    strata_tensor *y = strata__tensor_new(x->ctx, x->dtype, &x->shape, layout);
    if (y)
        y->mask = strata__tensor_share(x->mask);
    return y;
}

/* dx as x from dy in the other layout. */
static void give(strata_tensor *x, const strata_tensor *dy,
                 void (*convert)(const strata_tensor *, strata_tensor *))
{
    strata_tensor *dx = strata__tensor_like(x);
    if (!dx)
        strata__abort(x->ctx, "gradient of a change of layout");
    strata_tensor_keep(dx);
    convert(dy, dx);
    strata__gradient_give(x, dx);
    strata_tensor_release(dx);
}

/* The own columns of dy, which is the same on all columns of the mesh. */
static void whole_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    give(node->inputs[0], strata__gradient_at(node, 0), cut);
}

strata_tensor *strata__whole(strata_tensor *x)
{
    if (!x || !x->layout.split || x->symbolic)
        return x;
    strata_tensor *y = with_split(x, false);
    if (!y)
        return NULL;
    gather(x, y);
    strata__record(x->ctx, "whole", whole_gradient, 1, &x, 1, &y, 0);
    return y;
}

static void split_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    give(node->inputs[0], strata__gradient_at(node, 0), gather);
}

strata_tensor *strata__split(strata_tensor *x)
{
    if (!x || x->layout.split || x->symbolic || x->ctx->mesh->cols == 1)
        return x;
    strata_tensor *y = with_split(x, true);
    if (!y)
        return NULL;
    cut(x, y);
    strata__record(x->ctx, "split", split_gradient, 1, &x, 1, &y, 0);
    return y;
}
