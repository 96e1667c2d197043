/* EinsumDense beyond what golden values cover: what is refused, where weights lie, shapes. */
/* SPDX-License-Identifier: Apache-2.0 */

#include <strata/context.h>
#include <strata/layers/core.h>

#include "layers/layer.h"
#include "layers/support.h"

/* --- what is refused --- */

static const struct {
    const char *layer;
    strata_shape input;
    strata_status status;
    const char *words;
} refusals[] = {
    {"EinsumDense(equation='ab,bc>ac', output_shape=3)",
     {{2, 4}, 2},
     STRATA_INVALID,
     "Invalid einsum equation 'ab,bc>ac'. Equations must be in the form [X],[Y]->[Z], "
     "...[X],[Y]->...[Z], or [X]...,[Y]->[Z]...."},
    {"EinsumDense(equation='ab,bc->ad', output_shape=3)",
     {{2, 4}, 2},
     STRATA_INVALID,
     "Dimension 'd' was specified in the output 'ad' but has no corresponding dim"},
    {"EinsumDense(equation='ab,bcd->ac', output_shape=3)",
     {{2, 4}, 2},
     STRATA_INVALID,
     "Weight dimension 'd' did not have a match in either the input spec 'ab' or the output spec "
     "'ac'. For this layer, the weight must be fully specified."},
    {"EinsumDense(equation='ab,bc->ac', output_shape=3, bias_axes='b')",
     {{2, 4}, 2},
     STRATA_INVALID,
     "Bias dimension 'b' was requested, but is not part of the output spec 'ac'"},
    {"EinsumDense(equation='...b,bc->...c', output_shape=3, bias_axes='0')",
     {{2, 4}, 2},
     STRATA_INVALID,
     "Bias dimension '0' was requested"},
    {"EinsumDense(equation='abc,cd->abd', output_shape=[5, 3])",
     {{2, 4, 3}, 3},
     STRATA_INVALID,
     "Input shape and output shape do not match at shared dimension 'b'. Input shape is 4, and "
     "output shape is 5."},
    {"EinsumDense(equation='abc,cd->abd', output_shape=3)",
     {{2, 4, 3}, 3},
     STRATA_INVALID,
     "output_shape has 1 sizes, but the output of 'abc,cd->abd' has 2 axes after the batch"},
    {"EinsumDense(equation='...c,cd->...d', output_shape=[4, 3])",
     {{2, 4, 3}, 3},
     STRATA_INVALID,
     "output_shape has 2 sizes, but the output of '...c,cd->...d' has 1 axes"},
    {"EinsumDense(equation='abc,cd->abd', output_shape=[None, 3])",
     {{2, 4}, 2},
     STRATA_INVALID,
     "an input with 2 axes does not fit the equation 'abc,cd->abd'"},
    {"EinsumDense(equation='abc,cd->abd', output_shape=[4, None])",
     {{2, 4, 3}, 3},
     STRATA_INVALID,
     "must be fully-defined (no `None` dimensions). Received: shape=(3, None)"},
    {"EinsumDense(equation='abc,cd->bad', output_shape=[None, 3])",
     {{2, 4, 3}, 3},
     STRATA_UNSUPPORTED,
     "the first axis of the input, the batch, must be the first of the output"},
    {"EinsumDense(equation='ab,abc->ac', output_shape=3)",
     {{2, 4}, 2},
     STRATA_UNSUPPORTED,
     "none of the kernel's"},
    {"EinsumDense(equation='abb,bc->ac', output_shape=3)",
     {{2, 4, 4}, 3},
     STRATA_UNSUPPORTED,
     "an operand has two axes of one letter"},
};

static void test_bad_equations_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(test_mesh(0));
    for (size_t i = 0; i < TEST_COUNT(refusals); i++) {
        strata_layer *layer = strata_layer_from_text(ctx, refusals[i].layer);
        assert_all_ok(ctx);
        strata_layer_build(layer, refusals[i].input);
        assert_all_error(ctx, refusals[i].status, refusals[i].words);
    }
}

static void test_arguments_are_checked(void **state)
{
    (void)state;
    strata_context *ctx = test_session(test_mesh(0));
    assert_all(!strata_layer_from_text(ctx, "EinsumDense(equation='ab,bc->ac')"));
    assert_all_error(ctx, STRATA_INVALID, "the required argument output_shape is missing");
    assert_all(!STRATA_NEW_LAYER(ctx, einsum_dense, .equation = "ab,bc->ac"));
    assert_all_error(ctx, STRATA_INVALID, "output_shape is required");
    assert_all(!STRATA_NEW_LAYER(ctx, einsum_dense, .output_shape = {3}));
    assert_all_error(ctx, STRATA_INVALID, "equation is required");
    assert_all(!strata_layer_from_text(
        ctx, "EinsumDense(equation='ab,bc->ac', output_shape=3, lora_rank=4)"));
    assert_all_error(ctx, STRATA_INVALID, "Unrecognized keyword arguments passed to EinsumDense");
}

/* --- where weights lie --- */

static const struct {
    const char *equation;
    strata_shape output, input;
    bool sharded;
} placements[] = {
    {"abc,cd->abd", {{STRATA_NONE, 4}, 2}, {{2, 3, 5}, 3}, true},
    {"abc,cde->abde", {{STRATA_NONE, 2, 3}, 3}, {{2, 3, 5}, 3}, true},
    {"abcd,cde->abe", {{STRATA_NONE, 4}, 2}, {{2, 3, 2, 3}, 4}, true},
    {"...x,xy->...y", {{4}, 1}, {{2, 3, 5}, 3}, true},
    {"abc,bd->adc", {{4, STRATA_NONE}, 2}, {{2, 3, 5}, 3}, false},
};

static void test_kernels_of_products_lie_on_the_grid(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        for (size_t i = 0; i < TEST_COUNT(placements); i++) {
            strata_layer *layer =
                STRATA_NEW_LAYER(ctx, einsum_dense, .equation = placements[i].equation,
                                 .output_shape = placements[i].output);
            strata_layer_build(layer, placements[i].input);
            assert_all_ok(ctx);
            strata_variable *kernel;
            strata_layer_weights(layer, &kernel, 1);
            bool grid = ctx->mesh->rows * ctx->mesh->cols > 1;
            assert_all((strata_variable_value(kernel)->matrix != NULL) ==
                       (grid && placements[i].sharded));
        }
    }
}

/* --- results --- */

/* Over the last axis alone, also where the two last axes are the columns of one product. */
static void test_softmax_is_over_the_last_axis(void **state)
{
    (void)state;
    enum { SAMPLES = 3, D = 2, E = 3 };
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_scope_begin(ctx);
        const strata_tensor *y = strata_einsum_dense(
            batch_of_numbers(ctx, STRATA_SHAPE(SAMPLES, 4)), .equation = "ab,bde->ade",
            .output_shape = {D, E}, .bias_axes = "de", .activation = "softmax");
        assert_all_ok(ctx);
        float values[SAMPLES * D * E];
        strata_tensor_gather(y, values);
        for (int i = 0; i < SAMPLES * D; i++)
            assert_all_near(values[i * E] + values[i * E + 1] + values[i * E + 2], 1, 1e-5);
        strata_scope_end(ctx);
    }
}

static void test_the_batch_may_be_open(void **state)
{
    (void)state;
    strata_context *ctx = test_session(test_mesh(0));
    strata_tensor *x = strata_input(ctx, .shape = {7, 3, 6});
    strata_tensor *y = strata_einsum_dense(x, .equation = "...x,xyz->...yz", .output_shape = {2, 3},
                                           .bias_axes = "yz");
    char text[STRATA__SHAPE_TEXT];
    assert_all_ok(ctx);
    strata_shape shape = strata_tensor_shape(y);
    assert_all_string_equal(strata__shape_text(&shape, text), "(None, 7, 3, 2, 3)");
    y = strata_einsum_dense(y, .equation = "abcde,def->abcf",
                            .output_shape = {STRATA_NONE, STRATA_NONE, 5});
    shape = strata_tensor_shape(y);
    assert_all_string_equal(strata__shape_text(&shape, text), "(None, 7, 3, 5)");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_equations_are_refused),
        cmocka_unit_test(test_arguments_are_checked),
        cmocka_unit_test(test_kernels_of_products_lie_on_the_grid),
        cmocka_unit_test(test_softmax_is_over_the_last_axis),
        cmocka_unit_test(test_the_batch_may_be_open),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
