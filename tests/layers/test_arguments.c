/* Arguments of calls besides the inputs: in calls, in graphs, in files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>
#include <strata/model.h>

#include "layers/layer.h"
#include "layers/support.h"

/* --- a layer whose call is blend(left, right=None, extra=None, times=1, both=False) --- */

typedef struct blend_arguments {
    strata_tensor *extra;
    int64_t times;
    bool both;
} blend_arguments;
static const blend_arguments argument_defaults = {.times = 1};
static const strata_field arguments[] = {
    STRATA_FIELD(blend_arguments, extra),
    STRATA_FIELD(blend_arguments, times, .min = 1, .max = 9, .omit_default = true),
    STRATA_FIELD(blend_arguments, both, .omit_default = true),
};

typedef struct blend_config {
    STRATA_LAYER_COMMON
} blend_config;
static const blend_config defaults = {STRATA_LAYER_DEFAULTS};
static const strata_field fields[] = {STRATA_LAYER_FIELDS(blend_config)};

/* times · (left + right) + extra, and with `both` what extra is added to. */
static strata_status blend(strata_layer *layer, const strata_call *call, strata_tensor **outputs)
{
    (void)layer;
    const blend_arguments *a = call->arguments;
    strata_tensor *y = call->inputs[0];
    if (call->count == 2)
        y = strata_ops_add(y, call->inputs[1]);
    y = strata_ops_affine(y, (double)a->times, 0);
    if (a->both)
        outputs[1] = y;
    outputs[0] = a->extra ? strata_ops_add(y, a->extra) : y;
    return outputs[0] ? STRATA_OK : STRATA_INVALID;
}

static int count_outputs(const void *given)
{
    return ((const blend_arguments *)given)->both ? 2 : 1;
}

static const strata_layer_class blend_class = {.name = "Blend",
                                               .package = "Test",
                                               .config_size = sizeof(blend_config),
                                               .defaults = &defaults,
                                               .fields = fields,
                                               .field_count = TEST_COUNT(fields),
                                               .min_inputs = 1,
                                               .max_inputs = 2,
                                               .input_names = "left|right",
                                               .arguments_size = sizeof(blend_arguments),
                                               .argument_defaults = &argument_defaults,
                                               .arguments = arguments,
                                               .argument_count = TEST_COUNT(arguments),
                                               .count_outputs = count_outputs,
                                               .call_many = blend};

static strata_context *session(int mesh)
{
    strata_context *ctx = test_session(test_mesh(mesh));
    strata_register_layer(ctx, &blend_class);
    return ctx;
}

/* --- calls --- */

enum { SAMPLES = 5, FEATURES = 3, COUNT = SAMPLES * FEATURES };

static strata_tensor *numbers(strata_context *ctx)
{
    return batch_of_numbers(ctx, STRATA_SHAPE(SAMPLES, FEATURES));
}

/* Element i is factor · i. */
static void assert_multiple(const strata_tensor *y, double factor)
{
    float values[COUNT];
    float expected[COUNT];
    strata_tensor_gather(y, values);
    for (int i = 0; i < COUNT; i++)
        expected[i] = (float)(factor * i);
    assert_all_floats_near(values, expected, COUNT, 1e-5);
}

static void test_a_call_takes_arguments(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = session(m);
        strata_layer *layer = strata_layer_new(ctx, &blend_class, NULL);
        strata_scope_begin(ctx);
        strata_tensor *x = numbers(ctx), *y[2] = {0};
        strata_layer_call_many(layer, 1, &x, -1, y);
        assert_multiple(y[0], 1);
        blend_arguments given = {.extra = strata__split(x), .times = 3, .both = true};
        strata_layer_call_with(layer, &given, 2, (strata_tensor *[]){x, x}, -1, y);
        assert_all_ok(ctx);
        assert_multiple(y[0], 7);
        assert_multiple(y[1], 6);
        strata_scope_end(ctx);
    }
}

/* --- graphs --- */

/* outputs: 2·(a + b) + c, 2·(a + b) */
static strata_model *graph(strata_context *ctx)
{
    strata_tensor *a = strata_input(ctx, .shape = {FEATURES}, .name = "a");
    strata_tensor *b = strata_input(ctx, .shape = {FEATURES}, .name = "b");
    strata_tensor *c = strata_input(ctx, .shape = {FEATURES}, .name = "c");
    strata_layer *layer = strata_layer_new(ctx, &blend_class, NULL);
    strata_tensor *y[2];
    blend_arguments given = {.extra = c, .times = 2, .both = true};
    strata_layer_call_with(layer, &given, 2, (strata_tensor *[]){a, b}, -1, y);
    return strata_functional_list(STRATA_LIST(a, b, c), STRATA_LIST(y[0], y[1]), .name = "graph");
}

static void assert_graph_computes(strata_context *ctx, strata_model *model)
{
    assert_all_ok(ctx);
    strata_scope_begin(ctx);
    strata_tensor *x = numbers(ctx), *outputs[2];
    strata_tensor *inputs[] = {x, x, strata_ops_affine(x, 10, 0)};
    strata_layer_call_many(strata_model_layer(model), 3, inputs, 0, outputs);
    assert_all_ok(ctx);
    assert_multiple(outputs[0], 14);
    assert_multiple(outputs[1], 4);
    strata_scope_end(ctx);
}

static void test_a_graph_keeps_the_arguments_of_its_calls(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = session(m);
        assert_graph_computes(ctx, graph(ctx));
    }
}

static void test_arguments_are_written_as_keras_does(void **state)
{
    (void)state;
    strata_context *ctx = session(0);
    char *text = strata_model_to_json(graph(ctx));
    assert_all(strstr(text,
                      "\"kwargs\": {\"times\": 2, \"both\": true, \"extra\": {\"class_name\": "
                      "\"__keras_tensor__\", \"config\": {\"shape\": [null, 3], \"dtype\": "
                      "\"float32\", \"keras_history\": [\"c\", 0, 0]}}}"));
    strata_model *model = strata_model_from_json(ctx, text);
    assert_graph_computes(ctx, model);
    char *again = strata_model_to_json(model);
    assert_all_string_equal(again, text);
    strata_text_free(ctx, again);
    strata_text_free(ctx, text);
}

/* --- files of others --- */

/* The graph with the node of its layer replaced. */
static strata_model *with_node(strata_context *ctx, json_t *args, json_t *kwargs)
{
    char *text = strata_model_to_json(graph(ctx));
    json_t *object = json_loads(text, 0, NULL);
    strata_text_free(ctx, text);
    json_t *layers = json_object_get(json_object_get(object, "config"), "layers");
    size_t i;
    json_t *layer;
    json_array_foreach(layers, i, layer)
    {
        json_t *node = json_array_get(json_object_get(layer, "inbound_nodes"), 0);
        if (strcmp(json_string_value(json_object_get(layer, "class_name")), "Blend") == 0) {
            json_object_set(node, "args", args);
            json_object_set(node, "kwargs", kwargs);
        }
    }
    json_decref(args);
    json_decref(kwargs);
    char *changed = json_dumps(object, 0);
    json_decref(object);
    strata_model *model = strata_model_from_json(ctx, changed);
    free(changed);
    return model;
}

static json_t *tensor(const char *layer)
{
    return json_pack("{s:s, s:{s:[n,i], s:s, s:[s,i,i]}}", "class_name", "__keras_tensor__",
                     "config", "shape", 3, "dtype", "float32", "keras_history", layer, 0, 0);
}

static void test_inputs_may_be_given_by_name(void **state)
{
    (void)state;
    strata_context *ctx = session(0);
    assert_graph_computes(
        ctx, with_node(ctx, json_pack("[o]", tensor("a")),
                       json_pack("{s:o, s:i, s:b, s:o, s:n}", "extra", tensor("c"), "times", 2,
                                 "both", 1, "right", tensor("b"), "mask")));
    assert_graph_computes(
        ctx, with_node(ctx, json_array(),
                       json_pack("{s:o, s:o, s:i, s:b, s:o}", "right", tensor("b"), "left",
                                 tensor("a"), "times", 2, "both", 1, "extra", tensor("c"))));
}

static void test_bad_arguments_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = session(0);
    assert_all(!with_node(ctx, json_pack("[o]", tensor("a")), json_pack("{s:i}", "times", 10)));
    assert_all_error(ctx, STRATA_INVALID, "call of layer 'blend");
    assert_all(!with_node(ctx, json_pack("[o]", tensor("a")), json_pack("{s:s}", "both", "yes")));
    assert_all_error(ctx, STRATA_INVALID, "both must be True or False, got \"yes\"");
    assert_all(!with_node(ctx, json_pack("[o]", tensor("a")), json_pack("{s:b}", "neither", 1)));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "is called with the argument neither");
    assert_all(
        !with_node(ctx, json_pack("[o]", tensor("a")), json_pack("{s:o}", "left", tensor("b"))));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "is called with the tensor left");
    assert_all(!with_node(ctx, json_array(), json_pack("{s:o}", "right", tensor("b"))));
    assert_all_error(ctx, STRATA_BAD_DATA, "a call whose inputs are not tensors of layers");
    assert_all(
        !with_node(ctx, json_pack("[o]", tensor("a")), json_pack("{s:o}", "extra", tensor("d"))));
    assert_all_error(ctx, STRATA_BAD_DATA, "a call whose inputs are not tensors of layers");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_takes_arguments),
        cmocka_unit_test(test_a_graph_keeps_the_arguments_of_its_calls),
        cmocka_unit_test(test_arguments_are_written_as_keras_does),
        cmocka_unit_test(test_inputs_may_be_given_by_name),
        cmocka_unit_test(test_bad_arguments_are_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
