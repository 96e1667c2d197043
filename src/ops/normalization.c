/* Batch normalization: y = (x − mean)/√(variance + ε)·γ + β with moments of the whole global batch.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/batch.h"
#include "ops/ops.h"
#include "ops/threads.h"

/* Keras adds it to the number of unmasked positions. */
#define MASK_EPSILON 1e-7

/* What the gradient needs besides x and γ; n: own features. */
typedef struct saved {
    double count;           /* of positions in the global batch; 0: the moments were given */
    strata_tensor *weights; /* mask as 0 and 1, a value a position; NULL: all 1 */
    strata_tensor *moments; /* (2, n) in double: mean, 1/√(variance + ε) */
} saved;

static const double *mean_of(const saved *s)
{
    return s->moments->data;
}

static const double *inverse_of(const saved *s)
{
    return mean_of(s) + s->moments->shape.dims[1];
}

/* Own part of a vector over the whole feature axis; NULL stays NULL. */
static const float *own_part(const strata_tensor *vector, const strata_tensor *x)
{
    return vector ? (const float *)vector->data + x->first_feature : NULL;
}

/* --- kernels --- */

/*
 * Rows of x, dy and `to`, vectors of n values, and w with one value a row. In double: with few
 * positions most of dy cancels out of dx, and memory is what these loops wait for anyway.
 */
typedef struct row_work {
    int64_t n;
    const float *x, *dy, *w;
    const double *mean, *scale, *offset, *slope;
    float *to;
} row_work;

/* y = (x − mean)·scale + offset */
STRATA__SIMD static void transform(const row_work *k, int64_t first, int64_t rows)
{
    int64_t n = k->n;
    const float *x = k->x + first * n;
    float *y = k->to + first * n;
    for (int64_t i = 0; i < rows; i++, x += n, y += n) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            y[j] = (float)(((double)x[j] - k->mean[j]) * k->scale[j] + k->offset[j]);
    }
}

/* dx = scale·dy − w·(offset + slope·(x − mean)) */
STRATA__SIMD static void transform_gradient(const row_work *k, int64_t first, int64_t rows)
{
    int64_t n = k->n;
    const float *x = k->x + first * n, *dy = k->dy + first * n;
    float *dx = k->to + first * n;
    for (int64_t i = 0; i < rows; i++, x += n, dy += n, dx += n) {
        double w = k->w ? (double)k->w[first + i] : 1.0;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] = (float)(k->scale[j] * (double)dy[j] -
                            w * (k->offset[j] + k->slope[j] * ((double)x[j] - k->mean[j])));
    }
}

static void transform_piece(const void *user, int64_t first, int64_t count)
{
    transform(user, first, count);
}

static void transform_gradient_piece(const void *user, int64_t first, int64_t count)
{
    transform_gradient(user, first, count);
}

/* --- moments --- */

/* Over all ranks, unless x is the same on all of them. */
static void total(const strata_tensor *x, double *values, int64_t count)
{
    if (x->layout.batch)
        strata__batch_total(x->ctx, values, (int)count);
}

/*
 * One pass, one reduction. Squares of float32 are exact in double, so Σ(x − m)² = Σx² − 2m·Σx +
 * m²·Σ1 keeps more digits than x has. With a mask m = Σwx/(Σw + ε) is not quite the mean, hence all
 * three terms.
 */
static bool measure(const strata_tensor *x, saved *s, double *mean, double *variance)
{
    int64_t n = strata__last(&x->local), rows = strata__local_rows(x);
    double *sums =
        strata__calloc(x->ctx, (size_t)(2 * n + 1), sizeof *sums); /* Σwx (n), Σwx² (n), Σw */
    if (!sums)
        return false;
    const float *weights = s->weights ? s->weights->data : NULL;
    strata__batch_moments_part(x->data, x->data, weights, rows, n, sums, sums + n);
    sums[2 * n] = weights ? strata__batch_dot_part(weights, NULL, rows) : (double)rows;
    total(x, sums, 2 * n + 1);
    double positions = sums[2 * n];
    s->count = positions + (weights ? MASK_EPSILON : 0.0);
    for (int64_t j = 0; j < n; j++) {
        double m = sums[j] / s->count;
        mean[j] = m;
        variance[j] = fmax((sums[n + j] - 2.0 * m * sums[j] + m * m * positions) / s->count, 0.0);
    }
    strata__free(x->ctx, sums);
    return true;
}

/* Own columns → all columns, in float32. */
static bool publish(const strata_tensor *x, const double *own, strata_tensor *whole)
{
    int64_t n = strata__last(&x->local);
    float *piece = x->layout.split ? strata__alloc(x->ctx, (size_t)n * sizeof *piece) : whole->data;
    if (!piece)
        return false;
    for (int64_t j = 0; j < n; j++)
        piece[j] = (float)own[j];
    if (!x->layout.split)
        return true;
    strata__gather_columns(x->ctx, STRATA__COLS, piece, whole->data, 1, strata__last(&x->shape));
    strata__free(x->ctx, piece);
    return true;
}

static void take_over(const strata_tensor *x, const strata_tensor *whole, double *own)
{
    const float *piece = own_part(whole, x);
    for (int64_t j = 0; j < strata__last(&x->local); j++)
        own[j] = (double)piece[j];
}

static strata_tensor *weights_of(strata_tensor *mask)
{
    strata_tensor *weights = strata__tensor_like(mask);
    if (!weights)
        return NULL;
    const bool *from = mask->data;
    float *to = weights->data;
    int64_t count = strata__local_count(mask);
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i] ? 1.0f : 0.0f;
    return weights;
}

/* Fills s->moments, from the batch or from what was given. */
static bool prepare(const strata_tensor *x, strata_tensor *mean, strata_tensor *variance,
                    double epsilon, strata_tensor *mask, bool training, saved *s)
{
    int64_t n = strata__last(&x->local);
    s->moments =
        strata__tensor_new(x->ctx, STRATA_FLOAT64, &STRATA_SHAPE(2, n), (strata__layout){0});
    s->weights = mask && training ? weights_of(mask) : NULL;
    if (!s->moments || (mask && training && !s->weights))
        return false;
    double *moments = s->moments->data;
    if (training) {
        if (!measure(x, s, moments, moments + n) || !publish(x, moments, mean) ||
            !publish(x, moments + n, variance))
            return false;
    } else {
        take_over(x, mean, moments);
        take_over(x, variance, moments + n);
    }
    for (int64_t j = 0; j < n; j++)
        moments[n + j] = 1.0 / sqrt(moments[n + j] + epsilon);
    return true;
}

/* --- gradient --- */

/*
 * With x̂ = (x − mean)/√(variance + ε) and N positions:
 *
 *   dx = γ/√(variance + ε)·(dy − (Σdy + x̂·Σdy·x̂)/N),  dγ = Σdy·x̂,  dβ = Σdy
 *
 * Sums are over the global batch, for γ and β over the own samples. Moments that were given are
 * constants: the sums fall away from dx.
 */
static void input_gradient(strata_context *ctx, const saved *s, strata_tensor *x,
                           const strata_tensor *dy, const float *gamma, double *sums)
{
    int64_t n = strata__last(&x->local);
    const double *mean = mean_of(s), *inverse = inverse_of(s);
    strata_tensor *dx = strata_tensor_keep(strata__tensor_like(x));
    double *scale = strata__calloc(ctx, (size_t)(3 * n), sizeof *scale); /* scale, offset, slope */
    if (dx && scale) {
        if (s->count > 0.0)
            total(x, sums, 2 * n);
        for (int64_t j = 0; j < n; j++) {
            scale[j] = (gamma ? (double)gamma[j] : 1.0) * inverse[j];
            if (s->count > 0.0) {
                scale[n + j] = scale[j] * sums[j] / s->count;
                scale[2 * n + j] = scale[j] * inverse[j] * sums[n + j] / s->count;
            }
        }
        row_work work = {.n = n,
                         .x = x->data,
                         .dy = dy->data,
                         .w = s->weights ? s->weights->data : NULL,
                         .mean = mean,
                         .scale = scale,
                         .offset = scale + n,
                         .slope = scale + 2 * n,
                         .to = dx->data};
        strata__on_threads(strata__local_rows(x), n, transform_gradient_piece, &work);
        strata__gradient_give(x, dx);
    }
    strata__free(ctx, scale);
    strata_tensor_release(dx);
}

/* Σdy (n) and Σdy·x̂ (n) over the own samples; the caller frees them. */
static double *gradient_sums(strata_context *ctx, const saved *s, const strata_tensor *x,
                             const strata_tensor *dy)
{
    int64_t n = strata__last(&x->local);
    double *sums = strata__calloc(ctx, (size_t)(2 * n), sizeof *sums);
    if (!sums)
        return NULL;
    strata__batch_moments_part(dy->data, x->data, NULL, strata__local_rows(x), n, sums, sums + n);
    for (int64_t j = 0; j < n; j++)
        sums[n + j] = (sums[n + j] - mean_of(s)[j] * sums[j]) * inverse_of(s)[j];
    return sums;
}

static void batch_normalization_gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0], *gamma = node->inputs[1], *beta = node->inputs[2];
    const strata_tensor *dy = strata__gradient_at(node, 0);
    double *sums = gradient_sums(ctx, s, x, dy);
    if (!sums)
        return;
    strata__batch_gradient_part(beta, x, sums);
    strata__batch_gradient_part(gamma, x, sums + strata__last(&x->local));
    if (strata__wants(x))
        input_gradient(ctx, s, x, dy, own_part(gamma, x), sums);
    strata__free(ctx, sums);
}

/* --- the operation --- */

static bool compute(const strata_tensor *x, const saved *s, const float *gamma, const float *beta,
                    strata_tensor *y)
{
    int64_t n = strata__last(&x->local);
    double *scale = strata__alloc(x->ctx, (size_t)(2 * n) * sizeof *scale); /* scale, offset */
    if (!scale)
        return false;
    for (int64_t j = 0; j < n; j++) {
        scale[j] = (gamma ? (double)gamma[j] : 1.0) * inverse_of(s)[j];
        scale[n + j] = beta ? (double)beta[j] : 0.0;
    }
    row_work work = {.n = n,
                     .x = x->data,
                     .mean = mean_of(s),
                     .scale = scale,
                     .offset = scale + n,
                     .to = y->data};
    strata__on_threads(strata__local_rows(x), n, transform_piece, &work);
    strata__free(x->ctx, scale);
    return true;
}

/* Features on the last axis; each rank normalizes those it has. */
static strata_tensor *normalize(strata_tensor *x, strata_tensor *gamma, strata_tensor *beta,
                                strata_tensor *mean, strata_tensor *variance, double epsilon,
                                strata_tensor *mask, bool training)
{
    if (!x)
        return NULL;
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    saved s = {0};
    if (!prepare(x, mean, variance, epsilon, mask, training, &s) ||
        !compute(x, &s, own_part(gamma, x), own_part(beta, x), y))
        return NULL;
    strata__node *node = strata__record(x->ctx, "batch_normalization", batch_normalization_gradient,
                                        3, (strata_tensor *[]){x, gamma, beta}, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
}

static bool accepts(const char *who, const strata_tensor *x, int axis, const strata_tensor *mask)
{
    int last = x->shape.rank - 1;
    if (x->dtype != STRATA_FLOAT32)
        strata__fail(x->ctx, STRATA_INVALID, "%s: the input is %s; cast it to float32 first", who,
                     strata_dtype_name(x->dtype));
    else if (axis < 1 || axis > last)
        strata__fail(x->ctx, STRATA_INVALID,
                     "%s: axis %d is not a feature axis of an input with %d axes", who, axis,
                     x->shape.rank);
    else if (mask && axis != last)
        strata__fail(
            x->ctx, STRATA_UNSUPPORTED,
            "%s: a mask is supported for features on the last axis only, not on axis %d of %d", who,
            axis, x->shape.rank);
    else if (mask && strata__local_count(mask) != strata__local_rows(x) && !x->symbolic)
        strata__fail(x->ctx, STRATA_INVALID,
                     "%s: the mask must have the shape of the input without its last axis", who);
    else
        return true;
    return false;
}

strata_tensor *strata__batch_normalization(const char *who, strata_tensor *x, int axis,
                                           strata_tensor *gamma, strata_tensor *beta,
                                           strata_tensor *mean, strata_tensor *variance,
                                           double epsilon, strata_tensor *mask, bool training)
{
    if (!x || !accepts(who, x, axis, training ? mask : NULL))
        return NULL;
    int last = x->shape.rank - 1;
    if (axis == last)
        return normalize(x, gamma, beta, mean, variance, epsilon, mask, training);
    int swap[STRATA_MAX_RANK]; /* its own inverse */
    for (int i = 0; i <= last; i++)
        swap[i] = i == axis ? last : i == last ? axis : i;
    x = strata__transpose(strata__whole(x), swap);
    return strata__transpose(normalize(x, gamma, beta, mean, variance, epsilon, NULL, training),
                             swap);
}
