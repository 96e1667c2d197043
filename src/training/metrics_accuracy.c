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
    if (strata__pair_dense(c->name, y_true, y_pred, -1, false, &pair) != STRATA_OK)
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

/* --- classes: of rows that are cut over cols, what the columns find is joined --- */

static bool is_cut(const strata__pair *pair)
{
    return pair->prediction->layout.split;
}

/* The first of the largest in each of `rows` rows of x, own columns, counted over all columns. */
static void find_first(const strata__pair *pair, const float *x, int64_t rows, int64_t *place)
{
    strata_context *ctx = pair->prediction->ctx;
    int64_t n = pair->own.count;
    float *own = strata__scratch(ctx, 2 * rows, sizeof *own), *most = own + rows;
    for (int64_t i = 0; i < rows; i++, x += n) {
        int64_t best = 0;
        for (int64_t j = 1; j < n; j++) {
            if (x[j] > x[best])
                best = j;
        }
        own[i] = most[i] = n > 0 ? x[best] : -INFINITY;
        place[i] = n > 0 ? pair->own.first + best : INT64_MAX;
    }
    if (is_cut(pair)) {
        strata__max(ctx, STRATA__COLS, most, rows, STRATA_FLOAT32);
        for (int64_t i = 0; i < rows; i++)
            place[i] = own[i] == most[i] ? place[i] : INT64_MAX;
        strata__min(ctx, STRATA__COLS, place, rows, STRATA_INT64);
    }
    strata__free(ctx, own);
}

static void first_hits(const strata__pair *pair, int64_t rows, const int64_t *labels, int64_t k,
                       float *out)
{
    (void)k;
    strata_context *ctx = pair->prediction->ctx;
    int64_t *first = strata__scratch(ctx, rows, sizeof *first);
    find_first(pair, pair->prediction->data, rows, first);
    for (int64_t i = 0; i < rows; i++)
        out[i] = first[i] == labels[i];
    strata__free(ctx, first);
}

/* The number at the label of each row; NaN: there is none such. */
static void pick_labels(const strata__pair *pair, int64_t rows, const int64_t *labels,
                        double *picked)
{
    const float *p = pair->prediction->data;
    for (int64_t i = 0; i < rows; i++) {
        int64_t place = labels[i] - pair->own.first;
        bool own = labels[i] >= 0 && place >= 0 && place < pair->own.count;
        picked[i] = own ? (double)p[i * pair->own.count + place] : 0;
    }
    if (is_cut(pair))
        strata__sum(pair->prediction->ctx, STRATA__COLS, picked, rows, STRATA_FLOAT64);
    for (int64_t i = 0; i < rows; i++) {
        if (labels[i] < 0 || labels[i] >= pair->n)
            picked[i] = NAN;
    }
}

/* Fewer than k are larger: ties count as in. What is not finite is out. */
static void best_hits(const strata__pair *pair, int64_t rows, const int64_t *labels, int64_t k,
                      float *out)
{
    strata_context *ctx = pair->prediction->ctx;
    int64_t n = pair->own.count;
    const float *p = pair->prediction->data;
    double *picked = strata__scratch(ctx, 2 * rows, sizeof *picked), *larger = picked + rows;
    pick_labels(pair, rows, labels, picked);
    for (int64_t i = 0; i < rows; i++, p += n) {
        larger[i] = 0;
        for (int64_t j = 0; j < n; j++)
            larger[i] += (double)p[j] > picked[i];
    }
    if (is_cut(pair))
        strata__sum(ctx, STRATA__COLS, larger, rows, STRATA_FLOAT64);
    for (int64_t i = 0; i < rows; i++)
        out[i] = isfinite(picked[i]) && larger[i] < (double)k;
    strata__free(ctx, picked);
}

/* out[i]: whether the label of row i is hit. */
typedef void hits(const strata__pair *pair, int64_t rows, const int64_t *labels, int64_t k,
                  float *out);

static strata_tensor *categorical_hits(const strata__metric_config *c, strata_tensor *y_true,
                                       strata_tensor *y_pred, hits *find)
{
    strata__pair pair;
    if (strata__pair_dense(c->name, y_true, y_pred, -1, true, &pair) != STRATA_OK)
        return NULL;
    strata_tensor *values = strata__pair_values(&pair, STRATA_FLOAT32);
    if (!values)
        return NULL;
    int64_t rows = strata__local_count(values);
    int64_t *labels = strata__scratch(values->ctx, rows, sizeof *labels);
    find_first(&pair, pair.truth->data, rows, labels);
    find(&pair, rows, labels, c->k, values->data);
    strata__free(values->ctx, labels);
    return values;
}

/* A label that is no class is a miss; the loss complains about it. */
static strata_tensor *sparse_hits(const strata__metric_config *c, strata_tensor *y_true,
                                  strata_tensor *y_pred, hits *find)
{
    strata__pair pair;
    if (strata__pair_sparse(c->name, y_true, y_pred, -1, true, &pair) != STRATA_OK)
        return NULL;
    strata_tensor *values = strata__pair_values(&pair, STRATA_FLOAT32);
    if (!values)
        return NULL;
    int64_t rows = strata__local_count(values);
    int64_t *labels = strata__scratch(values->ctx, rows, sizeof *labels);
    strata__labels(pair.truth, labels);
    find(&pair, rows, labels, c->k, values->data);
    strata__free(values->ctx, labels);
    return values;
}

static strata_tensor *categorical_values(const strata__metric_config *c, strata_tensor *y_true,
                                         strata_tensor *y_pred)
{
    return categorical_hits(c, y_true, y_pred, first_hits);
}

static strata_tensor *sparse_values(const strata__metric_config *c, strata_tensor *y_true,
                                    strata_tensor *y_pred)
{
    return sparse_hits(c, y_true, y_pred, first_hits);
}

static strata_tensor *top_k_values(const strata__metric_config *c, strata_tensor *y_true,
                                   strata_tensor *y_pred)
{
    return categorical_hits(c, y_true, y_pred, best_hits);
}

static strata_tensor *sparse_top_k_values(const strata__metric_config *c, strata_tensor *y_true,
                                          strata_tensor *y_pred)
{
    return sparse_hits(c, y_true, y_pred, best_hits);
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
