/* Metrics against Keras, their names and sums. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#include "mesh/mesh.h"
#include "ops/ops.h"
#include "training/metric.h"

/* --- against Keras --- */

static void update(strata__metric *metric, const golden *group, bool split)
{
    strata_context *ctx = metric->ctx;
    strata_tensor *y_pred =
        test_golden_batch(ctx, group, golden_has(group, "values") ? "values" : "y_pred");
    strata_tensor *mask = test_golden_batch(ctx, group, "mask");
    if (mask)
        y_pred->mask = strata_tensor_keep(mask);
    strata__metric_update(metric, test_golden_batch(ctx, group, "y_true"),
                          split ? strata__split(y_pred) : y_pred,
                          test_golden_batch(ctx, group, "sample_weight"));
}

static bool results_agree(strata__metric *metric, const golden *group, const char *name, bool split)
{
    golden *updates = golden_group(group, "updates");
    bool agree = true;
    for (int i = 0; i < golden_count(updates); i++) {
        golden *arguments = golden_group(updates, golden_name(updates, i));
        char path[32];
        double result;
        snprintf(path, sizeof path, "results/%d", i);
        strata_scope_begin(metric->ctx);
        update(metric, arguments, split);
        strata_scope_end(metric->ctx);
        strata__metrics_results(metric->ctx, 1, &metric, &result);
        agree = number_agrees(result, group, path, name) && agree;
        golden_close(arguments);
    }
    golden_close(updates);
    return agree;
}

/* total and count are Keras's variables of the same names. */
static bool state_agrees(const strata__metric *metric, const golden *group, const char *name)
{
    double sums[2] = {metric->total, metric->count};
    strata__sum(metric->ctx, STRATA__BATCH, sums, 2, STRATA_FLOAT64);
    return number_agrees(sums[0], group, "state/0000", name) &&
           number_agrees(sums[1], group, "state/0001", name);
}

/* With predictions whole, or split over the columns of the mesh. */
static golden_verdict metric_agrees(strata_context *ctx, const golden *group, const char *name,
                                    bool split)
{
    char *text = config_text(group);
    strata__metric *metric;
    strata_status status = strata__metric_new(ctx, text, &metric);
    free(text);
    if (status != STRATA_OK)
        return is_unsupported(ctx) ? GOLDEN_UNSUPPORTED : GOLDEN_FAILED;
    bool agree = results_agree(metric, group, name, split);
    agree = state_agrees(metric, group, name) && agree;
    agree = config_agrees(strata__metric_to_json(metric), group, name) && agree;
    strata__metric_free(metric);
    return agree ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static golden_verdict metric_case(void *user, const golden *group, const char *name)
{
    strata_context *ctx = user;
    golden_verdict verdict = metric_agrees(ctx, group, name, false);
    if (verdict == GOLDEN_PASSED && ctx->mesh->cols > 1)
        verdict = metric_agrees(ctx, group, name, true);
    return verdict;
}

static void test_metrics_against_keras(void **state)
{
    (void)state;
    run_golden("training/metrics.h5", metric_case, 100);
}

/* --- names --- */

static strata_status make(strata_context *ctx, const char *name)
{
    strata__metric *metric;
    strata_status status = strata__metric_new(ctx, name, &metric);
    strata__metric_free(metric);
    return status;
}

static void test_metrics_strings_of_keras(void **state)
{
    (void)state;
    check_strings("training/metrics.h5", make);
}

static void test_metrics_names(void **state)
{
    static const char *const names[][3] = {
        {"mse", "MeanSquaredError", "mse"},
        {"MAE", "MeanAbsoluteError", "MAE"},
        {"MeanSquaredError", "MeanSquaredError", "MeanSquaredError"},
        {"MeanSquaredError()", "MeanSquaredError", "mean_squared_error"},
        {"MeanSquaredError(name='error')", "MeanSquaredError", "error"},
        {"bce", "BinaryCrossentropy", "bce"},
        {"binary_accuracy", "BinaryAccuracy", "binary_accuracy"},
        {"top_k_categorical_accuracy", "TopKCategoricalAccuracy", "top_k_categorical_accuracy"},
        {"SparseTopKCategoricalAccuracy(3)", "SparseTopKCategoricalAccuracy",
         "sparse_top_k_categorical_accuracy"},
    };
    (void)state;
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        strata__metric *metric;
        strata__metric_new(ctx, names[i][0], &metric);
        assert_all_ok(ctx);
        assert_all_string_equal(metric->object.class->name, names[i][1]);
        assert_all_string_equal(metric->name, names[i][2]);
        strata__metric_free(metric);
    }
}

static void refuse(strata_context *ctx, const char *text, strata_status status, const char *words)
{
    strata__metric *metric;
    strata__metric_new(ctx, text, &metric);
    assert_all(metric == NULL);
    assert_all_error(ctx, status, words);
}

static void test_metrics_refuse(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    refuse(ctx, "None", STRATA_INVALID, "None is no metric");
    refuse(ctx, "AUC", STRATA_UNSUPPORTED,
           "metric 'AUC' of Keras is not supported yet; there are Mean");
    refuse(ctx, "binary_acuracy", STRATA_INVALID, "did you mean 'BinaryAccuracy'");
    refuse(ctx, "TopKCategoricalAccuracy(k=0)", STRATA_INVALID, "k must be");
}

enum { SAMPLES = 5, CLASSES = 3 };
static const float scores[SAMPLES * CLASSES] = {0.1f, 0.7f, 0.2f, 0.5f, 0.3f, 0.2f, 0.2f, 0.2f,
                                                0.6f, 0.4f, 0.5f, 0.1f, 0.3f, 0.3f, 0.4f};

static void check_accuracy(strata_context *ctx, strata_tensor *y_true, strata_tensor *y_pred,
                           const char *class, double expected)
{
    strata__metric *metric;
    double result;
    strata__metric_new(ctx, "acc", &metric);
    strata__metric_update(metric, y_true, y_pred, NULL);
    assert_all_ok(ctx);
    assert_all_string_equal(metric->object.class->name, class);
    assert_all_string_equal(metric->name, "acc");
    strata__metrics_results(ctx, 1, &metric, &result);
    assert_all_near(result, expected, 1e-12);
    strata__metric_free(metric);
}

static void test_metrics_accuracy_by_shape(void **state)
{
    static const uint8_t labels[SAMPLES] = {1, 0, 0, 1, 2};
    static const float halves[SAMPLES] = {1, 0, 1, 1, 0};
    float one_hot[SAMPLES * CLASSES] = {0};
    (void)state;
    for (int i = 0; i < SAMPLES; i++)
        one_hot[i * CLASSES + labels[i]] = 1;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata_scope_begin(ctx);
        strata_tensor *y_pred =
            test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, CLASSES), scores);
        check_accuracy(ctx, test_batch_of(ctx, STRATA_UINT8, STRATA_SHAPE(SAMPLES), labels), y_pred,
                       "SparseCategoricalAccuracy", 0.8);
        check_accuracy(ctx, test_batch_of(ctx, STRATA_UINT8, STRATA_SHAPE(SAMPLES, 1), labels),
                       y_pred, "SparseCategoricalAccuracy", 0.8);
        check_accuracy(ctx,
                       test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, CLASSES), one_hot),
                       y_pred, "CategoricalAccuracy", 0.8);
        check_accuracy(ctx, test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES), halves),
                       test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, 1), halves),
                       "BinaryAccuracy", 1);
        strata_scope_end(ctx);
    }
}

/* --- sums --- */

static void test_metrics_many_results_at_once(void **state)
{
    enum { METRICS = 40 };
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__metric *metrics[METRICS];
    double results[METRICS];
    for (int i = 0; i < METRICS; i++) {
        strata__metric_new_mean(ctx, "loss", &metrics[i]);
        strata__metric_add(metrics[i], i, 2);
    }
    assert_all_string_equal(metrics[0]->name, "loss");
    strata__metrics_results(ctx, METRICS, metrics, results);
    for (int i = 0; i < METRICS; i++)
        assert_all_near(results[i], i / 2.0, 1e-12);
    strata__metric_reset(metrics[7]);
    strata__metrics_results(ctx, METRICS, metrics, results);
    assert_all_near(results[7], 0, 0);
    for (int i = 0; i < METRICS; i++)
        strata__metric_free(metrics[i]);
}

/* A tensor that all ranks hold alike counts once. */
static void test_metrics_whole_values_count_once(void **state)
{
    static const float values[] = {1, 2, 6};
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__metric *metric;
    strata__metric_new(ctx, "Mean", &metric);
    strata_tensor *whole = strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(3), values);
    strata__metric_update(metric, NULL, whole, NULL);
    double sums[2] = {metric->total, metric->count};
    strata__sum(ctx, STRATA__BATCH, sums, 2, STRATA_FLOAT64);
    assert_all_near(sums[0], 9, 1e-6);
    assert_all_near(sums[1], 3, 1e-6);
    strata_tensor_release(whole);
    strata__metric_free(metric);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_against_keras),
        cmocka_unit_test(test_metrics_strings_of_keras),
        cmocka_unit_test(test_metrics_names),
        cmocka_unit_test(test_metrics_refuse),
        cmocka_unit_test(test_metrics_accuracy_by_shape),
        cmocka_unit_test(test_metrics_many_results_at_once),
        cmocka_unit_test(test_metrics_whole_values_count_once),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
