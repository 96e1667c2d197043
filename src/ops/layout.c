/* Changes of layout: feature axes gathered over the columns of the mesh, and cut again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ops/ops.h"

static void copy_columns(const float *from, int64_t from_columns, float *to, int64_t to_columns,
                         int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * to_columns, from + i * from_columns, (size_t)columns * sizeof *to);
}

static strata_tensor *with_split(strata_tensor *x, bool split)
{
    strata__layout layout = {.batch = x->layout.batch, .split = split};
    return strata__tensor_new(x->ctx, STRATA_FLOAT32, &x->shape, layout);
}

/* dx = the own columns of dy, which is the same on all columns of the mesh. */
static void whole_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    strata_tensor *x = node->inputs[0];
    const strata_tensor *dy = strata__gradient_at(node, 0);
    strata_tensor *dx = strata__tensor_like(x);
    if (!dx)
        return;
    copy_columns((const float *)dy->data + x->first_feature, strata__last(&dy->local), dx->data,
                 strata__last(&dx->local), strata__local_rows(x), strata__last(&dx->local));
    strata__gradient_give(x, dx);
}

strata_tensor *strata__whole(strata_tensor *x)
{
    if (!x || !x->layout.split || x->symbolic)
        return x;
    strata_tensor *y = with_split(x, false);
    if (!y)
        return NULL;
    strata__gather_columns(x->ctx, STRATA__COLS, x->data, y->data, strata__local_rows(x),
                           strata__last(&x->shape));
    strata__record(x->ctx, "whole", whole_gradient, 1, &x, 1, &y, 0);
    y->mask = strata__tensor_share(x->mask);
    return y;
}

static void split_gradient(strata_context *ctx, strata__node *node)
{
    strata_tensor *x = node->inputs[0];
    const strata_tensor *dy = strata__gradient_at(node, 0);
    strata_tensor *dx = strata__tensor_like(x);
    if (!dx)
        return;
    strata__gather_columns(ctx, STRATA__COLS, dy->data, dx->data, strata__local_rows(x),
                           strata__last(&x->shape));
    strata__gradient_give(x, dx);
}

strata_tensor *strata__split(strata_tensor *x)
{
    if (!x || x->layout.split || x->symbolic || x->ctx->mesh->cols == 1)
        return x;
    strata_tensor *y = with_split(x, true);
    if (!y)
        return NULL;
    copy_columns((const float *)x->data + y->first_feature, strata__last(&x->local), y->data,
                 strata__last(&y->local), strata__local_rows(y), strata__last(&y->local));
    strata__record(x->ctx, "split", split_gradient, 1, &x, 1, &y, 0);
    return y;
}
