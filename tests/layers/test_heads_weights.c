/* Weights of attention by heads: their gradients against central differences, and the
 * mixed_bfloat16 policy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/attention.h>

#include "layers/layer.h"
#include "layers/support.h"

enum { BATCH = 3, T = 3, D = 4, MOST_WEIGHTS = 10, MOST = 64 };

#define STEP (1.0f / 64)

static strata_tensor *input(strata_context *ctx)
{
    float x[BATCH * T * D];
    for (int i = 0; i < BATCH * T * D; i++)
        x[i] = (float)sin(0.7 * (i + 1));
    return test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(BATCH, T, D), x);
}

static strata_tensor *call(strata_layer *layer, strata_tensor *x)
{
    strata_attention_arguments causal = {.use_causal_mask = true};
    strata_tensor *y = NULL;
    strata_layer_call_with(layer, &causal, 2, (strata_tensor *[]){x, x}, 0, &y);
    return y;
}

static void upstream_values(float u[BATCH * T * D])
{
    for (int i = 0; i < BATCH * T * D; i++)
        u[i] = (float)cos(1.7 * i + 0.3);
}

/* Σ y·u */
static double weighted_sum(strata_layer *layer)
{
    strata_context *ctx = strata_layer_context(layer);
    float y[BATCH * T * D], u[BATCH * T * D];
    double sum = 0;
    upstream_values(u);
    strata_scope_begin(ctx);
    strata_tensor_gather(call(layer, input(ctx)), y);
    strata_scope_end(ctx);
    for (int i = 0; i < BATCH * T * D; i++)
        sum += (double)y[i] * u[i];
    return sum;
}

/* Of every weight, whole, and of the input. Returns the number of weights. */
static int gradients_of(strata_layer *layer, float (*weights)[MOST], float dx[BATCH * T * D])
{
    strata_context *ctx = strata_layer_context(layer);
    strata_variable *variables[MOST_WEIGHTS];
    float u[BATCH * T * D];
    upstream_values(u);
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_tensor *x = input(ctx);
    strata_tape_watch(x);
    strata_tensor *y = call(layer, x);
    strata_tensor *upstream = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(BATCH, T, D), u);
    strata_tape_gradient(ctx, 1, &y, &upstream);
    assert_all_ok(ctx);
    int count = strata_layer_weights(layer, variables, MOST_WEIGHTS);
    for (int i = 0; i < count; i++)
        whole_weight_gradient(variables[i], weights[i]);
    strata_tensor_gather(strata_tensor_gradient(x), dx);
    strata_scope_end(ctx);
    return count;
}

static double difference(strata_layer *layer, strata_variable *variable, int64_t element)
{
    float values[MOST];
    strata_cross_read(variable, values);
    float value = values[element];
    values[element] = value + STEP;
    strata_cross_assign(variable, values);
    double above = weighted_sum(layer);
    values[element] = value - STEP;
    strata_cross_assign(variable, values);
    double below = weighted_sum(layer);
    values[element] = value;
    strata_cross_assign(variable, values);
    return (above - below) / (2 * STEP);
}

static void check_gradients(strata_layer *layer)
{
    float ours[MOST_WEIGHTS][MOST], dx[BATCH * T * D];
    strata_variable *variables[MOST_WEIGHTS];
    int count = gradients_of(layer, ours, dx);
    assert_all(count >= 8);
    strata_layer_weights(layer, variables, MOST_WEIGHTS);
    for (int i = 0; i < count; i++) {
        int64_t size = strata__product(&variables[i]->shape, 0, variables[i]->shape.rank);
        for (int64_t k = 0; k < size; k++) {
            double expected = difference(layer, variables[i], k);
            assert_all_near(ours[i][k], expected, 2e-3 * (1 + fabs(expected)));
        }
    }
}

static strata_layer *layer_of(strata_context *ctx, int groups, const char *dtype)
{
    if (groups == 0)
        return STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 3, .key_dim = 2,
                                .value_dim = 3, .use_gate = true, .dtype = dtype,
                                .kernel_initializer = "RandomNormal(stddev=0.6, seed=3)",
                                .bias_initializer = "RandomNormal(stddev=0.3, seed=4)");
    return STRATA_NEW_LAYER(ctx, group_query_attention, .num_query_heads = 4,
                            .num_key_value_heads = groups, .head_dim = 2, .dtype = dtype,
                            .kernel_initializer = "RandomNormal(stddev=0.6, seed=3)",
                            .bias_initializer = "RandomNormal(stddev=0.3, seed=4)");
}

static void test_gradients_of_weights(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        for (int groups = 0; groups <= 2; groups += 2)
            check_gradients(layer_of(ctx, groups, "float32"));
    }
}

/* --- mixed_bfloat16 --- */

static double largest_difference(const float *a, const float *b, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

/* Near the float32 result, and not equal to it: forward and backward are rounded, weights are not.
 */
static void check_policy(strata_context *ctx, int groups)
{
    static const char *const policies[] = {"float32", "mixed_bfloat16"};
    float y[2][BATCH * T * D], dx[2][BATCH * T * D], weights[2][MOST_WEIGHTS][MOST] = {0};
    for (int i = 0; i < 2; i++) {
        strata_layer *layer = layer_of(ctx, groups, policies[i]);
        strata_variable *variables[MOST_WEIGHTS];
        int count = gradients_of(layer, weights[i], dx[i]);
        strata_layer_weights(layer, variables, MOST_WEIGHTS);
        for (int v = 0; v < count; v++)
            assert_all_int_equal(strata_variable_dtype(variables[v]), STRATA_FLOAT32);
        strata_scope_begin(ctx);
        strata_tensor_gather(call(layer, input(ctx)), y[i]);
        strata_scope_end(ctx);
    }
    double of_y = largest_difference(y[0], y[1], BATCH * T * D);
    double of_dx = largest_difference(dx[0], dx[1], BATCH * T * D);
    double of_weights = largest_difference(weights[0][0], weights[1][0], MOST_WEIGHTS * MOST);
    assert_all(of_y > 1e-5 && of_y < 0.05);
    assert_all(of_dx > 1e-5 && of_dx < 0.1);
    assert_all(of_weights > 1e-5 && of_weights < 0.3);
}

static void test_policy_of_projections(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        check_policy(ctx, 0);
        check_policy(ctx, 2);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_weights),
        cmocka_unit_test(test_policy_of_projections),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
