/* softmax and log_softmax over any axes, with masks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "ops/activation.h"
#include "ops/math.h"
#include "ops/threads.h"
#include "tensor/axes.h"

/* --- rows of n consecutive numbers --- */

static inline __attribute__((always_inline)) float largest(const float *x, int64_t n)
{
    float most = -INFINITY;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < n; j++)
        most = x[j] > most ? x[j] : most;
    return most;
}

/* y = e^(x − max) / Σ e^(x − max); y may be x. */
STRATA__SIMD static void softmax_row(const float *x, float *y, int64_t n)
{
    float most = largest(x, n), sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        y[j] = strata__exp(x[j] - most);
        sum += y[j];
    }
#pragma omp simd
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

/* y = x − max − ln Σ e^(x − max) */
STRATA__SIMD static void log_softmax_row(const float *x, float *y, int64_t n)
{
    float most = largest(x, n), sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += strata__exp(x[j] - most);
    float rest = logf(sum);
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] = x[j] - most - rest;
}

/* dx = beta·dx + y·(dy − Σ dy·y) */
STRATA__SIMD static void softmax_gradient_row(const float *y, const float *dy, int64_t n,
                                              float beta, float *dx)
{
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < n; j++)
        dot += y[j] * dy[j];
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        dx[j] = (beta == 0.0f ? 0.0f : dx[j]) + y[j] * (dy[j] - dot);
}

/* dx = beta·dx + dy − e^y·Σ dy */
STRATA__SIMD static void log_softmax_gradient_row(const float *y, const float *dy, int64_t n,
                                                  float beta, float *dx)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += dy[j];
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        dx[j] = (beta == 0.0f ? 0.0f : dx[j]) + dy[j] - strata__exp(y[j]) * sum;
}

/* --- over the last axes --- */

/* n: product of those axes. */
typedef struct rows {
    bool logarithm;
    int64_t n;
    const float *x;
    const unsigned char *mask; /* as x, or NULL */
    float *y;
} rows;

static void forward_rows(const void *user, int64_t first, int64_t count)
{
    const rows *r = user;
    for (int64_t at = first * r->n; at < (first + count) * r->n; at += r->n) {
        if (r->logarithm)
            log_softmax_row(r->x + at, r->y + at, r->n);
        else if (r->mask)
            masked_row(r->x + at, r->mask + at, r->y + at, r->n);
        else
            softmax_row(r->x + at, r->y + at, r->n);
    }
}

typedef struct saved {
    bool logarithm;
    int64_t n;
} saved;

typedef struct gradient_rows {
    saved saved;
    const float *y, *dy;
    float beta;
    float *dx;
} gradient_rows;

static void backward_rows(const void *user, int64_t first, int64_t count)
{
    const gradient_rows *r = user;
    int64_t n = r->saved.n;
    for (int64_t at = first * n; at < (first + count) * n; at += n) {
        if (r->saved.logarithm)
            log_softmax_gradient_row(r->y + at, r->dy + at, n, r->beta, r->dx + at);
        else
            softmax_gradient_row(r->y + at, r->dy + at, n, r->beta, r->dx + at);
    }
}

static int64_t row_count(const strata_tensor *x, int64_t n)
{
    return n ? strata__local_count(x) / n : 0;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    strata_tensor *x = node->inputs[0];
    const strata_tensor *y = node->outputs[0];
    gradient_rows r = {.saved = *(const saved *)node->saved, .y = y->data, .dy = y->gradient->data};
    r.dx = strata__gradient_into(x, &r.beta);
    if (r.dx)
        strata__on_threads(row_count(x, r.saved.n), r.saved.n, backward_rows, &r);
}

static strata_tensor *over_last(strata_tensor *x, int axes, const strata_tensor *mask,
                                bool logarithm)
{
    strata_tensor *y = x ? strata__tensor_like(x) : NULL;
    if (!y || y->symbolic)
        return y;
    rows r = {.logarithm = logarithm,
              .n = strata__product(&x->local, x->local.rank - axes, x->local.rank),
              .x = x->data,
              .mask = mask ? mask->data : NULL,
              .y = y->data};
    strata__on_threads(row_count(x, r.n), r.n, forward_rows, &r);
    strata__node *node = strata__record(x->ctx, "softmax", gradient, 1, &x, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){logarithm, r.n};
    return y;
}

/* --- over any axes: moved to the end and back --- */

static bool accepts(const char *who, const strata_tensor *x, int axis_count, const int *axes,
                    const strata_tensor *mask)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    if (!strata__is_float(who, x))
        return false;
    for (int i = 0; i < axis_count; i++) {
        if (axes[i] == 0 && x->layout.batch)
            strata__fail(x->ctx, STRATA_UNSUPPORTED,
                         "%s: axis 0 is the batch, which is spread over the ranks; transpose it "
                         "or choose another axis",
                         who);
    }
    if (mask && !strata__shape_equal(&mask->shape, &x->shape))
        strata__fail(x->ctx, STRATA_INVALID, "%s: mask of shape %s for an input of shape %s", who,
                     strata__shape_text(&mask->shape, theirs), strata__shape_text(&x->shape, ours));
    return x->ctx->status == STRATA_OK;
}

static strata_tensor *over_axes(const char *who, strata_tensor *x, int axis_count, const int *axes,
                                strata_tensor *mask, bool logarithm)
{
    int forth[STRATA_MAX_RANK], back[STRATA_MAX_RANK];
    if (!accepts(who, x, axis_count, axes, mask))
        return NULL;
    x = strata__whole(x);
    mask = strata__whole(mask);
    if (!x || strata__axes_to_end(x->shape.rank, axis_count, axes, forth, back))
        return over_last(x, axis_count, mask, logarithm);
    x = strata__transpose(x, forth);
    mask = strata__transpose(mask, forth);
    return strata__transpose(over_last(x, axis_count, mask, logarithm), back);
}

strata_tensor *strata__softmax(strata_tensor *x, int axis_count, const int *axes,
                               strata_tensor *mask)
{
    return over_axes("softmax", x, axis_count, axes, mask, false);
}

strata_tensor *strata__log_softmax(strata_tensor *x, int axis_count, const int *axes)
{
    return over_axes("log_softmax", x, axis_count, axes, NULL, true);
}
