/* softmax and log_softmax over any axes, with masks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/vector.h"
#include "ops/activation.h"
#include "ops/math.h"

/* --- rows of n consecutive numbers --- */

STRATA__VECTOR static void softmax_row(const float *x, float *y, int64_t n)
{
    float most = x[0], sum = 0;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < n; j++)
        most = x[j] > most ? x[j] : most;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        y[j] = strata__exp(x[j] - most);
        sum += y[j];
    }
    for (int64_t j = 0; j < n; j++)
        y[j] /= sum;
}

/* Keras adds −1e9 where the mask is false, and zeroes those after. */
static void masked_row(const float *x, const unsigned char *mask, float *y, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = x[j] + (mask[j] ? 0.0f : -1e9f);
    softmax_row(y, y, n);
    for (int64_t j = 0; j < n; j++)
        y[j] = mask[j] ? y[j] : 0.0f;
}

/* dx = y·(dy − Σ dy·y) */
STRATA__VECTOR static void softmax_gradient_row(const float *y, const float *dy, float *dx,
                                                int64_t n)
{
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < n; j++)
        dot += y[j] * dy[j];
    for (int64_t j = 0; j < n; j++)
        dx[j] = y[j] * (dy[j] - dot);
}

STRATA__VECTOR static void log_softmax_row(const float *x, float *y, int64_t n)
{
    float most = x[0], sum = 0;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < n; j++)
        most = x[j] > most ? x[j] : most;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += strata__exp(x[j] - most);
    float shift = most + logf(sum);
    for (int64_t j = 0; j < n; j++)
        y[j] = x[j] - shift;
}

/* dx = dy − softmax(x)·Σ dy, and softmax(x) = e^y */
STRATA__VECTOR static void log_softmax_gradient_row(const float *y, const float *dy, float *dx,
                                                    int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += dy[j];
    for (int64_t j = 0; j < n; j++)
        dx[j] = dy[j] - strata__exp(y[j]) * sum;
}

/* --- over the last `axes` axes --- */

typedef void gradient_row(const float *y, const float *dy, float *dx, int64_t n);

typedef struct saved {
    gradient_row *row;
    int64_t n;
} saved;

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0];
    const float *y = node->outputs[0]->data, *dy = strata__gradient_at(node, 0)->data;
    strata_tensor *dx = strata__tensor_like(x);
    if (!dx)
        return;
    int64_t rows = s->n ? strata__local_count(x) / s->n : 0;
    for (int64_t i = 0; i < rows; i++)
        s->row(y + i * s->n, dy + i * s->n, (float *)dx->data + i * s->n, s->n);
    strata__gradient_give(x, dx);
}

static void record(strata_tensor *x, strata_tensor *y, gradient_row *row, int64_t n)
{
    strata__node *node = strata__record(x->ctx, "softmax", gradient, 1, &x, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){row, n};
}

static strata_tensor *softmax_last(strata_tensor *x, int axes, strata_tensor *mask)
{
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    int64_t n = strata__product(&x->local, x->local.rank - axes, x->local.rank);
    int64_t rows = n ? strata__local_count(x) / n : 0;
    for (int64_t i = 0; i < rows; i++) {
        if (mask)
            masked_row((const float *)x->data + i * n, (const unsigned char *)mask->data + i * n,
                       (float *)y->data + i * n, n);
        else
            softmax_row((const float *)x->data + i * n, (float *)y->data + i * n, n);
    }
    record(x, y, softmax_gradient_row, n);
    return y;
}

static strata_tensor *log_softmax_last(strata_tensor *x)
{
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    int64_t n = strata__last(&x->local);
    int64_t rows = n ? strata__local_count(x) / n : 0;
    for (int64_t i = 0; i < rows; i++)
        log_softmax_row((const float *)x->data + i * n, (float *)y->data + i * n, n);
    record(x, y, log_softmax_gradient_row, n);
    return y;
}

/* --- over any axes: moved to the end and back --- */

/* The other axes in order, then the given ones; inverse[permutation[i]] = i. */
static bool make_permutation(int rank, int axis_count, const int *axes, int *permutation,
                             int *inverse)
{
    int count = 0;
    for (int i = 0; i < rank; i++) {
        bool chosen = false;
        for (int k = 0; k < axis_count; k++)
            chosen |= axes[k] == i;
        if (!chosen)
            permutation[count++] = i;
    }
    for (int i = 0, k = count; i < rank; i++) {
        for (int a = 0; a < axis_count; a++) {
            if (axes[a] == i)
                permutation[k++] = i;
        }
    }
    bool moved = false;
    for (int i = 0; i < rank; i++) {
        inverse[permutation[i]] = i;
        moved |= permutation[i] != i;
    }
    return moved;
}

static bool covers_batch(const strata_tensor *x, int axis_count, const int *axes)
{
    for (int i = 0; i < axis_count; i++) {
        if (axes[i] == 0 && x->layout.batch)
            return true;
    }
    return false;
}

strata_tensor *strata__softmax(strata_tensor *x, int axis_count, const int *axes,
                               strata_tensor *mask)
{
    int permutation[STRATA_MAX_RANK], inverse[STRATA_MAX_RANK];
    if (!x)
        return NULL;
    x = strata__whole(x);
    if (covers_batch(x, axis_count, axes)) {
        strata__fail(x->ctx, STRATA_UNSUPPORTED, "softmax over the batch axis is not supported");
        return NULL;
    }
    if (mask && !strata__shape_equal(&mask->shape, &x->shape)) {
        char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
        strata__fail(x->ctx, STRATA_INVALID, "softmax: mask of shape %s for an input of shape %s",
                     strata__shape_text(&mask->shape, theirs), strata__shape_text(&x->shape, ours));
        return NULL;
    }
    if (!make_permutation(x->shape.rank, axis_count, axes, permutation, inverse))
        return softmax_last(x, axis_count, mask);
    strata_tensor *moved = strata__transpose(x, permutation);
    strata_tensor *moved_mask = mask ? strata__transpose(mask, permutation) : NULL;
    return moved ? strata__transpose(softmax_last(moved, axis_count, moved_mask), inverse) : NULL;
}

strata_tensor *strata__softmax_axis(strata_tensor *x, int axis)
{
    return strata__softmax(x, 1, &axis, NULL);
}

strata_tensor *strata__log_softmax(strata_tensor *x, int axis)
{
    int permutation[STRATA_MAX_RANK], inverse[STRATA_MAX_RANK];
    x = strata__whole(x);
    if (!x || covers_batch(x, 1, &axis)) {
        if (x)
            strata__fail(x->ctx, STRATA_UNSUPPORTED,
                         "log_softmax over the batch axis is not supported");
        return NULL;
    }
    if (!make_permutation(x->shape.rank, 1, &axis, permutation, inverse))
        return log_softmax_last(x);
    strata_tensor *moved = strata__transpose(x, permutation);
    return moved ? strata__transpose(log_softmax_last(moved), inverse) : NULL;
}
