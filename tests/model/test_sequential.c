/* Sequential models: adding, building, names and paths, and what is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>
#include <strata/layers/merging.h>

#include "base/memory.h"
#include "model/support.h"

static strata_model *two_dense(strata_context *ctx, bool with_input)
{
    strata_model *model = strata_sequential(ctx, "stack");
    if (with_input)
        strata_sequential_add(model, STRATA_NEW_LAYER(ctx, input_layer, .shape = {3}));
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, dense, .units = 4, .activation = "relu"));
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, dense, .units = 2));
    assert_all_ok(ctx);
    return model;
}

static void assert_paths(strata_model *model)
{
    strata_variable *weights[4];
    assert_all_int_equal(strata_layer_weights(strata_model_layer(model), weights, 4), 4);
    assert_all_string_equal(strata_variable_path(weights[0]), "stack/dense/kernel");
    assert_all_string_equal(strata_variable_path(weights[3]), "stack/dense_1/bias");
}

static void test_a_model_with_an_input_is_built_at_once(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_paths(two_dense(ctx, true));
}

static void test_a_model_without_input_is_built_when_asked(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = two_dense(ctx, false);
    assert_all_int_equal(strata_layer_weights(strata_model_layer(model), NULL, 0), 0);
    strata_save(model, test_path("unbuilt.keras"));
    assert_all_error(ctx, STRATA_INVALID, "model 'stack' is not built");
    strata_model_build(model, STRATA_SHAPE(STRATA_NONE, 3));
    assert_all_ok(ctx);
    assert_paths(model);
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, dense, .units = 2));
    assert_all_error(ctx, STRATA_INVALID, "it is built already");
}

/* Also while a tape records: building it makes graph and weights, not nodes. */
static void test_a_model_without_input_is_built_by_its_first_call(void **state)
{
    (void)state;
    const float values[6] = {1, 2, 3, 4, 5, 6};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_model *model = two_dense(ctx, false);
        strata_scope_begin(ctx);
        strata_tape_begin(ctx);
        strata_tensor *x = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 3), values);
        strata_tensor *y = strata_layer_call(strata_model_layer(model), x);
        assert_all_ok(ctx);
        assert_all_int_equal(strata_tensor_shape(y).dims[1], 2);
        strata_tape_gradient(ctx, 1, &y, NULL);
        assert_all_ok(ctx);
        strata_variable *weights[4];
        strata_layer_weights(strata_model_layer(model), weights, 4);
        assert_all(strata_tensor_gradient(strata_variable_value(weights[0])) != NULL);
        strata_scope_end(ctx);
        assert_paths(model);
    }
}

/* The inner model that Keras makes takes a number of `functional`. */
static void test_building_takes_a_name_of_functional(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model_build(two_dense(ctx, false), STRATA_SHAPE(STRATA_NONE, 3));
    strata_tensor *x = strata_input(ctx, .shape = {3});
    strata_model *model = strata_functional(x, strata_dense(x, .units = 1));
    assert_all_string_equal(strata_model_name(model), "functional_1");
}

static void test_wrong_layers_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = strata_sequential(ctx, NULL);
    assert_all_string_equal(strata_model_name(model), "sequential");
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, dense, .units = 1, .name = "twin"));
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, dense, .units = 1, .name = "twin"));
    assert_all_error(ctx, STRATA_INVALID,
                     "All layers added to a Sequential model should have unique names. Name 'twin' "
                     "is already the name "
                     "of a layer in this model.");
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, input_layer, .shape = {3}));
    assert_all_error(ctx, STRATA_INVALID, "must be the first layer");
    strata_model *empty = strata_sequential(ctx, NULL);
    strata_model_build(empty, STRATA_SHAPE(STRATA_NONE, 3));
    assert_all_error(ctx, STRATA_INVALID, "cannot be built because it has no layers");
    strata_tensor *x = strata_input(ctx, .shape = {3});
    strata_sequential_add(strata_functional(x, strata_dense(x, .units = 1)),
                          STRATA_NEW_LAYER(ctx, dense, .units = 1));
    assert_all_error(ctx, STRATA_INVALID, "not a Sequential");
    strata_model *merging = strata_sequential(ctx, NULL);
    strata_sequential_add(merging, STRATA_NEW_LAYER(ctx, input_layer, .shape = {3}));
    strata_sequential_add(merging, STRATA_NEW_LAYER(ctx, add));
    assert_all_error(ctx, STRATA_INVALID, "should be called on a list of inputs");
}

static void test_wrong_shapes_are_told_with_the_layer(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = two_dense(ctx, true);
    const float values[8] = {0};
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 4), values);
    assert_all(!strata_layer_call(strata_model_layer(model), x));
    assert_all_error(ctx, STRATA_INVALID,
                     "of layer 'stack' is incompatible with the layer: expected shape=(None, 3)");
    strata_scope_end(ctx);
}

/* A stack in a stack, of which only the outer one knows its input. */
static void test_stacks_in_stacks_survive_json_and_files(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *inner = strata_sequential(ctx, "inner");
    strata_sequential_add(inner, STRATA_NEW_LAYER(ctx, dense, .units = 4));
    strata_model *outer = strata_sequential(ctx, "outer");
    strata_sequential_add(outer, STRATA_NEW_LAYER(ctx, input_layer, .shape = {3}));
    strata_sequential_add(outer, strata_model_layer(inner));
    strata_sequential_add(outer, STRATA_NEW_LAYER(ctx, dense, .units = 2));
    strata_save(outer, test_path("stacks.keras"));
    assert_all_ok(ctx);
    char *text = strata_model_to_json(outer);
    strata__names_reset(ctx);
    strata_model *again = strata_load(ctx, test_path("stacks.keras"));
    assert_all_ok(ctx);
    json_t *json = json_loads(text, 0, NULL);
    assert_all(model_json_agrees(again, json, "stacks"));
    json_decref(json);
    strata_text_free(ctx, text);
    strata_variable *ours[4], *theirs[4];
    assert_all_int_equal(strata_layer_weights(strata_model_layer(outer), ours, 4), 4);
    strata_layer_weights(strata_model_layer(again), theirs, 4);
    float a[12], b[12];
    strata_cross_read(ours[0], a);
    strata_cross_read(theirs[0], b);
    assert_all_floats_near(a, b, 12, 0);
}

/* Not built, and so without shapes: the file of its configuration keeps it so. */
static void test_unbuilt_stacks_survive_json(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    char *text = strata_model_to_json(two_dense(ctx, false));
    assert_all(!strstr(text, "build_input_shape") && !strstr(text, "InputLayer"));
    strata__names_reset(ctx);
    strata_model *again = strata_model_from_json(ctx, text);
    strata_text_free(ctx, text);
    strata_model_build(again, STRATA_SHAPE(STRATA_NONE, 3));
    assert_all_ok(ctx);
    assert_paths(again);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_with_an_input_is_built_at_once),
        cmocka_unit_test(test_a_model_without_input_is_built_when_asked),
        cmocka_unit_test(test_a_model_without_input_is_built_by_its_first_call),
        cmocka_unit_test(test_building_takes_a_name_of_functional),
        cmocka_unit_test(test_wrong_layers_are_refused),
        cmocka_unit_test(test_wrong_shapes_are_told_with_the_layer),
        cmocka_unit_test(test_stacks_in_stacks_survive_json_and_files),
        cmocka_unit_test(test_unbuilt_stacks_survive_json),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
