/* Cross-entropies: binary, categorical and sparse categorical, of probabilities or of logits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "ops/math.h"
#include "ops/softmax_rows.h"
#include "training/loss_class.h"

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

static inline bool inside(float p)
{
    return p >= EPSILON && p <= 1 - EPSILON;
}

static inline float clipped(float p)
{
    return p < EPSILON ? EPSILON : p > 1 - EPSILON ? 1 - EPSILON : p;
}

/* t ← t·keep + spread: label smoothing over `parts` classes. */
typedef struct smoothing {
    float keep, spread;
} smoothing;

static smoothing smoothing_of(const strata__loss_rows *r, double parts)
{
    return (smoothing){(float)(1 - r->label_smoothing), (float)(r->label_smoothing / parts)};
}

/* What number `which` is of every row. */
static float *sums_of(const strata__loss_rows *r, int which)
{
    return r->sums + which * r->rows;
}

/* --- binary: t ← t(1−s) + s/2; the mean over the axis --- */

/* v = max(x,0) − x·t + log(1+e^−|x|),  dv/dx = σ(x) − t. */
static inline float binary_logit(float x, float t, float *slope)
{
    float e = strata__exp(-fabsf(x));
    *slope = (x >= 0 ? 1 : e) / (1 + e) - t;
    return (x > 0 ? x : 0) - x * t + strata__log1p(e);
}

/* v = −t·log q − (1−t)·log(1−q) with q = p clipped,  dv/dp = (q−t) / (q(1−q)), 0 where p is
 * clipped. */
static inline float binary_probability(float p, float t, float *slope)
{
    float q = clipped(p), inner = (1 - t) / (1 - q) - t / q;
    *slope = inside(p) ? inner : 0;
    return -(t * strata__log(q) + (1 - t) * strata__log(1 - q));
}

typedef float binary_value(float p, float t, float *slope);

/* Σ v of a row; slopes, unless NULL, dv·share. */
static inline __attribute__((always_inline)) float binary_row(binary_value *value, int64_t n,
                                                              const float *p, const float *t,
                                                              smoothing s, float share,
                                                              float *slopes)
{
    float sum = 0;
    if (!slopes) {
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++) {
            float slope;
            sum += value(p[j], t[j] * s.keep + s.spread, &slope);
        }
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        float slope;
        sum += value(p[j], t[j] * s.keep + s.spread, &slope);
        slopes[j] = slope * share;
    }
    return sum;
}

STRATA__SIMD static void binary(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    smoothing s = smoothing_of(r, 2);
    float share = 1 / (float)r->all;
    for (int64_t i = first; i < first + count; i++) {
        const float *p = r->prediction + i * r->n, *t = r->truth + i * r->n;
        float *slopes = r->slopes ? r->slopes + i * r->n : NULL;
        float sum = r->logits ? binary_row(binary_logit, r->n, p, t, s, share, slopes)
                              : binary_row(binary_probability, r->n, p, t, s, share, slopes);
        r->values[i] = sum * share;
    }
}

static int plan_binary(const strata__loss_rows *r, strata__stage stages[STRATA__LOSS_STAGES])
{
    stages[0] = strata__loss_sum(r, binary);
    return 1;
}

/* --- what the losses of classes share: numbers 0, the largest logit, and 1, Σ p or Σ e^(x −
 * largest)
 * --- */

enum { LARGEST, SUM, SECOND, THIRD };

static void find_largest(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    strata__row_maxima(r->prediction + first * r->n, count, r->n, sums_of(r, LARGEST) + first);
}

/* The terms stay where the slopes will be. */
static void add_exponentials(const strata__loss_rows *r, int64_t first, int64_t count)
{
    int64_t at = first * r->n;
    strata__row_exponentials(r->prediction + at, count, r->n, sums_of(r, LARGEST) + first,
                             r->slopes ? r->slopes + at : NULL, sums_of(r, SUM) + first);
}

STRATA__SIMD static void add_probabilities(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    for (int64_t i = first; i < first + count; i++) {
        const float *p = r->prediction + i * r->n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < r->n; j++)
            sum += p[j];
        sums_of(r, SUM)[i] = sum;
    }
}

/* --- categorical: t ← t(1−s) + s/n --- */

/* Of logits, with y = x − largest: Σ t and Σ t·y. */
STRATA__SIMD static void add_targets(const strata__loss_rows *r, int64_t first, int64_t count)
{
    smoothing s = smoothing_of(r, (double)r->all);
    for (int64_t i = first; i < first + count; i++) {
        const float *x = r->prediction + i * r->n, *t = r->truth + i * r->n;
        float mass = 0, dot = 0, largest = sums_of(r, LARGEST)[i];
#pragma omp simd reduction(+ : mass, dot)
        for (int64_t j = 0; j < r->n; j++) {
            float target = t[j] * s.keep + s.spread;
            mass += target;
            dot += target * (x[j] - largest);
        }
        sums_of(r, SECOND)[i] = mass;
        sums_of(r, THIRD)[i] = dot;
    }
}

static void add_logits_and_targets(const void *user, int64_t first, int64_t count)
{
    add_exponentials(user, first, count);
    add_targets(user, first, count);
}

/* v = Σt·log Σe^y − Σ t·y,  dv/dx = softmax(x)·Σt − t. */
STRATA__SIMD static void finish_categorical_logits(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    smoothing s = smoothing_of(r, (double)r->all);
    for (int64_t i = first; i < first + count; i++) {
        float sum = sums_of(r, SUM)[i], mass = sums_of(r, SECOND)[i], factor = mass / sum;
        const float *t = r->truth + i * r->n;
        r->values[i] = mass * logf(sum) - sums_of(r, THIRD)[i];
        if (!r->slopes)
            continue;
        float *slopes = r->slopes + i * r->n;
#pragma omp simd
        for (int64_t j = 0; j < r->n; j++)
            slopes[j] = slopes[j] * factor - (t[j] * s.keep + s.spread);
    }
}

/* Of probabilities, with q = p/Σp: the targets of those that are not clipped, and −Σ t·log clip(q).
 */
STRATA__SIMD static void add_logarithms(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    smoothing s = smoothing_of(r, (double)r->all);
    for (int64_t i = first; i < first + count; i++) {
        const float *p = r->prediction + i * r->n, *t = r->truth + i * r->n;
        float mass = 0, value = 0, sum = sums_of(r, SUM)[i];
#pragma omp simd reduction(+ : mass, value)
        for (int64_t j = 0; j < r->n; j++) {
            float target = t[j] * s.keep + s.spread, q = p[j] / sum;
            value -= target * strata__log(clipped(q));
            mass += inside(q) ? target : 0;
        }
        sums_of(r, SECOND)[i] = mass;
        sums_of(r, THIRD)[i] = value;
    }
}

/* With in_j where q_j is not clipped: dv/dp_j = (Σ t·in − in_j·t_j/q_j) / Σp. */
STRATA__SIMD static void finish_categorical_probabilities(const void *user, int64_t first,
                                                          int64_t count)
{
    const strata__loss_rows *r = user;
    smoothing s = smoothing_of(r, (double)r->all);
    for (int64_t i = first; i < first + count; i++) {
        const float *p = r->prediction + i * r->n, *t = r->truth + i * r->n;
        float sum = sums_of(r, SUM)[i], mass = sums_of(r, SECOND)[i];
        r->values[i] = sums_of(r, THIRD)[i];
        if (!r->slopes)
            continue;
        float *slopes = r->slopes + i * r->n;
#pragma omp simd
        for (int64_t j = 0; j < r->n; j++) {
            float q = p[j] / sum, pull = (t[j] * s.keep + s.spread) / q;
            slopes[j] = (mass - (inside(q) ? pull : 0)) / sum;
        }
    }
}

static int plan_categorical(const strata__loss_rows *r, strata__stage stages[STRATA__LOSS_STAGES])
{
    if (r->logits) {
        stages[0] = strata__loss_stage(r, find_largest, strata__max, LARGEST, 1);
        stages[1] = strata__loss_stage(r, add_logits_and_targets, strata__sum, SUM, 3);
        stages[2] = (strata__stage){.work = finish_categorical_logits};
    } else {
        stages[0] = strata__loss_stage(r, add_probabilities, strata__sum, SUM, 1);
        stages[1] = strata__loss_stage(r, add_logarithms, strata__sum, SECOND, 2);
        stages[2] = (strata__stage){.work = finish_categorical_probabilities};
    }
    return 3;
}

/* --- sparse: t is 1 at the label, 0 elsewhere --- */

/* Place of the label among the own numbers of row i; −1: another column has it. */
static int64_t own_label(const strata__loss_rows *r, int64_t i)
{
    int64_t place = r->labels[i] - r->first;
    return place >= 0 && place < r->n ? place : -1;
}

/* The number at the label, from the column that has it. */
static void pick_labels(const strata__loss_rows *r, int64_t first, int64_t count,
                        bool below_largest)
{
    for (int64_t i = first; i < first + count; i++) {
        int64_t label = own_label(r, i);
        float offset = below_largest ? sums_of(r, LARGEST)[i] : 0;
        sums_of(r, SECOND)[i] = label < 0 ? 0 : r->prediction[i * r->n + label] - offset;
    }
}

static void add_logits_and_labels(const void *user, int64_t first, int64_t count)
{
    add_exponentials(user, first, count);
    pick_labels(user, first, count, true);
}

static void add_probabilities_and_labels(const void *user, int64_t first, int64_t count)
{
    add_probabilities(user, first, count);
    pick_labels(user, first, count, false);
}

/* With y = x − largest: v = log Σe^y − y at the label,  dv/dx = softmax(x) − t. */
static void finish_sparse_logits(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    for (int64_t i = first; i < first + count; i++)
        r->values[i] = logf(sums_of(r, SUM)[i]) - sums_of(r, SECOND)[i];
    if (!r->slopes)
        return;
    strata__row_quotients(r->slopes + first * r->n, count, r->n, sums_of(r, SUM) + first);
    for (int64_t i = first; i < first + count; i++) {
        int64_t label = own_label(r, i);
        if (label >= 0)
            r->slopes[i * r->n + label] -= 1;
    }
}

/* With q = p/Σp at the label: v = −log clip(q),  dv/dp = 1/Σp − t/p, 0 where q is clipped. */
static void finish_sparse_probabilities(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    for (int64_t i = first; i < first + count; i++) {
        float sum = sums_of(r, SUM)[i], picked = sums_of(r, SECOND)[i], q = picked / sum;
        int64_t label = own_label(r, i);
        r->values[i] = -logf(clipped(q));
        for (int64_t j = 0; r->slopes && j < r->n; j++)
            r->slopes[i * r->n + j] = inside(q) ? 1 / sum : 0;
        if (r->slopes && label >= 0 && inside(q))
            r->slopes[i * r->n + label] -= 1 / picked;
    }
}

static int plan_sparse(const strata__loss_rows *r, strata__stage stages[STRATA__LOSS_STAGES])
{
    if (!r->logits) {
        stages[0] = strata__loss_stage(r, add_probabilities_and_labels, strata__sum, SUM, 2);
        stages[1] = (strata__stage){.work = finish_sparse_probabilities};
        return 2;
    }
    stages[0] = strata__loss_stage(r, find_largest, strata__max, LARGEST, 1);
    stages[1] = strata__loss_stage(r, add_logits_and_labels, strata__sum, SUM, 2);
    stages[2] = (strata__stage){.work = finish_sparse_logits};
    return 3;
}

const strata__class strata__binary_crossentropy = {
    .name = "BinaryCrossentropy",
    .aliases = "bce|BCE",
    STRATA__LOSS_CLASS(binary_defaults, dense_fields),
    .methods = &(const strata__loss_methods){.logits_function = "sigmoid", .plan = plan_binary}};

const strata__class strata__categorical_crossentropy = {
    .name = "CategoricalCrossentropy",
    STRATA__LOSS_CLASS(categorical_defaults, dense_fields),
    .methods = &(const strata__loss_methods){
        .classes = true, .logits_function = "softmax", .plan = plan_categorical}};

const strata__class strata__sparse_categorical_crossentropy = {
    .name = "SparseCategoricalCrossentropy",
    STRATA__LOSS_CLASS(sparse_defaults, sparse_fields),
    .methods = &(const strata__loss_methods){
        .sparse = true, .classes = true, .logits_function = "softmax", .plan = plan_sparse}};
