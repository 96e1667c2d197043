/* Dtype policies: layers of mixed_bfloat16, their configuration, and what is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>

#include "layers/layer.h"
#include "sessions.h"

/* A number that takes more than 8 bits, different for each i. */
static float number(int64_t i)
{
    return (float)sin(1.0 + (double)i * 0.7) * (float)(1 + i % 7);
}

/* y = x·w of one layer, and dx, on whatever mesh. */
static void run_dense(strata_context *ctx, const char *dtype, float *y, float *dx)
{
    float x[4 * 6];
    for (int i = 0; i < 24; i++)
        x[i] = number(i);
    strata_layer *layer =
        STRATA_NEW_LAYER(ctx, dense, .units = 3, .use_bias = false, .dtype = dtype,
                         .kernel_initializer = "RandomNormal(seed=3)");
    strata_scope_begin(ctx);
    strata_tensor *input = strata_tensor_batch_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(4, 6), x);
    strata_tape_begin(ctx);
    strata_tape_watch(input);
    strata_tensor *output = strata_layer_call(layer, input);
    strata_tape_gradient(ctx, 1, &output, NULL);
    strata_tensor_gather(output, y);
    strata_tensor_gather(strata_tensor_gradient(input), dx);
    strata_scope_end(ctx);
    strata_tensor_release(input);
    assert_all_ok(ctx);
}

static double largest_difference(const float *a, const float *b, int count)
{
    double most = 0;
    for (int i = 0; i < count; i++)
        most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

/* Near the float32 result, and not equal to it: forward and backward are rounded. */
static void test_layers_of_the_policy(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_session(test_mesh(i));
        float y[2][12], dx[2][24];
        run_dense(ctx, "float32", y[0], dx[0]);
        run_dense(ctx, "mixed_bfloat16", y[1], dx[1]);
        double y_error = largest_difference(y[0], y[1], 12);
        double dx_error = largest_difference(dx[0], dx[1], 24);
        assert_all(y_error > 1e-6 && y_error < 0.02);
        assert_all(dx_error > 1e-6 && dx_error < 0.02);
        assert_all_int_equal(ctx->precision, STRATA__FLOAT32);
    }
}

static void test_names_of_policies(void **state)
{
    (void)state;
    strata_context *ctx = test_session(test_mesh(0));
    assert_all_int_equal(strata_set_dtype_policy(ctx, "mixed_bfloat16"), STRATA_OK);
    strata_layer *layer = STRATA_NEW_LAYER(ctx, dense, .units = 3);
    char *config = strata_layer_serialize(layer);
    assert_all(strstr(config, "\"DTypePolicy\"") && strstr(config, "\"mixed_bfloat16\""));
    strata_layer *copy = strata_layer_from_text(ctx, config);
    char *again = strata_layer_get_config(copy);
    assert_all(again && strstr(again, "\"mixed_bfloat16\""));
    strata_text_free(ctx, again);
    strata_text_free(ctx, config);
    strata_layer *plain = STRATA_NEW_LAYER(ctx, dense, .units = 3, .dtype = "float32");
    config = strata_layer_get_config(plain);
    assert_all(!strstr(config, "bfloat16"));
    strata_text_free(ctx, config);
    strata_set_dtype_policy(ctx, "mixed_float16");
    assert_all_error(ctx, STRATA_UNSUPPORTED, "dtype policy 'mixed_float16' is not supported");
    assert_all(!STRATA_NEW_LAYER(ctx, dense, .units = 1, .dtype = "float16"));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "dtype 'float16' is not supported");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_of_the_policy),
        cmocka_unit_test(test_names_of_policies),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
