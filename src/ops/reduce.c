/* Sums and means over an axis. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "ops/batch.h"
#include "ops/ops.h"

/* The operand as (outer, n, inner), n the axis. */
typedef struct saved {
    int64_t outer, n, inner;
    double scale; /* 1, or 1 / global size of the axis */
    bool total;   /* over the batch axis: summed over ranks */
} saved;

static void sum_axis(const saved *s, const float *x, float *y)
{
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t i = 0; i < s->inner; i++) {
            double sum = 0;
            for (int64_t k = 0; k < s->n; k++)
                sum += (double)x[(o * s->n + k) * s->inner + i];
            y[o * s->inner + i] = (float)(sum * s->scale);
        }
    }
}

static strata_status sum_total(strata_context *ctx, const saved *s, const float *x, float *y)
{
    double *sums = strata__alloc(ctx, (size_t)s->inner * sizeof *sums);
    if (!sums)
        return STRATA_NO_MEMORY;
    strata__batch_sum_total(ctx, x, s->n, s->inner, sums);
    for (int64_t i = 0; i < s->inner; i++)
        y[i] = (float)(sums[i] * s->scale);
    strata__free(ctx, sums);
    return STRATA_OK;
}

/*
 * dx = scale·dy along the axis. The result of a total is whole, and a rank's gradient of a whole
 * tensor is its part of it, so the parts are summed before they go to the samples.
 */
static void gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0], *dx = strata__tensor_like(x);
    float *dy = strata__alloc(ctx, (size_t)(s->outer * s->inner) * sizeof *dy);
    if (!dx || !dy)
        return;
    memcpy(dy, strata__gradient_at(node, 0)->data, (size_t)(s->outer * s->inner) * sizeof *dy);
    if (s->total)
        strata__sum(ctx, STRATA__BATCH, dy, s->inner, STRATA_FLOAT32);
    float *out = dx->data;
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t k = 0; k < s->n; k++) {
            for (int64_t i = 0; i < s->inner; i++)
                out[(o * s->n + k) * s->inner + i] = (float)s->scale * dy[o * s->inner + i];
        }
    }
    strata__free(ctx, dy);
    strata__gradient_give(x, dx);
}

static strata_tensor *result_for(strata_tensor *x, int axis, bool keepdims)
{
    strata_shape shape = {0};
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != axis)
            shape.dims[shape.rank++] = x->shape.dims[i];
        else if (keepdims)
            shape.dims[shape.rank++] = 1;
    }
    bool batch = x->layout.batch && axis != 0;
    bool split = x->layout.split && axis != x->shape.rank - 1;
    strata__layout layout = {.batch = batch, .split = split};
    return x->symbolic ? strata__tensor_symbolic(x->ctx, STRATA_FLOAT32, &shape, layout)
                       : strata__tensor_new(x->ctx, STRATA_FLOAT32, &shape, layout);
}

static strata_tensor *reduce_axis(strata_tensor *x, int axis, bool keepdims, bool mean)
{
    if (axis == x->shape.rank - 1)
        x = strata__whole(x);
    strata_tensor *y = x ? result_for(x, axis, keepdims) : NULL;
    if (!y || y->symbolic)
        return y;
    saved s = {.outer = strata__product(&x->local, 0, axis),
               .n = x->local.dims[axis],
               .inner = strata__product(&x->local, axis + 1, x->local.rank),
               .scale = mean ? 1.0 / (double)x->shape.dims[axis] : 1,
               .total = x->layout.batch && axis == 0};
    if (s.total)
        sum_total(x->ctx, &s, x->data, y->data);
    else
        sum_axis(&s, x->data, y->data);
    strata__node *node = strata__record(x->ctx, "sum", gradient, 1, &x, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
}

static strata_tensor *reduce(strata_tensor *x, int64_t axis, bool keepdims, bool mean)
{
    if (!x)
        return NULL;
    int rank = x->shape.rank;
    if (x->dtype != STRATA_FLOAT32 || (axis != STRATA_NONE && (axis < -rank || axis >= rank))) {
        strata__fail(x->ctx, STRATA_INVALID, "%s over axis %lld of a %s tensor with %d axes",
                     mean ? "mean" : "sum", (long long)axis, strata_dtype_name(x->dtype), rank);
        return NULL;
    }
    if (axis != STRATA_NONE)
        return reduce_axis(x, (int)(axis < 0 ? axis + rank : axis), keepdims, mean);
    for (int i = rank - 1; i >= 0 && x; i--)
        x = reduce_axis(x, i, keepdims, mean);
    return x;
}

strata_tensor *strata_ops_sum(strata_tensor *x, int64_t axis, bool keepdims)
{
    return reduce(x, axis, keepdims, false);
}

strata_tensor *strata_ops_mean(strata_tensor *x, int64_t axis, bool keepdims)
{
    return reduce(x, axis, keepdims, true);
}
