/* Functional models: graphs, shared layers, nesting, their order and configuration. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>
#include <strata/layers/merging.h>
#include <strata/layers/normalization.h>
#include <strata/layers/regularization.h>
#include <strata/layers/reshaping.h>
#include <strata/ops.h>

#include "base/memory.h"
#include "model/support.h"

enum { SAMPLES = 5 };

/* Features of sample i: i + 1 for the first, … */
static strata_tensor *batch(strata_context *ctx, int64_t features)
{
    float values[SAMPLES * 8];
    for (int64_t i = 0; i < SAMPLES * features; i++)
        values[i] = (float)(i % 7) - 2.5f;
    return test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, features), values);
}

static void gather(const strata_tensor *tensor, float *whole)
{
    assert_all(tensor != NULL);
    assert_all_int_equal(strata_tensor_gather(tensor, whole), STRATA_OK);
}

static void assert_same(const strata_tensor *a, const strata_tensor *b)
{
    float ours[64], theirs[64];
    gather(a, ours);
    gather(b, theirs);
    strata_shape shape = strata_tensor_shape(a);
    assert_all_floats_near(ours, theirs, strata__product(&shape, 0, shape.rank), 1e-6);
}

/* --- running --- */

/* The model computes what its layers compute when they are called one after the other. */
static void test_graphs_run_on_every_mesh(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_tensor *a = strata_input(ctx, .shape = {3}), *b = strata_input(ctx, .shape = {4});
        strata_layer *left = STRATA_NEW_LAYER(ctx, dense, .units = 5, .activation = "tanh");
        strata_layer *right = STRATA_NEW_LAYER(ctx, dense, .units = 5);
        strata_layer *sum = STRATA_NEW_LAYER(ctx, add),
                     *top = STRATA_NEW_LAYER(ctx, dense, .units = 2);
        strata_tensor *hidden = strata_layer_call_list(
            sum, STRATA_LIST(strata_layer_call(left, a), strata_layer_call(right, b)));
        strata_tensor *y = strata_layer_call(top, hidden);
        strata_model *model = strata_functional_list(STRATA_LIST(a, b), STRATA_LIST(y, hidden));
        strata_scope_begin(ctx);
        strata_tensor *inputs[] = {batch(ctx, 3), batch(ctx, 4)}, *outputs[2];
        strata_layer_call_many(strata_model_layer(model), 2, inputs, 0, outputs);
        assert_all_ok(ctx);
        strata_tensor *middle =
            strata_layer_call_list(sum, STRATA_LIST(strata_layer_call(left, inputs[0]),
                                                    strata_layer_call(right, inputs[1])));
        assert_same(outputs[1], middle);
        assert_same(outputs[0], strata_layer_call(top, middle));
        strata_scope_end(ctx);
    }
}

static void test_shared_layers_have_one_set_of_weights(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *a = strata_input(ctx, .shape = {3}), *b = strata_input(ctx, .shape = {3});
    strata_layer *shared = STRATA_NEW_LAYER(ctx, dense, .units = 2);
    strata_tensor *first = strata_layer_call(shared, a), *second = strata_layer_call(shared, b);
    strata_model *model = strata_functional_list(
        STRATA_LIST(a, b), STRATA_LIST(strata_add(STRATA_LIST(first, second))));
    assert_all_int_equal(strata_layer_weights(strata_model_layer(model), NULL, 0), 2);
    strata_scope_begin(ctx);
    strata_tensor *inputs[] = {batch(ctx, 3), batch(ctx, 3)}, *y;
    strata_layer_call_many(strata_model_layer(model), 2, inputs, 0, &y);
    strata_tensor *once = strata_layer_call(shared, inputs[0]);
    assert_same(y, strata_ops_affine(once, 2, 0));
    strata_scope_end(ctx);
}

/* A model called on a tensor of a graph, twice, inside another model. */
static strata_model *inner_model(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {3});
    return strata_functional(x, strata_dense(x, .units = 3, .activation = "tanh"), .name = "inner");
}

static void test_models_nest(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *inner = strata_model_layer(inner_model(ctx));
        strata_tensor *x = strata_input(ctx, .shape = {3});
        strata_tensor *y = strata_layer_call(inner, strata_layer_call(inner, x));
        strata_model *outer = strata_functional(x, y, .name = "outer");
        strata_scope_begin(ctx);
        strata_tensor *input = batch(ctx, 3);
        strata_tape_watch(input);
        strata_tape_begin(ctx);
        strata_tensor *result = strata_layer_call(strata_model_layer(outer), input);
        assert_same(result, strata_layer_call(inner, strata_layer_call(inner, input)));
        strata_tape_gradient(ctx, 1, &result, NULL);
        assert_all_ok(ctx);
        assert_all(strata_tensor_gradient(input) != NULL);
        strata_scope_end(ctx);
        assert_all_int_equal(strata_layer_weights(strata_model_layer(outer), NULL, 0), 2);
    }
}

/* (batch,) stands for (batch, 1), and the gradient finds its way back. */
static void test_inputs_of_one_feature_may_lack_its_axis(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {1});
    strata_model *model =
        strata_functional(x, strata_dense(x, .units = 1, .kernel_initializer = "ones"));
    const float values[3] = {1, 2, 3};
    strata_scope_begin(ctx);
    strata_tensor *flat = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(3), values);
    strata_tape_watch(flat);
    strata_tape_begin(ctx);
    strata_tensor *y = strata_layer_call(strata_model_layer(model), flat);
    strata_tape_gradient(ctx, 1, &y, NULL);
    assert_all_ok(ctx);
    float got[3];
    gather(strata_tensor_gradient(flat), got);
    assert_all_near(got[2], 1, 0);
    strata_scope_end(ctx);
}

/* An Input of a fixed batch size takes the shorter last batch; whole numbers become its type. */
static void test_inputs_are_brought_to_what_the_model_takes(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {3}, .batch_size = 10);
    strata_model *model = strata_functional(x, strata_flatten(x));
    const int32_t values[6] = {1, 2, 3, 4, 5, 6};
    float got[6];
    strata_scope_begin(ctx);
    strata_tensor *numbers = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(2, 3), values);
    gather(strata_layer_call(strata_model_layer(model), numbers), got);
    assert_all_near(got[5], 6, 0);
    strata_layer_call(strata_model_layer(model), batch(ctx, 4));
    assert_all_error(ctx, STRATA_INVALID,
                     "Input 0 with name 'input_layer' of layer 'functional' is incompatible with "
                     "the layer: expected "
                     "shape=(10, 3), found shape=(5, 4)");
    strata_scope_end(ctx);
}

static void test_the_number_of_inputs_is_checked(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = strata_model_layer(inner_model(ctx));
    strata_scope_begin(ctx);
    strata_tensor *inputs[] = {batch(ctx, 3), batch(ctx, 3)}, *y;
    strata_layer_call_many(layer, 2, inputs, 0, &y);
    assert_all_error(ctx, STRATA_INVALID,
                     "Layer \"inner\" expects 1 input(s), but it received 2 input tensors.");
    strata_scope_end(ctx);
}

static void test_training_argument_of_a_call_is_kept(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {3}), *y;
    strata_layer *dropout = STRATA_NEW_LAYER(ctx, dropout, .rate = 1);
    strata_layer_call_many(dropout, 1, &x, 1, &y);
    strata_model *model = strata_functional(x, y);
    char *text = strata_model_to_json(model);
    assert_all(strstr(text, "\"kwargs\": {\"training\": true}") != NULL);
    strata__names_reset(ctx);
    strata_model *again = strata_model_from_json(ctx, text);
    strata_text_free(ctx, text);
    strata_scope_begin(ctx);
    float got[SAMPLES * 3] = {1};
    gather(strata_layer_call(strata_model_layer(again), batch(ctx, 3)), got);
    assert_all_near(got[0], 0, 0);
    strata_scope_end(ctx);
}

/* --- what is refused --- */

static void test_disconnected_graphs_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *a = strata_input(ctx, .shape = {3}),
                  *b = strata_input(ctx, .shape = {3}, .name = "b");
    assert_all(!strata_functional(a, strata_dense(b, .units = 1)));
    assert_all_error(ctx, STRATA_INVALID,
                     "`inputs` not connected to `outputs`: model 'functional' needs input 'b'");
    strata_tensor *middle = strata_dense(a, .units = 1);
    assert_all(!strata_functional(middle, strata_dense(middle, .units = 1)));
    assert_all_error(ctx, STRATA_INVALID, "was not made by strata_input()");
    strata_scope_begin(ctx);
    assert_all(!strata_functional(a, strata_dense(strata_ops_affine(a, 2, 0), .units = 1)));
    assert_all_error(ctx, STRATA_INVALID, "computed outside a layer; use Lambda");
    assert_all(!strata_functional(a, strata_ops_affine(a, 2, 0)));
    assert_all_error(ctx, STRATA_INVALID, "output 0 is not the result of a layer call");
    strata_scope_end(ctx);
    assert_all(!strata_functional(a, NULL));
    assert_all_ok(ctx);
}

/* Files of strangers may name the same tensor a million times. */
static void test_calls_of_thousands_of_tensors_are_refused(void **state)
{
    (void)state;
    static strata_tensor *many[5000];
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {1});
    for (int i = 0; i < 5000; i++)
        many[i] = x;
    strata_tensor *y = strata_concatenate(((strata_list){4096, many}));
    assert_all_ok(ctx);
    assert_all(strata_functional(x, y) != NULL);
    assert_all(!strata_concatenate(((strata_list){4097, many})));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "4097 inputs; at most 4096");
    for (int i = 0; i < 5000; i++)
        many[i] = y;
    assert_all(!strata_functional_list(STRATA_LIST(x), ((strata_list){5000, many})));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "1 inputs and 5000 outputs; at most 4096");
}

static void test_repeated_names_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {3});
    strata_tensor *y =
        strata_dense(strata_dense(x, .units = 1, .name = "twin"), .units = 1, .name = "twin");
    assert_all(!strata_functional(x, y));
    assert_all_error(
        ctx, STRATA_INVALID,
        "The name \"twin\" is used 2 times in the model. All operation names should be unique.");
}

static void test_freed_models_are_not_called(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = inner_model(ctx);
    strata_layer *layer = strata_model_layer(model);
    strata_model_free(model);
    strata_model_free(NULL);
    strata_scope_begin(ctx);
    assert_all(!strata_layer_call(layer, batch(ctx, 3)));
    assert_all_error(ctx, STRATA_INVALID, "model 'inner' has been freed");
    strata_scope_end(ctx);
}

/* --- order, and JSON of every kind of graph --- */

/* to_json() of what to_json() gave is the same; free() the JSON. */
static json_t *round_trip(strata_context *ctx, strata_model *model)
{
    char *text = strata_model_to_json(model);
    assert_all_ok(ctx);
    strata__names_reset(ctx);
    strata_model *again = strata_model_from_json(ctx, text);
    assert_all_ok(ctx);
    json_t *json = json_loads(text, 0, NULL);
    assert_all(model_json_agrees(again, json, "round trip"));
    strata_text_free(ctx, text);
    return json;
}

static void assert_layer_names(strata_model *model, const char *expected)
{
    char names[256] = "";
    for (int i = 0; strata_model_get_layer(model, i); i++) {
        strcat(names, i ? " " : "");
        strcat(names, strata_layer_name(strata_model_get_layer(model, i)));
    }
    assert_all_string_equal(names, expected);
}

/* The example of the two models: the first output leads to y, so y is met before x. */
static void test_layers_are_ordered_as_in_keras(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {3}, .name = "x"),
                  *y = strata_input(ctx, .shape = {3}, .name = "y");
    strata_layer *inner = strata_model_layer(inner_model(ctx));
    strata_layer *square = STRATA_NEW_LAYER(ctx, dense, .units = 3, .name = "sq");
    strata_tensor *a = strata_layer_call(inner, x), *b = strata_layer_call(inner, y);
    strata_layer_call(square, a);
    strata_tensor *first = strata_layer_call(square, a), *second = strata_layer_call(square, b);
    strata_tensor *sum = strata_add(STRATA_LIST(first, second), .name = "add");
    strata_model *model = strata_functional_list(STRATA_LIST(x, y), STRATA_LIST(b, second, sum));
    assert_layer_names(model, "y x inner sq add");
    json_t *json = round_trip(ctx, model);
    char *outputs =
        json_dumps(json_object_get(json_object_get(json, "config"), "output_layers"), JSON_COMPACT);
    assert_all_string_equal(outputs, "[[\"inner\",2,0],[\"sq\",1,0],[\"add\",0,0]]");
    free(outputs);
    json_decref(json);
    assert_all(strata_model_find_layer(model, "sq") == square);
    assert_all(strata_model_find_layer(model, "none") == NULL &&
               strata_model_get_layer(model, -1) == NULL);
}

static void test_graphs_of_every_kind_survive_json(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    ctx->verbosity = 0;
    strata_tensor *ids = strata_input(ctx, .shape = {4}, .dtype = "int32", .name = "ids");
    strata_tensor *e = strata_embedding(ids, .input_dim = 9, .output_dim = 2, .mask_zero = true);
    strata_tensor *n = strata_layer_normalization(strata_dense(e, .units = 2, .trainable = false));
    strata_tensor *c = strata_concatenate(STRATA_LIST(e, n), .axis = 1);
    strata_tensor *one = strata_add(STRATA_LIST(c));
    strata_model *model = strata_functional(ids, strata_flatten(one));
    assert_all_ok(ctx);
    json_decref(round_trip(ctx, model));
}

static void test_frozen_models_stay_frozen(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = inner_model(ctx);
    strata_layer_set_trainable(strata_model_layer(model), false);
    assert_all_int_equal(strata_layer_trainable_weights(strata_model_layer(model), NULL, 0), 0);
    char *text = strata_model_to_json(model);
    strata__names_reset(ctx);
    strata_model *again = strata_model_from_json(ctx, text);
    strata_text_free(ctx, text);
    assert_all(!strata_layer_trainable(strata_model_layer(again)));
    assert_all_int_equal(strata_layer_trainable_weights(strata_model_layer(again), NULL, 0), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs_run_on_every_mesh),
        cmocka_unit_test(test_shared_layers_have_one_set_of_weights),
        cmocka_unit_test(test_models_nest),
        cmocka_unit_test(test_inputs_of_one_feature_may_lack_its_axis),
        cmocka_unit_test(test_inputs_are_brought_to_what_the_model_takes),
        cmocka_unit_test(test_the_number_of_inputs_is_checked),
        cmocka_unit_test(test_training_argument_of_a_call_is_kept),
        cmocka_unit_test(test_disconnected_graphs_are_refused),
        cmocka_unit_test(test_calls_of_thousands_of_tensors_are_refused),
        cmocka_unit_test(test_repeated_names_are_refused),
        cmocka_unit_test(test_freed_models_are_not_called),
        cmocka_unit_test(test_layers_are_ordered_as_in_keras),
        cmocka_unit_test(test_graphs_of_every_kind_survive_json),
        cmocka_unit_test(test_frozen_models_stay_frozen),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
