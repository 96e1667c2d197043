/* Metrics that count hits: Accuracy, BinaryAccuracy, and those of classes, first or among the best
 * k. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "training/metric_class.h"
#include "training/pair.h"

/* --- element by element --- */

/* A value for each number of the prediction. */
static strata_tensor *each_number(const strata__pair *pair)
{
    strata_shape shape = pair->values;
    shape.dims[shape.rank++] = pair->n;
    return strata__tensor_shaped(pair->prediction, STRATA_FLOAT32, &shape);
}

typedef bool match(float t, float p, float threshold);

static bool is_equal(float t, float p, float threshold)
{
    (void)threshold;
    return t == p;
}

static bool is_equal_above(float t, float p, float threshold)
{
    return t == (float)(p > threshold);
}

static strata_tensor *matches(const strata__metric_config *c, strata_tensor *y_true,
                              strata_tensor *y_pred, match *is_match)
{
    strata__pair pair;
    if (strata__pair_dense(c->name, y_true, y_pred, -1, &pair) != STRATA_OK)
        return NULL;
    strata_tensor *values = each_number(&pair);
    if (!values)
        return NULL;
    const float *t = pair.truth->data, *p = pair.prediction->data;
    float *out = values->data;
    int64_t count = strata__local_count(values);
    for (int64_t i = 0; i < count; i++)
        out[i] = is_match(t[i], p[i], (float)c->threshold);
    return values;
}

static strata_tensor *equal_values(const strata__metric_config *c, strata_tensor *y_true,
                                   strata_tensor *y_pred)
{
    return matches(c, y_true, y_pred, is_equal);
}

static strata_tensor *binary_values(const strata__metric_config *c, strata_tensor *y_true,
                                    strata_tensor *y_pred)
{
    return matches(c, y_true, y_pred, is_equal_above);
}

/* --- classes --- */

/* The first of the largest. */
static int64_t argmax(int64_t n, const float *x)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++) {
        if (x[j] > x[best])
            best = j;
    }
    return best;
}

static bool is_first(int64_t n, const float *p, int64_t label, int64_t k)
{
    (void)k;
    return argmax(n, p) == label;
}

/* Fewer than k are larger: ties count as in. What is not finite is out. */
static bool is_among_best(int64_t n, const float *p, int64_t label, int64_t k)
{
    if (label < 0 || label >= n || !isfinite(p[label]))
        return false;
    int64_t larger = 0;
    for (int64_t j = 0; j < n; j++)
        larger += p[j] > p[label];
    return larger < k;
}

typedef bool hit(int64_t n, const float *p, int64_t label, int64_t k);

/* A value for each row: whether the label is hit. */
static strata_tensor *hits(const strata__pair *pair, const int64_t *labels, hit *is_hit, int64_t k)
{
    strata_tensor *values = strata__tensor_shaped(pair->prediction, STRATA_FLOAT32, &pair->values);
    if (!values)
        return NULL;
    const float *p = pair->prediction->data;
    float *out = values->data;
    int64_t rows = strata__local_count(values);
    for (int64_t i = 0; i < rows; i++)
        out[i] = is_hit(pair->n, p + i * pair->n, labels[i], k);
    return values;
}

static strata_tensor *categorical_hits(const strata__metric_config *c, strata_tensor *y_true,
                                       strata_tensor *y_pred, hit *is_hit)
{
    strata_context *ctx = y_pred->ctx;
    strata__pair pair;
    if (strata__pair_dense(c->name, y_true, y_pred, -1, &pair) != STRATA_OK)
        return NULL;
    int64_t rows = strata__local_count(pair.truth) / (pair.n ? pair.n : 1);
    int64_t *labels = strata__alloc(ctx, (size_t)rows * sizeof *labels);
    if (!labels)
        return NULL;
    const float *t = pair.truth->data;
    for (int64_t i = 0; i < rows; i++)
        labels[i] = argmax(pair.n, t + i * pair.n);
    strata_tensor *values = hits(&pair, labels, is_hit, c->k);
    strata__free(ctx, labels);
    return values;
}

/* A label that is no class is a miss; the loss complains about it. */
static strata_tensor *sparse_hits(const strata__metric_config *c, strata_tensor *y_true,
                                  strata_tensor *y_pred, hit *is_hit)
{
    strata_context *ctx = y_pred->ctx;
    strata__pair pair;
    if (strata__pair_sparse(c->name, y_true, y_pred, -1, &pair) != STRATA_OK)
        return NULL;
    int64_t *labels = strata__alloc(ctx, (size_t)strata__local_count(pair.truth) * sizeof *labels);
    if (!labels)
        return NULL;
    strata__labels(pair.truth, labels);
    strata_tensor *values = hits(&pair, labels, is_hit, c->k);
    strata__free(ctx, labels);
    return values;
}

static strata_tensor *categorical_values(const strata__metric_config *c, strata_tensor *y_true,
                                         strata_tensor *y_pred)
{
    return categorical_hits(c, y_true, y_pred, is_first);
}

static strata_tensor *sparse_values(const strata__metric_config *c, strata_tensor *y_true,
                                    strata_tensor *y_pred)
{
    return sparse_hits(c, y_true, y_pred, is_first);
}

static strata_tensor *top_k_values(const strata__metric_config *c, strata_tensor *y_true,
                                   strata_tensor *y_pred)
{
    return categorical_hits(c, y_true, y_pred, is_among_best);
}

static strata_tensor *sparse_top_k_values(const strata__metric_config *c, strata_tensor *y_true,
                                          strata_tensor *y_pred)
{
    return sparse_hits(c, y_true, y_pred, is_among_best);
}

/* --- classes of metrics --- */

static const strata_field plain_fields[] = {STRATA__METRIC_NAME};
static const strata_field binary_fields[] = {
    STRATA__METRIC_NAME,
    STRATA_FIELD(strata__metric_config, threshold, .min = 0, .max = 1,
                 .help = "predictions above it are 1"),
};
static const strata_field top_k_fields[] = {
    STRATA_FIELD(strata__metric_config, k, .min = 1, .max = INT64_MAX, .help = "how many are best"),
    STRATA__METRIC_NAME,
};

static const strata__metric_config accuracy_defaults = {.name = "accuracy",
                                                        STRATA__METRIC_DEFAULTS};
static const strata__metric_config binary_defaults = {.name = "binary_accuracy",
                                                      STRATA__METRIC_DEFAULTS};
static const strata__metric_config categorical_defaults = {.name = "categorical_accuracy",
                                                           STRATA__METRIC_DEFAULTS};
static const strata__metric_config sparse_defaults = {.name = "sparse_categorical_accuracy",
                                                      STRATA__METRIC_DEFAULTS};
static const strata__metric_config top_k_defaults = {.name = "top_k_categorical_accuracy",
                                                     STRATA__METRIC_DEFAULTS};
static const strata__metric_config sparse_top_k_defaults = {
    .name = "sparse_top_k_categorical_accuracy", STRATA__METRIC_DEFAULTS};

const strata__class strata__metric_accuracy = {
    .name = "Accuracy",
    STRATA__METRIC_CLASS(accuracy_defaults, plain_fields),
    .methods = &(const strata__metric_methods){equal_values}};

const strata__class strata__metric_binary_accuracy = {
    .name = "BinaryAccuracy",
    STRATA__METRIC_CLASS(binary_defaults, binary_fields),
    .methods = &(const strata__metric_methods){binary_values}};

const strata__class strata__metric_categorical_accuracy = {
    .name = "CategoricalAccuracy",
    STRATA__METRIC_CLASS(categorical_defaults, plain_fields),
    .methods = &(const strata__metric_methods){categorical_values}};

const strata__class strata__metric_sparse_categorical_accuracy = {
    .name = "SparseCategoricalAccuracy",
    STRATA__METRIC_CLASS(sparse_defaults, plain_fields),
    .methods = &(const strata__metric_methods){sparse_values}};

const strata__class strata__metric_top_k_categorical_accuracy = {
    .name = "TopKCategoricalAccuracy",
    STRATA__METRIC_CLASS(top_k_defaults, top_k_fields),
    .methods = &(const strata__metric_methods){top_k_values}};

const strata__class strata__metric_sparse_top_k_categorical_accuracy = {
    .name = "SparseTopKCategoricalAccuracy",
    STRATA__METRIC_CLASS(sparse_top_k_defaults, top_k_fields),
    .methods = &(const strata__metric_methods){sparse_top_k_values}};
