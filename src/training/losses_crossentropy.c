/* Cross-entropies: binary, categorical and sparse categorical, of probabilities or of logits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "training/loss.h"
#include "training/loss_class.h"
#include "training/softmax.h"

/* Keras's epsilon: probabilities are kept this far from 0 and 1. */
#define EPSILON 1e-7f

#define FROM_LOGITS                                                                                \
    STRATA_FIELD(strata__loss_config, from_logits, .help = "predictions are not yet probabilities")
#define LABEL_SMOOTHING                                                                            \
    STRATA_FIELD(strata__loss_config, label_smoothing, .min = 0, .max = 1,                         \
                 .help = "share of each target that is spread evenly")

static const strata__loss_config binary_defaults = {.name = "binary_crossentropy",
                                                    STRATA__LOSS_DEFAULTS};
static const strata__loss_config categorical_defaults = {.name = "categorical_crossentropy",
                                                         STRATA__LOSS_DEFAULTS};
static const strata__loss_config sparse_defaults = {.name = "sparse_categorical_crossentropy",
                                                    STRATA__LOSS_DEFAULTS};

static const strata_field dense_fields[] = {
    FROM_LOGITS,
    LABEL_SMOOTHING,
    STRATA_FIELD(strata__loss_config, axis, .help = "the axis of classes"),
    STRATA__LOSS_FIELDS,
};

static const strata_field sparse_fields[] = {
    FROM_LOGITS,
    STRATA_FIELD(strata__loss_config, ignore_class, .help = "a label whose positions do not count"),
    STRATA__LOSS_FIELDS,
    STRATA_FIELD(strata__loss_config, axis, .omit_default = true, .help = "the axis of classes"),
};

static bool inside(float p)
{
    return p >= EPSILON && p <= 1 - EPSILON;
}

static float clipped(float p)
{
    return p < EPSILON ? EPSILON : p > 1 - EPSILON ? 1 - EPSILON : p;
}

/* --- binary: t ← t(1−s) + s/2; the mean over the axis --- */

/* v = max(x,0) − x·t + log(1+e^−|x|),  dv/dx = σ(x) − t. */
static float binary_logit(float x, float t, float *slope)
{
    float e = expf(-fabsf(x));
    *slope = (x >= 0 ? 1 : e) / (1 + e) - t;
    return (x > 0 ? x : 0) - x * t + log1pf(e);
}

/* v = −t·log q − (1−t)·log(1−q) with q = p clipped,  dv/dp = (q−t) / (q(1−q)), 0 where p is
 * clipped. */
static float binary_probability(float p, float t, float *slope)
{
    float q = clipped(p);
    *slope = inside(p) ? (1 - t) / (1 - q) - t / q : 0;
    return -(t * logf(q) + (1 - t) * logf(1 - q));
}

static void binary(const strata__loss_rows *r)
{
    float keep = (float)(1 - r->label_smoothing), spread = (float)(r->label_smoothing / 2);
    for (int64_t i = 0; i < r->rows; i++) {
        float sum = 0;
        for (int64_t j = i * r->n; j < (i + 1) * r->n; j++) {
            float t = r->truth[j] * keep + spread, slope;
            sum += (r->logits ? binary_logit : binary_probability)(r->prediction[j], t, &slope);
            if (r->slopes)
                r->slopes[j] = slope / (float)r->n;
        }
        r->values[i] = sum / (float)r->n;
    }
}

/* --- categorical: t ← t(1−s) + s/n --- */

/* v = Σ t·(log Σeˣ − x),  dv/dx = softmax(x)·Σt − t. */
static float categorical_logits(int64_t n, const float *x, const float *t, float keep, float spread,
                                float *slopes)
{
    float lse = strata__softmax_row(n, x, slopes), value = 0, mass = 0;
    for (int64_t j = 0; j < n; j++) {
        float target = t[j] * keep + spread;
        mass += target;
        value += target * (lse - x[j]);
    }
    for (int64_t j = 0; slopes && j < n; j++)
        slopes[j] = slopes[j] * mass - (t[j] * keep + spread);
    return value;
}

static float sum_of(int64_t n, const float *p)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += p[j];
    return sum;
}

/* q = p/Σp; v = −Σ t·log clip(q); with in_j where q_j is not clipped: dv/dp_j = (Σ t·in −
 * in_j·t_j/q_j) / Σp. */
static float categorical_probabilities(int64_t n, const float *p, const float *t, float keep,
                                       float spread, float *slopes)
{
    float sum = sum_of(n, p), value = 0, mass = 0;
    for (int64_t j = 0; j < n; j++) {
        float target = t[j] * keep + spread, q = p[j] / sum;
        value -= target * logf(clipped(q));
        mass += inside(q) ? target : 0;
    }
    for (int64_t j = 0; slopes && j < n; j++) {
        float target = t[j] * keep + spread, q = p[j] / sum;
        slopes[j] = (mass - (inside(q) ? target / q : 0)) / sum;
    }
    return value;
}

static void categorical(const strata__loss_rows *r)
{
    float keep = (float)(1 - r->label_smoothing),
          spread = (float)(r->label_smoothing / (double)r->n);
    for (int64_t i = 0; i < r->rows; i++) {
        int64_t at = i * r->n;
        r->values[i] = (r->logits ? categorical_logits : categorical_probabilities)(
            r->n, r->prediction + at, r->truth + at, keep, spread,
            r->slopes ? r->slopes + at : NULL);
    }
}

/* --- sparse: t is 1 at the label, 0 elsewhere --- */

static float sparse_logits(int64_t n, const float *x, int64_t label, float *slopes)
{
    float lse = strata__softmax_row(n, x, slopes);
    if (slopes)
        slopes[label] -= 1;
    return lse - x[label];
}

static float sparse_probabilities(int64_t n, const float *p, int64_t label, float *slopes)
{
    float sum = sum_of(n, p), q = p[label] / sum;
    float slope = inside(q) ? 1 / sum : 0;
    for (int64_t j = 0; slopes && j < n; j++)
        slopes[j] = slope;
    if (slopes && inside(q))
        slopes[label] -= 1 / p[label];
    return -logf(clipped(q));
}

static void sparse(const strata__loss_rows *r)
{
    for (int64_t i = 0; i < r->rows; i++) {
        int64_t at = i * r->n;
        r->values[i] = (r->logits ? sparse_logits : sparse_probabilities)(
            r->n, r->prediction + at, r->labels[i], r->slopes ? r->slopes + at : NULL);
    }
}

const strata__class strata__binary_crossentropy = {
    .name = "BinaryCrossentropy",
    .aliases = "bce|BCE",
    STRATA__LOSS_CLASS(binary_defaults, dense_fields),
    .methods = &(const strata__loss_methods){.logits_function = "sigmoid", .rows = binary}};

const strata__class strata__categorical_crossentropy = {
    .name = "CategoricalCrossentropy",
    STRATA__LOSS_CLASS(categorical_defaults, dense_fields),
    .methods = &(const strata__loss_methods){
        .classes = true, .logits_function = "softmax", .rows = categorical}};

const strata__class strata__sparse_categorical_crossentropy = {
    .name = "SparseCategoricalCrossentropy",
    STRATA__LOSS_CLASS(sparse_defaults, sparse_fields),
    .methods = &(const strata__loss_methods){
        .sparse = true, .classes = true, .logits_function = "softmax", .rows = sparse}};
