/* Layer normalization: each sample by its own mean and variance over some axes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/batch.h"
#include "ops/ops.h"
#include "ops/threads.h"
#include "tensor/axes.h"

/* Values normalized again at once for the gradients of γ and β: they stay in the nearest cache. */
#define TILE 4096

/*
 * Rows of n values: y = u·γ + β with u = (x − c)·r, r = 1/√(variance + ε), and c = mean, or 0 where
 * rms_scaling only divides.
 */
typedef struct saved {
    int64_t n;
    bool rms_scaling;
    strata_tensor *moments; /* (2, rows): mean, r */
} saved;

typedef struct rows {
    int64_t rows, n;
    const float *mean, *r; /* (rows) */
    bool rms_scaling;
} rows;

static rows rows_of(const saved *s)
{
    int64_t count = s->moments->shape.dims[1];
    const float *mean = s->moments->data;
    return (rows){
        .rows = count, .n = s->n, .mean = mean, .r = mean + count, .rms_scaling = s->rms_scaling};
}

/* --- kernels --- */

STRATA__SIMD static void row_moments(const float *x, int64_t n, double epsilon, float *mean,
                                     float *r)
{
    float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += x[j];
    float m = sum / (float)n;
#pragma omp simd reduction(+ : squares)
    for (int64_t j = 0; j < n; j++)
        squares += (x[j] - m) * (x[j] - m);
    *mean = m;
    *r = (float)(1.0 / sqrt((double)squares / (double)n + epsilon));
}

/* y = (x − center)·r·γ + β */
STRATA__SIMD static void row_transform(const float *x, int64_t n, float center, float r,
                                       const float *gamma, const float *beta, float *y)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] = (x[j] - center) * r * gamma[j] + beta[j];
}

/* u = (x − center)·r */
STRATA__SIMD static void row_normalize(const float *x, int64_t n, float center, float r, float *u)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        u[j] = (x[j] - center) * r;
}

/* With g = dy·γ and x̂ = (x − mean)·r:  dx = r·(g − Σg/n − x̂·Σ(g·u)/n); the middle term only where u
 * is centred. */
STRATA__SIMD static void row_gradient(const float *x, const float *dy, int64_t n, float mean,
                                      bool centred, float r, const float *gamma, float *dx)
{
    float sum = 0.0f, dot = 0.0f, center = centred ? mean : 0.0f;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t j = 0; j < n; j++) {
        float g = dy[j] * gamma[j];
        sum += g;
        dot += g * (x[j] - center) * r;
    }
    float offset = centred ? sum / (float)n : 0.0f, slope = dot / (float)n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        dx[j] = r * (dy[j] * gamma[j] - offset - (x[j] - mean) * r * slope);
}

/* --- γ and β --- */

/* The vector's values, or n times `value` in memory to free. */
static const float *values_or(strata_context *ctx, const strata_tensor *vector, int64_t n,
                              float value, float **own)
{
    *own = NULL;
    if (vector)
        return vector->data;
    *own = strata__alloc(ctx, (size_t)n * sizeof(float));
    for (int64_t j = 0; *own && j < n; j++)
        (*own)[j] = value;
    return *own;
}

/* dγ = Σ dy·u and dβ = Σ dy over the rows of the own samples; u is formed again tile by tile. */
static void parameter_gradients(strata_context *ctx, const rows *r, const strata_tensor *x,
                                const float *dy, strata_tensor *gamma, strata_tensor *beta)
{
    int64_t n = r->n, height = TILE / (n + 1) + 1;
    double *sums = strata__calloc(ctx, (size_t)(2 * n), sizeof *sums); /* Σdy (n), Σdy·u (n) */
    float *u = strata__alloc(ctx, (size_t)(height * n) * sizeof *u);
    for (int64_t first = 0; sums && u && first < r->rows; first += height) {
        int64_t count = height < r->rows - first ? height : r->rows - first;
        for (int64_t i = 0; i < count; i++) {
            float center = r->rms_scaling ? 0.0f : r->mean[first + i];
            row_normalize((const float *)x->data + (first + i) * n, n, center, r->r[first + i],
                          u + i * n);
        }
        strata__batch_moments_part(dy + first * n, u, NULL, count, n, sums, sums + n);
    }
    if (sums && u) {
        strata__batch_gradient_part(beta, x, sums);
        strata__batch_gradient_part(gamma, x, sums + n);
    }
    strata__free(ctx, u);
    strata__free(ctx, sums);
}

typedef struct gradient_work {
    const rows *r;
    const float *x, *dy, *gamma;
    float *dx;
} gradient_work;

static void gradient_piece(const void *user, int64_t first, int64_t count)
{
    const gradient_work *w = user;
    const rows *r = w->r;
    for (int64_t i = first; i < first + count; i++)
        row_gradient(w->x + i * r->n, w->dy + i * r->n, r->n, r->mean[i], !r->rms_scaling, r->r[i],
                     w->gamma, w->dx + i * r->n);
}

static void input_gradient(strata_context *ctx, const rows *r, strata_tensor *x, const float *dy,
                           const strata_tensor *gamma)
{
    float *own;
    const float *factors = values_or(ctx, gamma, r->n, 1.0f, &own);
    strata_tensor *dx = strata_tensor_keep(strata__tensor_like(x));
    if (dx && factors) {
        strata__on_threads(r->rows, r->n, gradient_piece,
                           &(gradient_work){r, x->data, dy, factors, dx->data});
        strata__gradient_give(x, dx);
    }
    strata_tensor_release(dx);
    strata__free(ctx, own);
}

static void layer_normalization_gradient(strata_context *ctx, strata__node *node)
{
    rows r = rows_of(node->saved);
    strata_tensor *x = node->inputs[0], *gamma = node->inputs[1], *beta = node->inputs[2];
    const float *dy = strata__gradient_at(node, 0)->data;
    if (strata__wants(gamma) || strata__wants(beta))
        parameter_gradients(ctx, &r, x, dy, gamma, beta);
    if (strata__wants(x))
        input_gradient(ctx, &r, x, dy, gamma);
}

/* --- the operation --- */

typedef struct forward_work {
    int64_t n;
    double epsilon;
    bool rms_scaling;
    const float *x, *gamma, *beta;
    float *mean, *r, *y;
} forward_work;

static void forward_piece(const void *user, int64_t first, int64_t count)
{
    const forward_work *w = user;
    for (int64_t i = first; i < first + count; i++) {
        row_moments(w->x + i * w->n, w->n, w->epsilon, &w->mean[i], &w->r[i]);
        row_transform(w->x + i * w->n, w->n, w->rms_scaling ? 0.0f : w->mean[i], w->r[i], w->gamma,
                      w->beta, w->y + i * w->n);
    }
}

static void compute(const strata_tensor *x, const saved *s, double epsilon, const float *gamma,
                    const float *beta, strata_tensor *y)
{
    int64_t count = s->moments->shape.dims[1];
    float *mean = s->moments->data;
    forward_work work = {s->n, epsilon, s->rms_scaling, x->data, gamma,
                         beta, mean,    mean + count,   y->data};
    strata__on_threads(count, s->n, forward_piece, &work);
}

/* Over the last `axis_count` axes, all of them whole. */
static strata_tensor *normalize(strata_tensor *x, int axis_count, strata_tensor *gamma,
                                strata_tensor *beta, double epsilon, bool rms_scaling)
{
    strata_tensor *y = x ? strata__tensor_like(x) : NULL;
    if (!y || y->symbolic)
        return y;
    strata_context *ctx = x->ctx;
    int first = x->shape.rank - axis_count;
    saved s = {.n = strata__product(&x->local, first, x->shape.rank), .rms_scaling = rms_scaling};
    int64_t count = strata__product(&x->local, 0, first);
    s.moments =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(2, count), (strata__layout){0});
    float *own_gamma, *own_beta;
    const float *scale = values_or(ctx, gamma, s.n, 1.0f, &own_gamma);
    const float *offset = values_or(ctx, beta, s.n, 0.0f, &own_beta);
    if (s.moments && scale && offset)
        compute(x, &s, epsilon, scale, offset, y);
    strata__free(ctx, own_gamma);
    strata__free(ctx, own_beta);
    strata__node *node = strata__record(ctx, "layer_normalization", layer_normalization_gradient, 3,
                                        (strata_tensor *[]){x, gamma, beta}, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return ctx->status == STRATA_OK ? y : NULL;
}

static bool accepts(const char *who, const strata_tensor *x, int axis_count, const int *axes)
{
    bool chosen[STRATA_MAX_RANK] = {false};
    for (int i = 0; i < axis_count; i++) {
        if (axes[i] < 1 || axes[i] >= x->shape.rank || chosen[axes[i]]) {
            strata__fail(
                x->ctx, STRATA_INVALID,
                "%s: axis %d is not a feature axis of an input with %d axes, or is given twice",
                who, axes[i], x->shape.rank);
            return false;
        }
        chosen[axes[i]] = true;
    }
    if (x->dtype != STRATA_FLOAT32)
        strata__fail(x->ctx, STRATA_INVALID, "%s: the input is %s; cast it to float32 first", who,
                     strata_dtype_name(x->dtype));
    return x->dtype == STRATA_FLOAT32;
}

strata_tensor *strata__layer_normalization(const char *who, strata_tensor *x, int axis_count,
                                           const int *axes, strata_tensor *gamma,
                                           strata_tensor *beta, double epsilon, bool rms_scaling)
{
    if (!x || !accepts(who, x, axis_count, axes))
        return NULL;
    int forth[STRATA_MAX_RANK], back[STRATA_MAX_RANK];
    x = strata__whole(x);
    if (!x || strata__axes_to_end(x->shape.rank, axis_count, axes, forth, back))
        return normalize(x, axis_count, gamma, beta, epsilon, rms_scaling);
    x = strata__transpose(x, forth);
    return strata__transpose(normalize(x, axis_count, gamma, beta, epsilon, rms_scaling), back);
}
