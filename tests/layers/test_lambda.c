/* Lambda: C functions as layers, and their names in files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>
#include <strata/ops.h>

#include "gradient_check.h"
#include "layers/support.h"

static strata_tensor *square_plus(strata_tensor *x, void *user)
{
    return strata_ops_affine(strata_ops_square(x), 1, *(const double *)user);
}

static strata_tensor *as_it_is(strata_tensor *x, void *user)
{
    (void)user;
    return x;
}

static strata_tensor *call_lambda(const void *user, strata_tensor *const *inputs)
{
    return strata_layer_call((strata_layer *)(uintptr_t)user, inputs[0]);
}

static void test_lambda_has_gradients(void **state)
{
    (void)state;
    double offset = 3;
    const double values[6] = {0.5, -1, 2, 0.25, -0.75, 1.5};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer = STRATA_NEW_LAYER(ctx, lambda, .function = square_plus,
                                               .user = &offset, .output_shape = STRATA_SHAPE(2));
        test_operand x = {.shape = STRATA_SHAPE(3, 2), .layout = {.batch = true}, .values = values};
        assert_all_gradients(ctx, call_lambda, layer, 1, &x, 2e-2);
    }
}

static void test_lambda_checks_its_shape_and_passes_masks_if_told(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    ctx->verbosity = 0;
    double offset = 0;
    strata_layer *wrong = STRATA_NEW_LAYER(ctx, lambda, .function = square_plus, .user = &offset,
                                           .output_shape = STRATA_SHAPE(7));
    strata_layer *passing =
        STRATA_NEW_LAYER(ctx, lambda, .function = square_plus, .mask = as_it_is, .user = &offset);
    strata_layer *plain = STRATA_NEW_LAYER(ctx, lambda, .function = square_plus, .user = &offset);
    strata_scope_begin(ctx);
    strata_tensor *x = masked_batch(ctx, STRATA_SHAPE(2, 3, 2));
    strata_layer_call(wrong, x);
    assert_all_error(ctx, STRATA_INVALID,
                     "the function returned shape (2, 3, 2) where output_shape is (7,)");
    assert_all(strata_tensor_mask(strata_layer_call(passing, x)) == strata_tensor_mask(x));
    assert_all(strata_tensor_mask(strata_layer_call(plain, x)) == NULL);
    strata_scope_end(ctx);
}

static void test_lambda_is_saved_by_its_registered_name(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    double offset = 1;
    strata_layer *nameless =
        STRATA_NEW_LAYER(ctx, lambda, .function = square_plus, .user = &offset);
    strata_text_free(ctx, strata_layer_get_config(nameless));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "Lambda around a C function without a name");
    strata_register_function(ctx, "tests>square_plus", square_plus, &offset);
    assert_all_ok(ctx);
    strata_register_function(ctx, "tests>square_plus", square_plus, &offset);
    assert_all_error(ctx, STRATA_INVALID, "registered already");
    strata_layer *named = STRATA_NEW_LAYER(ctx, lambda, .function_name = "tests>square_plus");
    char *text = strata_layer_serialize(named);
    assert_all(
        strstr(text,
               "\"function\": {\"module\": \"builtins\", \"class_name\": \"function\", \"config\": "
               "\"tests>square_plus\", \"registered_name\": \"function\"}") != NULL);
    strata_layer *again = strata_layer_from_text(ctx, text);
    assert_all_ok(ctx);
    assert_all(((const strata_lambda_config *)strata_layer_config(again))->function == square_plus);
    strata_text_free(ctx, text);
}

static void test_python_code_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_all(!strata_layer_from_text(
        ctx,
        "{\"class_name\": \"Lambda\", \"config\": {\"name\": \"f\", \"function\": {\"class_name\": "
        "\"__lambda__\", \"config\": {\"code\": \"4wEAAAA=\"}}, \"arguments\": {}}}"));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "Python code in files is never run");
    assert_all(!strata_layer_from_text(
        ctx,
        "{\"class_name\": \"Lambda\", \"config\": {\"name\": \"f\", \"function\": {\"module\": "
        "\"builtins\", \"class_name\": \"function\", \"config\": \"other>f\", \"registered_name\": "
        "\"function\"}, \"arguments\": {}}}"));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "'other>f', which is not a registered C function");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lambda_has_gradients),
        cmocka_unit_test(test_lambda_checks_its_shape_and_passes_masks_if_told),
        cmocka_unit_test(test_lambda_is_saved_by_its_registered_name),
        cmocka_unit_test(test_python_code_is_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
