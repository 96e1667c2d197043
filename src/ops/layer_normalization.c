/* Normalization of each sample by its own moments over some axes, whole or split over cols. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/batch.h"
#include "ops/ops.h"
#include "ops/stages.h"
#include "tensor/axes.h"

/* Values normalized again at once for the gradients of γ and β: they stay in the nearest cache. */
#define TILE 4096
/* Values of x that gradients are formed for at once on a thread: they, dy and dx stay in the
 * second-level cache from one pass to the next. */
#define BLOCK 65536

/*
 * Rows of n values, of which this rank has `own`: y = u·γ + β with u = (x − c)·r. A row that is
 * split over cols is never gathered: forward, Σx² and Σx of each row are summed over cols, backward
 * Σg·u and Σg: 8 bytes each instead of 4·n.
 */
typedef struct rows {
    int64_t count, n, own;
    strata__scaling scaling;
    bool split;
    /*
     * (count) each. c is the mean as a float32; what it lacks is put back by `rest` = (c − mean)·r.
     * Where the mean is not subtracted u = x·r, and the mean matters for the gradient only.
     */
    float *mean, *rest, *r;
} rows;

/* What makes u of x: u = (x − center)·r + rest. */
typedef struct row {
    float center, r, rest;
} row;

static row row_at(const rows *k, int64_t i)
{
    bool centred = k->scaling == STRATA__STANDARDIZED;
    return (row){centred ? k->mean[i] : 0.0f, k->r[i], centred ? k->rest[i] : 0.0f};
}

/* --- kernels --- */

/* Σx² and Σx: squares of float32 are exact in double, so nothing is lost that x had. */
STRATA__SIMD static void row_sums(const float *x, int64_t n, double *squares, double *sum)
{
    double a = 0.0, b = 0.0;
#pragma omp simd reduction(+ : a, b)
    for (int64_t j = 0; j < n; j++) {
        double value = (double)x[j];
        a += value * value;
        b += value;
    }
    *squares = a;
    *sum = b;
}

/* y = u·γ + β */
STRATA__SIMD static void row_transform(const float *x, int64_t n, row k, const float *gamma,
                                       const float *beta, float *y)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        y[j] = ((x[j] - k.center) * k.r + k.rest) * gamma[j] + beta[j];
}

STRATA__SIMD static void row_normalize(const float *x, int64_t n, row k, float *u)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        u[j] = (x[j] - k.center) * k.r + k.rest;
}

/* Σg·u and Σg with g = dy·γ */
STRATA__SIMD static void row_gradient_sums(const float *x, const float *dy, int64_t n, row k,
                                           const float *gamma, double *dot, double *sum)
{
    double a = 0.0, b = 0.0;
#pragma omp simd reduction(+ : a, b)
    for (int64_t j = 0; j < n; j++) {
        float g = dy[j] * gamma[j];
        a += (double)(g * ((x[j] - k.center) * k.r + k.rest));
        b += (double)g;
    }
    *dot = a;
    *sum = b;
}

/* dx = r·(g − offset − u·slope), added where it `adds` */
STRATA__SIMD static void row_gradient(const float *x, const float *dy, int64_t n, row k,
                                      const float *gamma, float offset, float slope, bool adds,
                                      float *dx)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        dx[j] = (adds ? dx[j] : 0.0f) +
                k.r * (dy[j] * gamma[j] - offset - ((x[j] - k.center) * k.r + k.rest) * slope);
}

/* --- a sum and then a pass over the rows --- */

typedef struct work {
    const rows *rows;
    double epsilon;
    const float *x, *dy;
    const float *gamma, *beta; /* (own) */
    float *y, *dx;
    bool adds;    /* to dx */
    double *sums; /* (2, count): Σx² and Σx, or Σg·u and Σg */
} work;

/* `sum` leaves one sum of each row, or two. */
static void sum_and_pass(strata_context *ctx, const work *w, bool both, strata__work *sum,
                         strata__work *pass)
{
    const rows *k = w->rows;
    const strata__stage stages[] = {{sum, strata__sum, w->sums, both ? 2 : 1, STRATA_FLOAT64},
                                    {.work = pass}};
    strata__in_stages(ctx, &(strata__staged){.rows = k->count,
                                             .n = k->own,
                                             .split = k->split,
                                             .count = 2,
                                             .stages = stages,
                                             .user = w});
}

/* --- forward --- */

static void measure(const void *user, int64_t first, int64_t count)
{
    const work *w = user;
    const rows *k = w->rows;
    for (int64_t i = first; i < first + count; i++)
        row_sums(w->x + i * k->own, k->own, &w->sums[i], &w->sums[k->count + i]);
}

/* From the sums of a row to its mean, r and rest. */
static void finish_moments(const rows *k, const work *w, int64_t i)
{
    double n = (double)k->n, squares = w->sums[i] / n, mean = w->sums[k->count + i] / n;
    if (k->scaling == STRATA__BY_MEAN_SQUARE)
        mean = 0.0;
    double r = 1.0 / sqrt(fmax(squares - mean * mean, 0.0) + w->epsilon);
    k->mean[i] = (float)mean;
    k->r[i] = (float)r;
    k->rest[i] = (float)(((double)k->mean[i] - mean) * r);
}

static void transform(const void *user, int64_t first, int64_t count)
{
    const work *w = user;
    const rows *k = w->rows;
    for (int64_t i = first; i < first + count; i++) {
        finish_moments(k, w, i);
        row_transform(w->x + i * k->own, k->own, row_at(k, i), w->gamma, w->beta,
                      w->y + i * k->own);
    }
}

/* --- gradients --- */

static void measure_gradient(const void *user, int64_t first, int64_t count)
{
    const work *w = user;
    const rows *k = w->rows;
    for (int64_t i = first; i < first + count; i++)
        row_gradient_sums(w->x + i * k->own, w->dy + i * k->own, k->own, row_at(k, i), w->gamma,
                          &w->sums[i], &w->sums[k->count + i]);
}

/*
 * With ū = (x − mean)·r:  dx = r·(g − Σg/n − ū·Σ(g·u)/n), the middle term only where u is centred.
 * So in terms of u itself, where ū = u − mean·r if it is not.
 */
static void transform_gradient(const void *user, int64_t first, int64_t count)
{
    const work *w = user;
    const rows *k = w->rows;
    bool centred = k->scaling == STRATA__STANDARDIZED;
    for (int64_t i = first; i < first + count; i++) {
        double n = (double)k->n, slope = w->sums[i] / n;
        double offset =
            centred ? w->sums[k->count + i] / n : -(double)k->mean[i] * (double)k->r[i] * slope;
        row_gradient(w->x + i * k->own, w->dy + i * k->own, k->own, row_at(k, i), w->gamma,
                     (float)offset, (float)slope, w->adds, w->dx + i * k->own);
    }
}

/* The vector's values, or n times `value` in memory to free. */
static const float *values_or(strata_context *ctx, const strata_tensor *vector, int64_t n,
                              float value, float **own)
{
    *own = NULL;
    if (vector)
        return vector->data;
    *own = strata__scratch(ctx, n, sizeof(float));
    for (int64_t j = 0; j < n; j++)
        (*own)[j] = value;
    return *own;
}

/* Σdy (n) and Σdy·u (n) get those of the rows; u is formed again tile by tile. */
static void add_parameter_sums(const work *w, float *u, double *sums)
{
    const rows *k = w->rows;
    int64_t n = k->own, height = TILE / (n + 1) + 1;
    for (int64_t first = 0; first < k->count; first += height) {
        int64_t count = height < k->count - first ? height : k->count - first;
        for (int64_t i = 0; i < count; i++)
            row_normalize(w->x + (first + i) * n, n, row_at(k, first + i), u + i * n);
        strata__batch_moments_part(w->dy + first * n, u, NULL, count, n, sums, sums + n);
    }
}

/* Where the gradients of γ and β are summed; sums NULL: nobody wants them. */
typedef struct parameter_sums {
    double *sums; /* Σdy (n), Σdy·u (n) */
    float *u;     /* a tile */
} parameter_sums;

static void form_gradients(strata_context *ctx, const work *w, const parameter_sums *p)
{
    if (p->sums)
        add_parameter_sums(w, p->u, p->sums);
    if (w->dx)
        sum_and_pass(ctx, w, w->rows->scaling == STRATA__STANDARDIZED, measure_gradient,
                     transform_gradient);
}

/* Some rows after the other; all at once where they are split, and their sums joined. */
static void in_blocks(strata_context *ctx, const work *all, const parameter_sums *p)
{
    const rows *k = all->rows;
    if (k->split) {
        form_gradients(ctx, all, p);
        return;
    }
    int64_t height = (int64_t)BLOCK * omp_get_max_threads() / (k->own + 1) + 1;
    for (int64_t first = 0; first < k->count; first += height) {
        rows part = *k;
        part.count = height < k->count - first ? height : k->count - first;
        part.mean += first;
        part.rest += first;
        part.r += first;
        work w = *all;
        w.rows = &part;
        w.x += first * k->own;
        w.dy += first * k->own;
        w.dx += w.dx ? first * k->own : 0;
        form_gradients(ctx, &w, p);
    }
}

typedef struct saved {
    rows rows;
    strata_tensor *moments; /* (3, count), what the rows point at */
} saved;

static void gradient(strata_context *ctx, strata__node *node)
{
    const rows *k = &((const saved *)node->saved)->rows;
    strata_tensor *x = node->inputs[0], *gamma = node->inputs[1], *beta = node->inputs[2];
    int64_t n = k->own;
    float into = 0.0f, *ones;
    parameter_sums p = {0};
    if (strata__wants(gamma) || strata__wants(beta)) {
        p.sums = strata__scratch(ctx, 2 * n, sizeof *p.sums);
        p.u = strata__scratch(ctx, (TILE / (n + 1) + 1) * n, sizeof *p.u);
        memset(p.sums, 0, (size_t)(2 * n) * sizeof *p.sums);
    }
    work w = {.rows = k,
              .x = x->data,
              .dy = strata__gradient_at(node, 0)->data,
              .gamma = values_or(ctx, gamma, n, 1.0f, &ones),
              .dx = strata__gradient_into(x, &into),
              .sums = strata__scratch(ctx, 2 * k->count, sizeof *w.sums)};
    if (strata__wants(x) && !w.dx)
        strata__abort(ctx, "gradient of a normalization");
    w.adds = into != 0.0f;
    in_blocks(ctx, &w, &p);
    if (p.sums) {
        strata__batch_gradient_part(beta, x, p.sums);
        strata__batch_gradient_part(gamma, x, p.sums + n);
    }
    strata__free(ctx, w.sums);
    strata__free(ctx, ones);
    strata__free(ctx, p.u);
    strata__free(ctx, p.sums);
}

/* --- the operation --- */

static void compute(const strata_tensor *x, const rows *k, double epsilon,
                    const strata_tensor *gamma, const strata_tensor *beta, strata_tensor *y)
{
    strata_context *ctx = x->ctx;
    float *own_gamma, *own_beta;
    work w = {.rows = k,
              .epsilon = epsilon,
              .x = x->data,
              .gamma = values_or(ctx, gamma, k->own, 1.0f, &own_gamma),
              .beta = values_or(ctx, beta, k->own, 0.0f, &own_beta),
              .y = y->data,
              .sums = strata__scratch(ctx, 2 * k->count, sizeof(double))};
    sum_and_pass(ctx, &w, k->scaling != STRATA__BY_MEAN_SQUARE, measure, transform);
    strata__free(ctx, w.sums);
    strata__free(ctx, own_gamma);
    strata__free(ctx, own_beta);
}

static strata_tensor *alike(const strata_tensor *x, strata_tensor *vector)
{
    return x->layout.split ? strata__split(vector) : strata__whole(vector);
}

/* Over the last `axis_count` axes, the last of which may be split. */
static strata_tensor *normalize(strata_tensor *x, int axis_count, strata_tensor *gamma,
                                strata_tensor *beta, double epsilon, strata__scaling scaling)
{
    strata_tensor *y = x ? strata__tensor_like(x) : NULL;
    if (!y || y->symbolic)
        return y;
    strata_context *ctx = x->ctx;
    int first = x->shape.rank - axis_count;
    saved s = {.rows = {.count = strata__product(&x->local, 0, first),
                        .n = strata__product(&x->shape, first, x->shape.rank),
                        .own = strata__product(&x->local, first, x->shape.rank),
                        .scaling = scaling,
                        .split = x->layout.split}};
    int64_t count = s.rows.count;
    s.moments =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(3, count), (strata__layout){0});
    if (!s.moments)
        return NULL;
    s.rows.mean = s.moments->data;
    s.rows.rest = s.rows.mean + count;
    s.rows.r = s.rows.rest + count;
    gamma = alike(x, gamma);
    beta = alike(x, beta);
    compute(x, &s.rows, epsilon, gamma, beta, y);
    strata__node *node = strata__record(ctx, "layer_normalization", gradient, 3,
                                        (strata_tensor *[]){x, gamma, beta}, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
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
                                           strata_tensor *beta, double epsilon,
                                           strata__scaling scaling)
{
    if (!x || !accepts(who, x, axis_count, axes))
        return NULL;
    int forth[STRATA_MAX_RANK], back[STRATA_MAX_RANK];
    if (strata__axes_to_end(x->shape.rank, axis_count, axes, forth, back))
        return normalize(x, axis_count, gamma, beta, epsilon, scaling);
    x = strata__transpose(strata__whole(x), forth);
    return strata__transpose(normalize(x, axis_count, gamma, beta, epsilon, scaling), back);
}
