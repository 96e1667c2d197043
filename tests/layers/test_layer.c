/* The base layer: names, paths, weights, freezing, sublayers, configuration, custom classes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>
#include <strata/layers/merging.h>
#include <strata/layers/regularization.h>

#include "base/memory.h"
#include "layers/compute_sum.h"
#include "layers/layer.h"
#include "sessions.h"

/* A layer that makes no weights itself: tests do, from outside. */
typedef struct bare_config {
    STRATA_LAYER_COMMON
} bare_config;
static const bare_config bare_defaults = {STRATA_LAYER_DEFAULTS};
static const strata_field bare_fields[] = {STRATA_LAYER_FIELDS(bare_config)};

static strata_tensor *bare_call(strata_layer *layer, const strata_call *call)
{
    (void)layer;
    return strata_ops_affine(call->inputs[0], 2, 0);
}

static const strata_layer_class bare_class = {.name = "BareReLU2D",
                                              .package = "Tests",
                                              .config_size = sizeof(bare_config),
                                              .defaults = &bare_defaults,
                                              .fields = bare_fields,
                                              .field_count = TEST_COUNT(bare_fields),
                                              .call = bare_call};

static strata_layer *bare(strata_context *ctx, const char *name)
{
    return strata_layer_new(ctx, &bare_class, &(bare_config){STRATA_LAYER_DEFAULTS, .name = name});
}

static strata_tensor *ones(strata_context *ctx, strata_shape shape)
{
    int64_t count = strata__product(&shape, 0, shape.rank);
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = 1;
    strata_tensor *tensor = test_batch_of(ctx, STRATA_FLOAT32, shape, values);
    free(values);
    return tensor;
}

/* --- names and paths --- */

static void test_names_are_counted_by_class(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_all_string_equal(strata_layer_name(STRATA_NEW_LAYER(ctx, dense, .units = 1)), "dense");
    assert_all_string_equal(strata_layer_name(STRATA_NEW_LAYER(ctx, dense, .units = 1)), "dense_1");
    strata_layer *named = STRATA_NEW_LAYER(ctx, dense, .units = 1, .name = "head");
    assert_all_string_equal(strata_layer_name(named), "head");
    strata_layer *third = STRATA_NEW_LAYER(ctx, dense, .units = 1);
    assert_all_string_equal(strata_layer_name(third), "dense_2");
    assert_all_string_equal(((const strata_dense_config *)strata_layer_config(third))->name,
                            "dense_2");
    assert_all_string_equal(strata_layer_name(bare(ctx, NULL)), "bare_re_lu2d");
    strata_layer_build(third, STRATA_SHAPE(STRATA_NONE, 2));
    strata_variable *weights[2];
    strata_layer_weights(third, weights, 2);
    assert_all_string_equal(strata_variable_path(weights[0]), "dense_2/kernel");
    assert_all_string_equal(strata_variable_name(weights[1]), "bias");
}

static void test_names_have_no_slash(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_all(!STRATA_NEW_LAYER(ctx, dense, .units = 1, .name = "a/b"));
    assert_all_error(ctx, STRATA_INVALID, "cannot contain character `/`. Received: name=a/b");
}

static void test_other_element_types_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_all(!STRATA_NEW_LAYER(ctx, dense, .units = 1, .dtype = "bfloat16"));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "dtype 'bfloat16'");
}

/* --- add_weight --- */

static void test_add_weight_takes_every_argument(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = bare(ctx, "b");
    strata_variable *plain = strata_layer_add_weight(layer);
    assert_all_string_equal(strata_variable_path(plain), "b/variable");
    assert_all(strata_variable_trainable(plain) && strata_variable_dtype(plain) == STRATA_FLOAT32);
    assert_all_int_equal(strata_variable_shape(plain).rank, 0);
    strata_variable *full = strata_layer_add_weight(
        layer, .name = "w", .shape = STRATA_SHAPE(2, 3), .initializer = "Constant(value=2)",
        .regularizer = "L2(l2=0.5)", .constraint = "NonNeg", .trainable = 1,
        .synchronization = STRATA_SYNCHRONIZATION_ON_WRITE, .aggregation = STRATA_AGGREGATION_MEAN);
    float values[6];
    strata_cross_read(full, values);
    assert_all_near(values[5], 2, 0);
    assert_all_string_equal(full->regularizer.class->name, "L2");
    assert_all_string_equal(full->constraint.class->name, "NonNeg");
    assert_all_int_equal(strata_variable_aggregation(full), STRATA_AGGREGATION_MEAN);
    strata_variable *counter =
        strata_layer_add_weight(layer, .name = "n", .dtype = "int64", .trainable = 0);
    int64_t count = 7;
    strata_cross_read(counter, &count);
    assert_all(count == 0 && !strata_variable_trainable(counter));
    strata_variable *read = strata_layer_add_weight(
        layer, .name = "r", .synchronization = STRATA_SYNCHRONIZATION_ON_READ,
        .aggregation = STRATA_AGGREGATION_SUM);
    assert_all(!strata_variable_trainable(read));
    assert_all_int_equal(strata_layer_weights(layer, NULL, 0), 4);
    assert_all_int_equal(strata_layer_trainable_weights(layer, NULL, 0), 2);
    assert_all_ok(ctx);
}

static void test_add_weight_refuses_what_is_wrong(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = bare(ctx, "b");
    assert_all(!strata_layer_add_weight(layer, .name = "w", .dtype = "complex64"));
    assert_all_error(ctx, STRATA_INVALID, "unknown dtype 'complex64'");
    assert_all(!strata_layer_add_weight(layer, .name = "w", .initializer = "zeroes"));
    assert_all_error(ctx, STRATA_INVALID, "zeroes");
    assert_all(!strata_layer_add_weight(layer, .name = "w", .trainable = 1,
                                        .synchronization = STRATA_SYNCHRONIZATION_ON_READ));
    assert_all_error(ctx, STRATA_INVALID, "b/w");
    strata_layer_build(layer, STRATA_SHAPE(STRATA_NONE, 2));
    assert_all(!strata_layer_add_weight(layer, .name = "late"));
    assert_all_error(ctx, STRATA_INVALID,
                     "You cannot add new elements of state (variables or sub-layers)");
    strata_layer_track(layer, "inner", bare(ctx, NULL));
    assert_all_error(ctx, STRATA_INVALID, "already built");
    assert_all_int_equal(strata_layer_weights(layer, NULL, 0), 0);
}

/* --- lists of weights --- */

/* outer: own trainable, own not trainable; then inner, which is tracked twice. */
static strata_layer *nested(strata_context *ctx)
{
    strata_layer *outer = bare(ctx, "outer"), *inner = bare(ctx, "inner");
    strata_layer_add_weight(outer, .name = "state", .trainable = 0);
    strata_layer_add_weight(outer, .name = "w");
    strata_layer_add_weight(inner, .name = "v");
    strata_layer_add_weight(inner, .name = "count", .trainable = 0);
    strata_layer_track(outer, "first", inner);
    strata_layer_track(outer, "again", inner);
    return outer;
}

static void assert_names(int count, strata_variable *const *weights, const char *expected)
{
    char names[256] = "";
    for (int i = 0; i < count; i++) {
        strcat(names, i ? " " : "");
        strcat(names, strata_variable_name(weights[i]));
    }
    assert_all_string_equal(names, expected);
}

static void test_weights_are_listed_in_the_order_of_keras(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *outer = nested(ctx);
    strata_variable *weights[8];
    assert_names(strata_layer_weights(outer, weights, 8), weights, "w state v count");
    assert_names(strata_layer_trainable_weights(outer, weights, 8), weights, "w v");
    assert_names(strata_layer_non_trainable_weights(outer, weights, 8), weights, "state count");
    weights[1] = NULL;
    assert_all_int_equal(strata_layer_weights(outer, weights, 1), 4);
    assert_all(weights[1] == NULL);
}

static void test_freezing_goes_down_and_keeps_the_order(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *outer = nested(ctx);
    strata_variable *weights[8];
    strata_layer_set_trainable(outer, false);
    assert_all_int_equal(strata_layer_trainable_weights(outer, NULL, 0), 0);
    assert_names(strata_layer_weights(outer, weights, 8), weights, "w state v count");
    assert_names(strata_layer_non_trainable_weights(outer, weights, 8), weights, "w state v count");
    assert_all(!strata_variable_trainable(weights[0]));
    strata_layer_set_trainable(outer, true);
    assert_names(strata_layer_trainable_weights(outer, weights, 8), weights, "w v");
    char *config = strata_layer_get_config(outer);
    assert_all(strstr(config, "\"trainable\": true") != NULL);
    strata_text_free(ctx, config);
}

/* Made frozen: what is in it is frozen too, though it does not know. */
static void test_a_layer_made_frozen_has_no_trainable_weights(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    bare_config frozen = {STRATA_LAYER_DEFAULTS, .trainable = false};
    strata_layer *outer = strata_layer_new(ctx, &bare_class, &frozen), *inner = bare(ctx, NULL);
    strata_layer_add_weight(outer, .name = "w");
    strata_layer_add_weight(inner, .name = "v");
    strata_layer_track(outer, "inner", inner);
    assert_all_int_equal(strata_layer_trainable_weights(outer, NULL, 0), 0);
    assert_all_int_equal(strata_layer_non_trainable_weights(outer, NULL, 0), 2);
    assert_all_int_equal(strata_layer_trainable_weights(inner, NULL, 0), 1);
}

static void test_weights_are_set_and_got_on_every_mesh(void **state)
{
    (void)state;
    float kernel[15], bias[5] = {5, 4, 3, 2, 1}, got[15], got_bias[5];
    for (int i = 0; i < 15; i++)
        kernel[i] = (float)i;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer = STRATA_NEW_LAYER(ctx, dense, .units = 5);
        strata_layer_build(layer, STRATA_SHAPE(STRATA_NONE, 3));
        const strata_shape shapes[] = {STRATA_SHAPE(3, 5), STRATA_SHAPE(5)};
        strata_layer_set_weights(layer, 2, (const void *const[]){kernel, bias}, shapes);
        strata_layer_get_weights(layer, 2, (void *const[]){got, got_bias});
        assert_all_ok(ctx);
        assert_all_floats_near(got, kernel, 15, 0);
        assert_all_floats_near(got_bias, bias, 5, 0);
        assert_all_int_equal(strata_layer_count_params(layer), 20);
    }
}

static void test_wrong_weights_are_refused_in_kerass_words(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = STRATA_NEW_LAYER(ctx, dense, .units = 2);
    float values[6] = {0};
    assert_all_int_equal(strata_layer_count_params(layer), 0);
    assert_all_error(
        ctx, STRATA_INVALID,
        "You tried to call `count_params` on layer 'dense', but the layer isn't built.");
    strata_layer_build(layer, STRATA_SHAPE(STRATA_NONE, 3));
    const void *arrays[] = {values, values};
    strata_layer_set_weights(layer, 1, arrays, &STRATA_SHAPE(3, 2));
    assert_all_error(ctx, STRATA_INVALID,
                     "You called `set_weights(weights)` on layer 'dense' with a weight list of "
                     "length 1, but the layer was expecting 2 weights.");
    const strata_shape shapes[] = {STRATA_SHAPE(2, 2), STRATA_SHAPE(2)};
    strata_layer_set_weights(layer, 2, arrays, shapes);
    assert_all_error(
        ctx, STRATA_INVALID,
        "Layer dense weight shape (3, 2) is not compatible with provided weight shape (2, 2).");
    strata_layer_get_weights(layer, 3, NULL);
    assert_all_error(ctx, STRATA_INVALID, "has 2 weights");
    strata_layer *none = STRATA_NEW_LAYER(ctx, dropout, .rate = 0.5);
    assert_all_int_equal(strata_layer_set_weights(none, 0, NULL, NULL), STRATA_OK);
    assert_all_int_equal(strata_layer_count_params(none), 0);
    assert_all_ok(ctx);
}

/* --- dynamic, configuration --- */

static void test_dynamic_is_kept_and_reported(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *plain = STRATA_NEW_LAYER(ctx, dense, .units = 1);
    assert_all(!strata_layer_dynamic(plain));
    char *config = strata_layer_get_config(plain);
    assert_all(!strstr(config, "dynamic"));
    strata_text_free(ctx, config);
    strata_layer *dynamic = STRATA_NEW_LAYER(ctx, dense, .units = 1, .dynamic = true);
    config = strata_layer_get_config(dynamic);
    assert_all(strstr(config, "\"dynamic\": true") != NULL);
    strata_text_free(ctx, config);
    strata_layer *outer = bare(ctx, NULL);
    strata_layer_track(outer, "inner", dynamic);
    assert_all(strata_layer_dynamic(outer));
}

static void test_configuration_is_copied_deeply(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    char activation[] = "relu", name[] = "mine";
    strata_layer *layer =
        STRATA_NEW_LAYER(ctx, dense, .units = 3, .activation = activation, .name = name);
    memset(activation, 'x', 4);
    memset(name, 'x', 4);
    char *config = strata_layer_get_config(layer);
    assert_all(strstr(config, "\"activation\": \"relu\"") && strstr(config, "\"name\": \"mine\""));
    strata_text_free(ctx, config);
}

static void test_layers_from_text(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer =
        strata_layer_from_text(ctx, "Dense(units=4, activation='relu', use_bias=False)");
    assert_all_int_equal(((const strata_dense_config *)strata_layer_config(layer))->units, 4);
    assert_all(!((const strata_dense_config *)strata_layer_config(layer))->use_bias);
    layer = strata_layer_from_text(ctx, "Flatten");
    assert_all_string_equal(strata_layer_class_name(layer), "Flatten");
    assert_all(!strata_layer_from_text(ctx, "Dens(units=4)"));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "did you mean 'Dense'?");
    assert_all(!strata_layer_from_text(ctx, "Dense(unit=4)"));
    assert_all_error(ctx, STRATA_INVALID, "did you mean 'units'?");
    assert_all(!strata_layer_from_text(ctx, "[1]"));
    assert_all_error(ctx, STRATA_BAD_DATA, "class_name");
    assert_all(!strata_layer_from_text(ctx, "{\"class_name\": \"Dense\", \"config\": 3}"));
    assert_all_error(ctx, STRATA_BAD_DATA, "config");
}

/* --- ComputeSum --- */

static void assert_total(strata_layer *layer, int64_t samples, float expected)
{
    strata_context *ctx = strata_layer_context(layer);
    float got[3] = {0}, wanted[3] = {expected, expected, expected};
    strata_scope_begin(ctx);
    strata_tensor *y = strata_layer_call(layer, ones(ctx, STRATA_SHAPE(samples, 3)));
    assert_all_ok(ctx);
    strata_tensor_gather(y, got);
    strata_scope_end(ctx);
    assert_all_floats_near(got, wanted, 3, 0);
    strata_layer_get_weights(layer, 1, (void *const[]){got});
    assert_all_floats_near(got, wanted, 3, 0);
}

/* Five samples do not divide among the ranks, one leaves ranks without any. */
static void test_compute_sum_runs_on_every_mesh(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer = STRATA_NEW_LAYER(ctx, compute_sum, .input_dim = 3);
        assert_total(layer, 5, 5);
        assert_total(layer, 1, 6);
        assert_all_int_equal(strata_layer_trainable_weights(layer, NULL, 0), 0);
        assert_all_int_equal(strata_layer_non_trainable_weights(layer, NULL, 0), 1);
    }
}

static void test_custom_classes_are_found_by_their_registered_name(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = STRATA_NEW_LAYER(ctx, compute_sum, .input_dim = 3, .name = "sum");
    char *text = strata_layer_serialize(layer);
    assert_all(strstr(text, "\"registered_name\": \"Guide>ComputeSum\"") != NULL);
    assert_all(!strata_layer_from_text(ctx, text));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "Guide>ComputeSum");
    strata_register_layer(ctx, &strata_compute_sum_class);
    strata_register_layer(ctx, &strata_compute_sum_class);
    assert_all_int_equal(ctx->custom_classes->count, 1);
    strata_layer *again = strata_layer_from_text(ctx, text);
    assert_all_ok(ctx);
    assert_all_string_equal(strata_layer_name(again), "sum");
    assert_total(again, 2, 2);
    char *same = strata_layer_serialize(again);
    assert_all(strstr(same, "\"input_dim\": 3") != NULL);
    strata_text_free(ctx, same);
    strata_text_free(ctx, text);
}

/* In a graph the result is symbolic, whatever the layer returns, and nothing is added up. */
static void test_custom_layers_stand_in_graphs(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = STRATA_NEW_LAYER(ctx, compute_sum, .input_dim = 3);
    strata_tensor *x = strata_input(ctx, .shape = {3});
    strata_tensor *y = strata_layer_call(layer, x);
    assert_all_ok(ctx);
    assert_all(strata_tensor_data(y) == NULL && strata_tensor_layer(y) == layer);
    strata_tensor *z = strata_layer_call(layer, x);
    assert_all(z != y && strata_tensor_layer(y) == layer);
    assert_total(layer, 4, 4);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_counted_by_class),
        cmocka_unit_test(test_names_have_no_slash),
        cmocka_unit_test(test_other_element_types_are_refused),
        cmocka_unit_test(test_add_weight_takes_every_argument),
        cmocka_unit_test(test_add_weight_refuses_what_is_wrong),
        cmocka_unit_test(test_weights_are_listed_in_the_order_of_keras),
        cmocka_unit_test(test_freezing_goes_down_and_keeps_the_order),
        cmocka_unit_test(test_a_layer_made_frozen_has_no_trainable_weights),
        cmocka_unit_test(test_weights_are_set_and_got_on_every_mesh),
        cmocka_unit_test(test_wrong_weights_are_refused_in_kerass_words),
        cmocka_unit_test(test_dynamic_is_kept_and_reported),
        cmocka_unit_test(test_configuration_is_copied_deeply),
        cmocka_unit_test(test_layers_from_text),
        cmocka_unit_test(test_compute_sum_runs_on_every_mesh),
        cmocka_unit_test(test_custom_classes_are_found_by_their_registered_name),
        cmocka_unit_test(test_custom_layers_stand_in_graphs),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
