/* Sums and means over an axis. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/reduce.h"

#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/batch.h"
#include "ops/pointwise.h"

/* --- sums in local memory --- */

/* Columns summed at once: their sums stay in the nearest cache. */
enum { TILE = 1024 };

STRATA__SIMD static double sum_run(const float *x, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    return sum;
}

/* sums (count) += Σ of rows that lie `stride` apart, four at a time. */
STRATA__SIMD static void sum_strip(const float *x, int64_t rows, int64_t stride, int64_t count,
                                   double *sums)
{
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4, x += 4 * stride) {
        const float *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride;
#pragma omp simd
        for (int64_t j = 0; j < count; j++)
            sums[j] += ((double)x[j] + (double)x1[j]) + ((double)x2[j] + (double)x3[j]);
    }
    for (; i < rows; i++, x += stride) {
#pragma omp simd
        for (int64_t j = 0; j < count; j++)
            sums[j] += (double)x[j];
    }
}

void strata__sum_rows(const float *x, int64_t rows, int64_t n, double *sums)
{
    for (int64_t j = 0; j < n; j += TILE)
        sum_strip(x + j, rows, n, n - j < TILE ? n - j : TILE, sums + j);
}

void strata__store_sums(float *y, float beta, const double *sums, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = (beta == 0.0f ? 0.0f : beta * y[j]) + (float)sums[j];
}

void strata__sum_axis(const float *x, int64_t outer, int64_t n, int64_t inner, float beta, float *y)
{
    for (int64_t o = 0; o < outer; o++) {
        const float *block = x + o * n * inner;
        for (int64_t j = 0; j < inner; j += TILE) {
            double sums[TILE];
            int64_t count = inner - j < TILE ? inner - j : TILE;
            memset(sums, 0, (size_t)count * sizeof *sums);
            if (inner == 1)
                sums[0] = sum_run(block, n);
            else
                sum_strip(block + j, n, inner, count, sums);
            strata__store_sums(y + o * inner + j, beta, sums, count);
        }
    }
}

/* --- the operation --- */

/* The operand as (outer, n, inner), n the axis. */
typedef struct saved {
    int64_t outer, n, inner;
    double scale; /* 1, or 1 / global size of the axis */
    bool total;   /* over the batch axis: summed over ranks */
} saved;

/* dx (outer, n, inner) = beta·dx + scale·dy (outer, inner) */
STRATA__SIMD static void spread(const saved *s, const float *dy, float beta, float *dx)
{
    float scale = (float)s->scale;
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t k = 0; k < s->n; k++) {
            float *row = dx + (o * s->n + k) * s->inner;
#pragma omp simd
            for (int64_t i = 0; i < s->inner; i++)
                row[i] = (beta == 0.0f ? 0.0f : row[i]) + scale * dy[o * s->inner + i];
        }
    }
}

/*
 * The result of a total is whole, and a rank's gradient of a whole tensor is its part of it, so the
 * parts are summed before they go to the samples.
 */
static void total_gradient(strata_context *ctx, const saved *s, const float *dy, strata_tensor *x)
{
    float *sum = strata__alloc(ctx, (size_t)s->inner * sizeof *sum);
    if (!sum)
        strata__abort(ctx, "gradient of a sum over the batch");
    for (int64_t i = 0; i < s->inner; i++)
        sum[i] = dy[i];
    strata__sum(ctx, STRATA__BATCH, sum, s->inner, STRATA_FLOAT32);
    float beta, *dx = strata__gradient_into(x, &beta);
    if (dx)
        spread(s, sum, beta, dx);
    strata__free(ctx, sum);
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0];
    const float *dy = strata__gradient_at(node, 0)->data;
    if (s->total) {
        total_gradient(ctx, s, dy, x);
        return;
    }
    float beta, *dx = strata__gradient_into(x, &beta);
    if (dx)
        spread(s, dy, beta, dx);
}

static void sum_total(strata_context *ctx, const saved *s, const float *x, float *y)
{
    double *sums = strata__alloc(ctx, (size_t)s->inner * sizeof *sums);
    if (!sums)
        strata__abort(ctx, "sum over the batch");
    strata__batch_sum_total(ctx, x, s->n, s->inner, sums);
    for (int64_t i = 0; i < s->inner; i++)
        y[i] = (float)(sums[i] * s->scale);
    strata__free(ctx, sums);
}

static void compute(const saved *s, const strata_tensor *x, strata_tensor *y)
{
    float *out = y->data;
    if (s->total) {
        sum_total(x->ctx, s, x->data, out);
        return;
    }
    strata__sum_axis(x->data, s->outer, s->n, s->inner, 0.0f, out);
    for (int64_t i = 0; s->scale != 1.0 && i < s->outer * s->inner; i++)
        out[i] = (float)((double)out[i] * s->scale);
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
    strata__layout layout = {.batch = x->layout.batch && axis != 0,
                             .split = x->layout.split && axis != x->shape.rank - 1};
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
    compute(&s, x, y);
    strata__node *node = strata__record(x->ctx, "sum", gradient, 1, &x, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
}

/* Over all axes: from the last to the first, so that the batch comes when little is left of it. */
static strata_tensor *reduce(const char *who, strata_tensor *x, int64_t axis, bool keepdims,
                             bool mean)
{
    if (!strata__is_float(who, x))
        return NULL;
    int rank = x->shape.rank;
    if (axis != STRATA_NONE && (axis < -rank || axis >= rank)) {
        strata__fail(x->ctx, STRATA_INVALID, "%s: axis %lld of a tensor with %d axes", who,
                     (long long)axis, rank);
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
    return reduce("sum", x, axis, keepdims, false);
}

strata_tensor *strata_ops_mean(strata_tensor *x, int64_t axis, bool keepdims)
{
    return reduce("mean", x, axis, keepdims, true);
}
