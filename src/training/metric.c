/* Metrics: objects, and sums of values over batches and ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/metric.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "ops/batch.h"
#include "tensor/tape.h"
#include "training/metric_class.h"
#include "training/names.h"
#include "training/pair.h"
#include "training/sample_weight.h"

static const strata__class *const classes[] = {
    &strata__metric_mean,
    &strata__metric_mean_squared_error,
    &strata__metric_mean_absolute_error,
    &strata__metric_accuracy,
    &strata__metric_binary_accuracy,
    &strata__metric_categorical_accuracy,
    &strata__metric_sparse_categorical_accuracy,
    &strata__metric_top_k_categorical_accuracy,
    &strata__metric_sparse_top_k_categorical_accuracy,
    &strata__metric_binary_crossentropy,
    &strata__metric_categorical_crossentropy,
    &strata__metric_sparse_categorical_crossentropy,
};

const strata__family strata__metric_family = {
    .kind = "metric", .classes = classes, .class_count = sizeof classes / sizeof *classes};

static const strata__names names = {
    .family = &strata__metric_family,
    .missing = "Sum|sum|MeanMetricWrapper|mean_metric_wrapper|RootMeanSquaredError|"
               "root_mean_squared_error|MeanAbsolutePercentageError|"
               "mean_absolute_percentage_error|mape|MAPE|MeanSquaredLogarithmicError|"
               "mean_squared_logarithmic_error|msle|MSLE|CosineSimilarity|cosine_similarity|"
               "LogCoshError|log_cosh_error|Hinge|hinge|SquaredHinge|squared_hinge|"
               "CategoricalHinge|categorical_hinge|KLDivergence|kl_divergence|Poisson|poisson|"
               "TruePositives|true_positives|TrueNegatives|true_negatives|FalsePositives|"
               "false_positives|FalseNegatives|false_negatives|Precision|precision|Recall|recall|"
               "AUC|auc|PrecisionAtRecall|precision_at_recall|RecallAtPrecision|"
               "recall_at_precision|SensitivityAtSpecificity|sensitivity_at_specificity|"
               "SpecificityAtSensitivity|specificity_at_sensitivity|F1Score|f1_score|FBetaScore|"
               "f_beta_score|IoU|io_u|BinaryIoU|binary_io_u|MeanIoU|mean_io_u|OneHotIoU|"
               "one_hot_io_u|OneHotMeanIoU|one_hot_mean_io_u|R2Score|r2_score|PearsonCorrelation|"
               "pearson_correlation|ConcordanceCorrelation|concordance_correlation"};

/* Names whose class follows from the shapes of the first batch, and the three it may be. */
typedef struct by_shape {
    const char *names;
    const strata__class *binary, *sparse, *categorical;
} by_shape;

static const by_shape by_shapes[] = {
    {"accuracy|acc", &strata__metric_binary_accuracy, &strata__metric_sparse_categorical_accuracy,
     &strata__metric_categorical_accuracy},
    {"crossentropy|ce", &strata__metric_binary_crossentropy,
     &strata__metric_sparse_categorical_crossentropy, &strata__metric_categorical_crossentropy},
};

static const by_shape *find_by_shape(const char *name)
{
    size_t length;
    for (size_t i = 0; i < sizeof by_shapes / sizeof *by_shapes; i++) {
        if (strata__list_find(by_shapes[i].names, name, false, &length))
            return &by_shapes[i];
    }
    return NULL;
}

/* --- making --- */

static const strata__metric_config *config_of(const strata__metric *metric)
{
    return metric->object.config;
}

static strata_status fill(strata__metric *metric, const char *text)
{
    strata_context *ctx = metric->ctx;
    metric->by_shape = find_by_shape(text) != NULL;
    if (metric->by_shape) {
        metric->given = strata__strdup(ctx, text);
    } else {
        json_t *json;
        STRATA_TRY(strata__names_parse(ctx, &names, text, &json, &metric->given));
        strata_status status =
            strata__object_from_json(ctx, &strata__metric_family, json, &metric->object);
        json_decref(json);
        STRATA_TRY(status);
    }
    metric->name = strata__strdup(ctx, metric->given ? metric->given : config_of(metric)->name);
    return metric->name ? STRATA_OK : STRATA_NO_MEMORY;
}

strata_status strata__metric_new(strata_context *ctx, const char *text, strata__metric **metric)
{
    *metric = strata__calloc(ctx, 1, sizeof **metric);
    if (!*metric)
        return STRATA_NO_MEMORY;
    (*metric)->ctx = ctx;
    strata_status status = fill(*metric, text);
    if (status != STRATA_OK) {
        strata__metric_free(*metric);
        *metric = NULL;
    }
    return status;
}

strata_status strata__metric_new_mean(strata_context *ctx, const char *name,
                                      strata__metric **metric)
{
    STRATA_TRY(strata__metric_new(ctx, "Mean", metric));
    strata__free(ctx, (*metric)->name);
    (*metric)->name = strata__strdup(ctx, name);
    return (*metric)->name ? STRATA_OK : STRATA_NO_MEMORY;
}

void strata__metric_free(strata__metric *metric)
{
    if (!metric)
        return;
    strata__object_free(metric->ctx, &metric->object);
    strata__free(metric->ctx, metric->name);
    strata__free(metric->ctx, metric->given);
    strata__free(metric->ctx, metric);
}

json_t *strata__metric_to_json(const strata__metric *metric)
{
    if (metric->given)
        return json_string(metric->given);
    json_t *json = strata__object_to_json(metric->ctx, &metric->object);
    json_t *config = json_incref(json_object_get(json, "config"));
    json_object_set_new(json, "config", strata__keys_first(config, "name|dtype"));
    return json;
}

void strata__metric_reset(strata__metric *metric)
{
    metric->total = metric->count = 0;
}

static strata_status resolve(strata__metric *metric, const strata_tensor *y_true,
                             const strata_tensor *y_pred)
{
    if (metric->object.class)
        return STRATA_OK;
    const by_shape *row = find_by_shape(metric->given);
    const strata__class *class = strata__by_shape(&y_true->shape, &y_pred->shape, row->binary,
                                                  row->sparse, row->categorical);
    return strata__object_parse(metric->ctx, &strata__metric_family, class->name, &metric->object);
}

/* --- updates --- */

/* weights[i] (local values): weight · mask. NULL without either. */
static strata_status weights_of(const strata_tensor *values, const strata_tensor *mask,
                                const strata_tensor *sample_weight, float **weights)
{
    strata_context *ctx = values->ctx;
    int64_t count = strata__local_count(values);
    *weights = NULL;
    if (!mask && !sample_weight)
        return STRATA_OK;
    *weights = strata__alloc(ctx, (size_t)count * sizeof **weights);
    float *second =
        mask && sample_weight ? strata__alloc(ctx, (size_t)count * sizeof *second) : NULL;
    strata_status status =
        *weights ? strata__spread_weights(mask ? mask : sample_weight, values,
                                          mask ? "the mask" : "sample_weight", *weights)
                 : STRATA_NO_MEMORY;
    if (status == STRATA_OK && second) {
        status = strata__spread_weights(sample_weight, values, "sample_weight", second);
        for (int64_t i = 0; i < count && status == STRATA_OK; i++)
            (*weights)[i] *= second[i];
    }
    strata__free(ctx, second);
    return status;
}

/*
 * Inner axes are averaged: total += Σ v·w / inner, count += Σ w / inner, where without weights w
 * = 1. A scalar weight weighs the mean of the whole batch as one value.
 */
static void add_values(strata__metric *metric, const strata_tensor *values, const float *weights,
                       bool as_one)
{
    const strata_shape *shape = &values->shape;
    int64_t count = strata__local_count(values);
    int64_t per = strata__product(shape, as_one || shape->rank == 0 ? 0 : 1, shape->rank);
    if (per == 0)
        return;
    double share = values->layout.batch ? 1 : 1.0 / metric->ctx->mesh->groups[STRATA__BATCH].size;
    double total = strata__batch_dot_part(values->data, weights, count);
    double weight = weights ? strata__batch_dot_part(weights, NULL, count) : (double)count;
    strata__metric_add(metric, share * total / (double)per, share * weight / (double)per);
}

static strata_status update(strata__metric *metric, strata_tensor *y_true, strata_tensor *y_pred,
                            strata_tensor *sample_weight)
{
    STRATA_TRY(resolve(metric, y_true, y_pred));
    const strata__metric_methods *methods = metric->object.class->methods;
    strata_tensor *values = methods->values(config_of(metric), y_true, y_pred);
    if (!values)
        return metric->ctx->status;
    float *weights;
    strata_status status = weights_of(values, y_pred->mask, sample_weight, &weights);
    if (status == STRATA_OK)
        add_values(metric, values, weights, sample_weight && sample_weight->shape.rank == 0);
    strata__free(metric->ctx, weights);
    return status;
}

strata_status strata__metric_update(strata__metric *metric, strata_tensor *y_true,
                                    strata_tensor *y_pred, strata_tensor *sample_weight)
{
    strata_context *ctx = metric->ctx;
    bool needs_truth = metric->object.class != &strata__metric_mean;
    if (!y_pred || (needs_truth && !y_true))
        return ctx->status;
    strata__tape *paused = strata__tape_pause(ctx);
    strata_scope_begin(ctx);
    strata_status status = update(metric, y_true, y_pred, sample_weight);
    strata_scope_end(ctx);
    strata__tape_resume(ctx, paused);
    return status;
}

void strata__metric_add(strata__metric *metric, double total, double count)
{
    metric->total += total;
    metric->count += count;
}

/* --- results --- */

enum { PAIRS = 32 /* metrics totalled in one reduction */ };

static void total_some(strata_context *ctx, int count, strata__metric *const *metrics,
                       double *results)
{
    double sums[2 * PAIRS];
    for (int i = 0; i < count; i++) {
        sums[2 * i] = metrics[i]->total;
        sums[2 * i + 1] = metrics[i]->count;
    }
    strata__batch_total(ctx, sums, 2 * count);
    for (int i = 0; i < count; i++)
        results[i] = sums[2 * i + 1] == 0 ? 0 : sums[2 * i] / sums[2 * i + 1];
}

void strata__metrics_results(strata_context *ctx, int count, strata__metric *const *metrics,
                             double *results)
{
    for (int i = 0; i < count; i += PAIRS)
        total_some(ctx, count - i < PAIRS ? count - i : PAIRS, metrics + i, results + i);
}
