/* Rows C11, K6 and K7: what training makes of distributed variables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include <strata.h>

#include "model/model.h"
#include "training/trainer.h"

/* A batch that no number of ranks but one divides. */
enum { SAMPLES = 13 };

static float x[SAMPLES], y[SAMPLES];

static void fill_samples(void)
{
    for (int i = 0; i < SAMPLES; i++) {
        x[i] = (float)(i + 1) / SAMPLES;
        y[i] = (float)(i * i % 7) - 2;
    }
}

/* Mean over the batch of the derivative of (w·x − y)² at w = 0. */
static double expected_gradient(void)
{
    double sum = 0;
    for (int i = 0; i < SAMPLES; i++)
        sum += -2.0 * x[i] * y[i];
    return sum / SAMPLES;
}

static double expected_loss(void)
{
    double sum = 0;
    for (int i = 0; i < SAMPLES; i++)
        sum += (double)y[i] * y[i];
    return sum / SAMPLES;
}

static strata_model *line_model(strata_context *ctx, bool normalized)
{
    strata_tensor *input = strata_input(ctx, .shape = {1});
    strata_tensor *inner = normalized ? strata_batch_normalization(input, .name = "norm") : input;
    strata_model *model =
        strata_functional(input, strata_dense(inner, .units = 1, .use_bias = false,
                                              .kernel_initializer = "zeros", .name = "line"));
    strata_compile(model, .optimizer = "SGD(learning_rate=1.0)", .loss = "mse", .metrics = {"mae"});
    assert_all_ok(ctx);
    return model;
}

static strata_dataset *samples(strata_context *ctx)
{
    fill_samples();
    return strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(SAMPLES, 1), STRATA_FLOAT32}},
                                .y = {{y, STRATA_SHAPE(SAMPLES, 1), STRATA_FLOAT32}});
}

/* --- C11 --- */

/* Sums and counts are each rank's own, in 64 bits, and what is shown is Σ / Σ: ON_READ and SUM. */
static void check_metric(const strata_context *ctx, const strata__metric *metric)
{
    const strata__group *replicas = &ctx->mesh->groups[STRATA__BATCH];
    int64_t own = strata__piece_of(SAMPLES, replicas->size, replicas->rank).count;
    double counts[1] = {metric->count};
    assert_int_equal(sizeof metric->total + sizeof metric->count, 16);
    assert_all_near(metric->count, (double)own, 0);
    strata__sum((strata_context *)ctx, STRATA__BATCH, counts, 1, STRATA_FLOAT64);
    assert_all_near(counts[0], SAMPLES, 0);
}

/* Equal on all ranks, so that the first replica's is everybody's. */
static void check_first(strata_context *ctx, double value)
{
    double first = value;
    strata__broadcast(ctx, STRATA__WORLD, 0, &first, sizeof first);
    assert_all_near(value, first, 0);
}

static void c11_users(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = line_model(ctx, true);
    const strata_logs *logs = strata_train_on_batch(model, samples(ctx));
    assert_all_ok(ctx);
    assert_all_near(strata_logs_get(logs, "loss"), expected_loss(), 1e-5);
    check_metric(ctx, model->trainer->tracker);
    check_metric(ctx, model->trainer->targets[0].metrics[0]);
    check_first(ctx, (double)model->trainer->optimizer->iteration);
    assert_all_int_equal(model->trainer->optimizer->iteration, 1);
    check_first(ctx, strata_model_learning_rate(model));
}

/* A count that 32 bits cannot hold still counts. */
static void c11_large_counts(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__metric *metric;
    double result;
    assert_all_int_equal(strata__metric_new_mean(ctx, "mean", &metric), STRATA_OK);
    strata__metric_add(metric, (double)(1LL << 40), (double)(1LL << 40));
    strata__metric_add(metric, 1, 1);
    assert_all_near(metric->count, (double)(1LL << 40) + 1, 0);
    strata__metrics_results(ctx, 1, &metric, &result);
    assert_all_near(result, 1, 0);
    strata__metric_free(metric);
}

/* Decision 9: ON_READ and MEAN. Every replica computes the statistics of the whole batch. */
static void c11_batch_normalization(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = line_model(ctx, true);
    strata_train_on_batch(model, samples(ctx));
    strata_variable *weights[2];
    strata_layer *norm = strata_model_find_layer(model, "norm");
    assert_all_int_equal(strata_layer_non_trainable_weights(norm, weights, 2), 2);
    double mean = 0;
    for (int i = 0; i < SAMPLES; i++)
        mean += x[i] / (double)SAMPLES;
    for (int i = 0; i < 2; i++) {
        assert_all_int_equal(weights[i]->synchronization, STRATA_SYNCHRONIZATION_ON_READ);
        assert_all_int_equal(weights[i]->aggregation, STRATA_AGGREGATION_MEAN);
        check_first(ctx, row_own(weights[i], 0));
    }
    float read;
    strata_cross_read(weights[0], &read);
    assert_all_near(read, 0.01 * mean, 1e-7);
    *(float *)weights[0]->value->data = (float)test_rank();
    strata_cross_read(weights[0], &read);
    assert_all_near(read, (test_ranks() - 1) / 2.0, 1e-6);
}

/* --- K6, K7 --- */

/* Decision 4: by the global number of samples; the mean of the replicas' means is another number.
 */
static void k6_gradients(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = line_model(ctx, false);
    strata_train_on_batch(model, samples(ctx));
    strata_variable *kernel;
    assert_all_int_equal(strata_layer_weights(strata_model_layer(model), &kernel, 1), 1);
    float read;
    strata_cross_read(kernel, &read);
    assert_all_near(read, -expected_gradient(), 1e-6);
}

/* A loop of the program's own: the mean over the batch is that of all replicas, and so are its
 * gradients. There is nothing to divide, hence nothing to refuse. */
static void k7_custom_loop(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    fill_samples();
    strata_variable *kernel =
        strata__variable_new(ctx, &(strata__variable_spec){.name = "kernel",
                                                           .shape = STRATA_SHAPE(1, 1),
                                                           .initializer = "zeros",
                                                           .trainable = true});
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_tensor *inputs = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, 1), x);
    strata_tensor *truth = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, 1), y);
    strata_tensor *guess = strata_ops_matmul(inputs, strata_variable_value(kernel));
    strata_tensor *errors = strata_ops_square(strata_ops_subtract(guess, truth));
    strata_tensor *loss = strata_ops_mean(errors, STRATA_NONE, false);
    strata_tape_gradient(ctx, 1, &loss, NULL);
    assert_all_ok(ctx);
    assert_all_near(*(const float *)strata_tensor_data(loss), expected_loss(), 1e-5);
    float gradient = *(const float *)strata_tensor_gradient(strata_variable_value(kernel))->data;
    strata__sum(ctx, STRATA__BATCH, &gradient, 1, STRATA_FLOAT32);
    assert_all_near(gradient, expected_gradient(), 1e-6);
    strata_scope_end(ctx);
    strata__variable_free(kernel);
}

static const struct CMUnitTest rows[] = {
    {.name = "C11 metrics, iterations, learning rate", .test_func = c11_users},
    {.name = "C11 counts in 64 bits", .test_func = c11_large_counts},
    {.name = "C11 moving statistics, decision 9", .test_func = c11_batch_normalization},
    {.name = "K6 gradients by the global batch, decision 4", .test_func = k6_gradients},
    {.name = "K7 a custom loop", .test_func = k7_custom_loop},
};

const row_list trained_rows = {rows, TEST_COUNT(rows)};
