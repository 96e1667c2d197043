/* Field tables: configurations from C, from JSON and from notation, checked, copied and printed. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include <math.h>
#include <string.h>

#include "base/fields.h"
#include "base/memory.h"

/* --- a family of penalties and one of functions --- */

typedef struct penalty_config {
    double l1, l2;
    const char *inner; /* a penalty in a penalty */
} penalty_config;

static const strata__family penalties, functions;

static const penalty_config penalty_defaults = {.l1 = 0.25};
static const strata_field penalty_fields[] = {
    STRATA_FIELD(penalty_config, l1, .min = 0, .max = INFINITY),
    STRATA_FIELD(penalty_config, l2, .min = 0, .max = INFINITY),
    STRATA_FIELD(penalty_config, inner, .family = &penalties, .omit_default = true),
};
static const strata__class penalty = {.name = "L1L2",
                                      .aliases = "l1_l2|elastic",
                                      .module = "keras.regularizers",
                                      .config_size = sizeof(penalty_config),
                                      .defaults = &penalty_defaults,
                                      .fields = penalty_fields,
                                      .field_count = 3};
static const strata__class no_penalty = {.name = "NoPenalty", .module = "keras.regularizers"};
static const strata__class registered = {.name = "pack>Custom", .module = "pack"};
static const strata__class *const penalty_list[] = {&penalty, &no_penalty, &registered};
static const strata__family penalties = {"regularizer", penalty_list, 3, NULL};

static const strata__class relu = {.name = "relu", .is_function = true};
static const strata__class silu = {.name = "silu", .aliases = "swish", .is_function = true};
static const strata__class *const function_list[] = {&relu, &silu};
static const strata__family functions = {"activation", function_list, 2, "linear"};

/* --- a layer with every type of member --- */

typedef struct layer_config {
    int64_t units, axis, seed;
    double rate, limit;
    const char *padding, *name, *activation, *regularizer, *extra, *axes;
    bool use_bias;
    int64_t kernel_size[2], strides[2], pool_strides[2], crops[3];
    strata_shape target, optional;
    void *function;
} layer_config;

#define LAYER_DEFAULTS                                                                             \
    .axis = -1, .seed = STRATA_NONE, .limit = NAN, .padding = "valid", .activation = "relu",       \
    .use_bias = true, .axes = "-1", .optional = STRATA_NO_SHAPE

static const layer_config layer_defaults = {LAYER_DEFAULTS};
static const strata_field layer_fields[] = {
    STRATA_FIELD(layer_config, units, .required = true, .min = 1, .max = 1000),
    STRATA_FIELD(layer_config, function),
    STRATA_FIELD(layer_config, axis),
    STRATA_FIELD(layer_config, seed),
    STRATA_FIELD(layer_config, rate, .min = 0, .max = 1, .exclusive_max = true),
    STRATA_FIELD(layer_config, limit, .exclusive_min = true),
    STRATA_FIELD(layer_config, padding, .choices = "valid|same"),
    STRATA_FIELD(layer_config, name),
    STRATA_FIELD(layer_config, activation, .family = &functions),
    STRATA_FIELD(layer_config, regularizer, .family = &penalties),
    STRATA_FIELD(layer_config, extra, .omit_default = true),
    STRATA_FIELD(layer_config, axes, .json = true),
    STRATA_FIELD(layer_config, use_bias),
    STRATA_FIELD(layer_config, kernel_size, .required = true, .repeat = true, .min = 1),
    STRATA_FIELD(layer_config, strides, .repeat = true, .fill = 1, .min = 1),
    STRATA_FIELD(layer_config, pool_strides, .repeat = true, .fill_is_none = true, .min = 1),
    STRATA_FIELD(layer_config, crops, .min = 0, .max = INFINITY),
    STRATA_FIELD(layer_config, target, .min = -1, .max = INFINITY),
    STRATA_FIELD(layer_config, optional),
};
static const strata__class layer = {.name = "Layer",
                                    .config_size = sizeof(layer_config),
                                    .defaults = &layer_defaults,
                                    .fields = layer_fields,
                                    .field_count = TEST_COUNT(layer_fields)};

#define FROM_C(...) (&(layer_config){LAYER_DEFAULTS, .units = 3, .kernel_size = {5}, __VA_ARGS__})

#pragma GCC diagnostic ignored "-Woverride-init"

static json_t *json_of(strata_context *ctx, const char *text)
{
    json_t *json = strata__json_parse(ctx, text, strlen(text), "test");
    assert_all_ok(ctx);
    return json;
}

static void assert_json(strata_context *ctx, json_t *json, const char *expected)
{
    char *text = strata__json_dump(ctx, json, 0);
    assert_string_equal(text, expected);
    strata__free(ctx, text);
    json_decref(json);
}

static strata_status read_layer(strata_context *ctx, const char *text, json_t *unknown,
                                layer_config **config)
{
    json_t *json = json_of(ctx, text);
    void *made;
    strata_status status = strata__config_from_json(ctx, &layer, json, "layer 'a'", unknown, &made);
    *config = made;
    json_decref(json);
    return status;
}

static layer_config *copy_layer(strata_context *ctx, const layer_config *from)
{
    void *config;
    strata__config_copy(ctx, &layer, from, "layer 'a'", &config);
    return config;
}

/* --- from C --- */

static void test_copy_is_deep_and_normal(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char name[] = "borrowed", padding[] = "SAME";
    int function;
    layer_config *config =
        copy_layer(ctx, FROM_C(.name = name, .padding = padding, .function = &function,
                               .strides = {0}, .target = {{28, 28}}, .limit = 2, .crops = {0, 1}));
    assert_all_ok(ctx);
    name[0] = padding[0] = '#';
    assert_string_equal(config->name, "borrowed");
    assert_string_equal(config->padding, "same");
    assert_ptr_equal(config->function, &function);
    assert_true(config->kernel_size[0] == 5 && config->kernel_size[1] == 5);
    assert_true(config->strides[0] == 1 && config->strides[1] == 1);
    assert_true(config->pool_strides[0] == 0 && config->pool_strides[1] == 0);
    assert_true(config->crops[0] == 0 && config->crops[1] == 1 && config->crops[2] == 0);
    assert_int_equal(config->target.rank, 2);
    assert_int_equal(config->optional.rank, -1);
    assert_true(config->use_bias && config->units == 3 && config->axis == -1 && config->limit == 2);
    strata__config_free(ctx, &layer, config);
}

static void test_values_from_c_are_checked(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    const struct {
        const layer_config *config;
        const char *words;
    } cases[] = {
        {FROM_C(.units = 0),
         "layer 'a': units is required and must be a whole number of at least 1 and of at "
         "most 1000, got 0"},
        {FROM_C(.units = 1001), "got 1001"},
        {FROM_C(.units = STRATA_NONE), "got null"},
        {FROM_C(.rate = 1), "rate must be a number of at least 0 and below 1, got 1.0"},
        {FROM_C(.rate = -0.1), "got -0.1"},
        {FROM_C(.rate = NAN), "rate must be a number of at least 0 and below 1, got null"},
        {FROM_C(.rate = INFINITY), "got Infinity"},
        {FROM_C(.limit = 0), "limit must be a number above 0 or None, got 0.0"},
        {FROM_C(.padding = "full"), "padding must be one of valid, same, got \"full\""},
        {FROM_C(.padding = NULL), "padding must be one of valid, same, got null"},
        {FROM_C(.activation = "rleu"),
         "activation of layer 'a': unknown activation 'rleu'; did you mean 'relu'?"},
        {FROM_C(.regularizer = "L1L2(-1)"),
         "L1L2 (regularizer of layer 'a'): l1 must be a number of at least 0, got -1.0"},
        {FROM_C(.name = "\xff"), "name must be a text or None, got something else"},
        {FROM_C(.axes = "[1"), "axes must be JSON text, got \"[1\""},
        {FROM_C(.kernel_size = {0}), "kernel_size is required and must be a whole number or a list "
                                     "of 2 of at least 1, got null"},
        {FROM_C(.kernel_size = {0, 3}), "got [0, 3]"},
        {FROM_C(.kernel_size = {3, -1}), "got [3, -1]"},
        {FROM_C(.pool_strides = {-2}),
         "pool_strides must be a whole number or a list of 2 of at least 1 or None, got [-2, -2]"},
        {FROM_C(.target = {{3, -2}}),
         "target must be a list of at most 8 sizes of at least -1, got [3, -2]"},
        {FROM_C(.target = {.rank = 9}), "target must be a list of at most 8 sizes"},
        {FROM_C(.target = {.rank = -1}), "got null"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_null(copy_layer(ctx, cases[i].config));
        assert_all_error(ctx, STRATA_INVALID, cases[i].words);
    }
}

static void test_a_required_handle_is_missed(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const strata_field fields[] = {STRATA_FIELD(layer_config, function, .required = true)};
    const strata__class lambda = {.name = "Lambda",
                                  .config_size = sizeof(layer_config),
                                  .defaults = &layer_defaults,
                                  .fields = fields,
                                  .field_count = 1};
    void *config;
    strata__config_copy(ctx, &lambda, &layer_defaults, "layer Lambda", &config);
    assert_null(config);
    assert_all_error(ctx, STRATA_INVALID,
                     "layer Lambda: the required argument function is missing");
    json_t *json = json_object();
    strata__config_from_json(ctx, &lambda, json, "layer Lambda", NULL, &config);
    assert_all_ok(ctx);
    strata__config_free(ctx, &lambda, config);
    json_decref(json);
}

/* --- from and to JSON --- */

static void test_json_comes_back_in_table_order(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    layer_config *config;
    read_layer(
        ctx,
        "{\"optional\": [], \"target\": [null, -1, 3], \"crops\": [1, 2, 3], \"pool_strides\": [2, "
        "3], "
        "\"strides\": [2, 1], \"kernel_size\": 3, \"use_bias\": false, \"axes\": [1, 2], "
        "\"extra\": {\"b\": [NaN]}, \"regularizer\": {\"class_name\": \"L1L2\", \"config\": "
        "{\"l2\": 1}}, "
        "\"activation\": \"swish\", \"name\": \"x\", \"padding\": \"Same\", \"limit\": Infinity, "
        "\"rate\": 0, \"seed\": 7, \"axis\": 1.0, \"units\": 5}",
        NULL, &config);
    assert_all_ok(ctx);
    assert_string_equal(config->extra, "{\"b\": [NaN]}");
    assert_string_equal(config->regularizer, "{\"class_name\": \"L1L2\", \"config\": {\"l2\": 1}}");
    assert_json(
        ctx, strata__config_to_json(ctx, &layer, config),
        "{\"units\": 5, \"axis\": 1, \"seed\": 7, \"rate\": 0.0, \"limit\": Infinity, \"padding\": "
        "\"same\", \"name\": \"x\", \"activation\": \"silu\", \"regularizer\": {\"module\": "
        "\"keras.regularizers\", \"class_name\": \"L1L2\", \"config\": {\"l1\": 0.25, \"l2\": "
        "1.0}, "
        "\"registered_name\": null}, \"extra\": {\"b\": [NaN]}, \"axes\": [1, 2], \"use_bias\": "
        "false, "
        "\"kernel_size\": [3, 3], \"strides\": [2, 1], \"pool_strides\": [2, 3], \"crops\": [1, 2, "
        "3], "
        "\"target\": [null, -1, 3], \"optional\": []}");
    strata__config_free(ctx, &layer, config);
}

static void test_defaults_and_nulls(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    const char *expected = "{\"units\": 1, \"axis\": -1, \"seed\": null, \"rate\": 0.0, \"limit\": "
                           "null, \"padding\": \"valid\", "
                           "\"name\": null, \"activation\": \"linear\", \"regularizer\": null, "
                           "\"axes\": -1, \"use_bias\": true, "
                           "\"kernel_size\": [2, 2], \"strides\": [1, 1], \"pool_strides\": null, "
                           "\"crops\": [0, 0, 0], \"target\": "
                           "[], \"optional\": null}";
    layer_config *config;
    read_layer(
        ctx,
        "{\"units\": 1, \"kernel_size\": [2, 2], \"seed\": null, \"limit\": null, \"name\": null, "
        "\"activation\": null, \"regularizer\": null, \"pool_strides\": null, \"optional\": null}",
        NULL, &config);
    assert_all_ok(ctx);
    assert_json(ctx, strata__config_to_json(ctx, &layer, config), expected);
    strata__config_free(ctx, &layer, config);
    config = copy_layer(ctx, FROM_C(.units = 1, .kernel_size = {2}, .activation = NULL));
    assert_all_ok(ctx);
    assert_json(ctx, strata__config_to_json(ctx, &layer, config), expected);
    strata__config_free(ctx, &layer, config);
}

static void test_values_from_json_are_checked(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const cases[][2] = {
        {"\"units\": \"3\"", "units is required and must be a whole number of at least 1"},
        {"\"units\": 2.5", "got 2.5"},
        {"\"units\": 1e300", "got 1e+300"},
        {"\"units\": true", "got true"},
        {"\"units\": null", "got null"},
        {"\"units\": -3", "got -3"},
        {"\"seed\": -9223372036854775808", "seed must be a whole number or None"},
        {"\"seed\": NaN", "got NaN"},
        {"\"rate\": \"0.5\"", "got \"0.5\""},
        {"\"rate\": null", "got null"},
        {"\"rate\": NaN", "got null"},
        {"\"use_bias\": 1", "use_bias must be True or False, got 1"},
        {"\"use_bias\": null", "use_bias must be True or False, got null"},
        {"\"padding\": null", "padding must be one of valid, same, got null"},
        {"\"padding\": \"causal\"", "got \"causal\""},
        {"\"padding\": {}", "got {}"},
        {"\"name\": 3", "name must be a text or None, got 3"},
        {"\"name\": NaN", "name must be a text or None, got NaN"},
        {"\"activation\": 3", "activation must be a known activation or None, got 3"},
        {"\"activation\": [\"relu\"]", "got [\"relu\"]"},
        {"\"regularizer\": {\"class_name\": \"L3\"}",
         "regularizer of layer 'a': unknown regularizer 'L3'"},
        {"\"regularizer\": {\"config\": {}}", "it has no class_name"},
        {"\"regularizer\": {\"class_name\": \"L1L2\", \"confg\": {}}", "unknown key 'confg'"},
        {"\"regularizer\": {\"class_name\": \"L1L2\", \"config\": []}", "is not an object"},
        {"\"kernel_size\": [3]",
         "kernel_size is required and must be a whole number or a list of 2 of at "
         "least 1, got [3]"},
        {"\"kernel_size\": [3, 0]", "got [3, 0]"},
        {"\"kernel_size\": []", "got []"},
        {"\"strides\": null",
         "strides must be a whole number or a list of 2 of at least 1, got null"},
        {"\"strides\": 0", "got 0"},
        {"\"crops\": [1, null, 2]", "got [1, null, 2]"},
        {"\"target\": 3", "target must be a list of at most 8 sizes of at least -1, got 3"},
        {"\"target\": null", "got null"},
        {"\"target\": [1, \"2\"]", "got [1, \"2\"]"},
        {"\"target\": [1, 1, 1, 1, 1, 1, 1, 1, 1]", "got [1, 1, 1, 1, 1, 1, 1, 1, 1]"},
        {"\"unit\": 3, \"axes\": 1",
         "layer 'a': Unrecognized keyword arguments passed to Layer: {\"unit\": 3}; "
         "did you mean 'units'?"},
        {"\"zzzzzzzzzzzz\": [1]", "passed to Layer: {\"zzzzzzzzzzzz\": [1]}"},
        {"\"function\": 3", "Unrecognized keyword arguments"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char text[256];
        bool units = strstr(cases[i][0], "\"units\""),
             kernel = strstr(cases[i][0], "\"kernel_size\"");
        snprintf(text, sizeof text, "{%s%s%s}", units ? "" : "\"units\": 3, ",
                 kernel ? "" : "\"kernel_size\": 3, ", cases[i][0]);
        layer_config *config;
        read_layer(ctx, text, NULL, &config);
        assert_null(config);
        assert_all_error(ctx, STRATA_INVALID, cases[i][1]);
    }
}

static void test_missing_arguments(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    layer_config *config;
    read_layer(ctx, "{\"kernel_size\": 3}", NULL, &config);
    assert_all_error(
        ctx, STRATA_INVALID,
        "layer 'a': the required argument units is missing; give a whole number of at least 1");
    read_layer(ctx, "[]", NULL, &config);
    assert_all_error(ctx, STRATA_INVALID, "layer 'a': the configuration of Layer is not an object");
}

static void test_unknown_arguments(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    layer_config *config;
    const char *text = "{\"units\": 3, \"kernel_size\": 3, \"a\": null, \"b\": false}";
    read_layer(ctx, text, NULL, &config);
    assert_all_ok(ctx);
    strata__config_free(ctx, &layer, config);
    json_t *unknown = json_object();
    read_layer(ctx, "{\"units\": 3, \"kernel_size\": 3, \"a\": null, \"b\": {\"c\": 1}}", unknown,
               &config);
    assert_all_ok(ctx);
    strata__config_free(ctx, &layer, config);
    assert_json(ctx, unknown, "{\"a\": null, \"b\": {\"c\": 1}}");
}

static void test_a_class_without_arguments(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    void *config = ctx;
    strata__config_copy(ctx, &no_penalty, NULL, "none", &config);
    assert_null(config);
    json_t *json = json_of(ctx, "{\"l2\": 1}");
    strata__config_from_json(ctx, &no_penalty, json, "none", NULL, &config);
    assert_null(config);
    assert_all_error(ctx, STRATA_INVALID, "passed to NoPenalty: {\"l2\": 1}");
    json_decref(json);
    assert_json(ctx, strata__config_to_json(ctx, &no_penalty, NULL), "{}");
}

/* --- objects --- */

static void test_names_of_classes(void **state)
{
    (void)state;
    static const char *const names[] = {"L1L2", "l1l2", "l1_l2", "elastic"};
    for (size_t i = 0; i < TEST_COUNT(names); i++)
        assert_ptr_equal(strata__family_find(&penalties, names[i]), &penalty);
    assert_ptr_equal(strata__family_find(&penalties, "no_penalty"), &no_penalty);
    assert_ptr_equal(strata__family_find(&functions, "swish"), &silu);
    assert_null(strata__family_find(&penalties, "L1l2"));
    assert_null(strata__family_find(&penalties, "l1_l2|elastic"));
    assert_null(strata__family_find(&penalties, ""));
}

#define PENALTY(config)                                                                            \
    "{\"module\": \"keras.regularizers\", \"class_name\": \"L1L2\", \"config\": " config           \
    ", \"registered_name\": null}"

static void test_objects_from_text(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const cases[][2] = {
        {NULL, "null"},
        {"None", "null"},
        {"l1l2", PENALTY("{\"l1\": 0.25, \"l2\": 0.0}")},
        {"'l1l2'", PENALTY("{\"l1\": 0.25, \"l2\": 0.0}")},
        {"L1L2()", PENALTY("{\"l1\": 0.25, \"l2\": 0.0}")},
        {"L1L2(1)", PENALTY("{\"l1\": 1.0, \"l2\": 0.0}")},
        {"L1L2(1, l2=1e-7)", PENALTY("{\"l1\": 1.0, \"l2\": 1e-07}")},
        {"L1L2(1, 2, L1L2(3, inner='l1l2'))",
         PENALTY("{\"l1\": 1.0, \"l2\": 2.0, \"inner\": " PENALTY(
             "{\"l1\": 3.0, \"l2\": 0.0, \"inner\": " PENALTY(
                 "{\"l1\": 0.25, \"l2\": 0.0}") "}") "}")},
        {"{\"class_name\": \"L1L2\"}", PENALTY("{\"l1\": 0.25, \"l2\": 0.0}")},
        {"{\"class_name\": \"L1L2\", \"config\": null}", PENALTY("{\"l1\": 0.25, \"l2\": 0.0}")},
        {"{\"module\": \"keras.regularizers\", \"class_name\": \"L1L2\", \"config\": {\"l1\": 3}, "
         "\"registered_name\": null, \"build_config\": {}, \"shared_object_id\": 140123456789, "
         "\"later\": null}",
         PENALTY("{\"l1\": 3.0, \"l2\": 0.0}")},
        {"{\"module\": \"mine\", \"class_name\": \"NoPenalty\", \"config\": {}, "
         "\"registered_name\": \"pack>Custom\"}",
         "{\"module\": \"pack\", \"class_name\": \"Custom\", \"config\": {}, "
         "\"registered_name\": \"pack>Custom\"}"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__object object;
        strata__object_parse(ctx, &penalties, cases[i][0], &object);
        assert_all_ok(ctx);
        assert_json(ctx, strata__object_to_json(ctx, &object), cases[i][1]);
        strata__object_free(ctx, &object);
        assert_null(object.class);
    }
}

static void test_functions_are_written_by_name(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const texts[] = {
        "\"swish\"",
        "{\"class_name\": \"silu\", \"config\": {}}",
        "{\"module\": \"builtins\", \"class_name\": \"function\", \"config\": \"silu\", "
        "\"registered_name\": "
        "\"function\"}",
    };
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        strata__object object;
        json_t *json = json_of(ctx, texts[i]);
        strata__object_from_json(ctx, &functions, json, &object);
        assert_all_ok(ctx);
        assert_json(ctx, strata__object_to_json(ctx, &object), "\"silu\"");
        strata__object_free(ctx, &object);
        json_decref(json);
    }
}

static void test_mistakes_in_objects(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const cases[][2] = {
        {"L1L3", "unknown regularizer 'L1L3'; did you mean 'L1L2'?"},
        {"something_else",
         "unknown regularizer 'something_else'; known are L1L2, NoPenalty, pack>Custom"},
        {"", "cannot read \"\""},
        {"L1L2(", "cannot read \"L1L2(\": column 6"},
        {"3", "3 is no regularizer: give a name or a call"},
        {"[\"L1L2\"]", "[\"L1L2\"] is no regularizer"},
        {"L1L2(1, 2, None, 4)", "L1L2 takes at most 3 positional arguments, 4 were given"},
        {"L1L2(1, l1=2)", "L1L2 got two values for argument 'l1'"},
        {"L1L2(l3=2)",
         "L1L2: Unrecognized keyword arguments passed to L1L2: {\"l3\": 2}; did you mean 'l1'?"},
        {"L1L2(l1='x')", "L1L2: l1 must be a number of at least 0, got \"x\""},
        {"L1L2(inner=L1L2(-1))",
         "L1L2 (inner of L1L2): l1 must be a number of at least 0, got -1.0"},
        {"NoPenalty(1)", "NoPenalty takes at most 0 positional arguments, 1 were given"},
        {"{\"class_name\": 3}", "it has no class_name"},
        {"{}", "{} is no regularizer: it has no class_name"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__object object;
        assert_int_not_equal(strata__object_parse(ctx, &penalties, cases[i][0], &object),
                             STRATA_OK);
        assert_null(object.class);
        assert_all_error(ctx, STRATA_INVALID, cases[i][1]);
    }
}

/* Objects in objects are parsed level by level; text of any depth must end in an object or one
 * error. */
static void test_deep_objects(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char text[4096] = "";
    for (int level = 0; level < 25; level++)
        strcat(text, "L1L2(inner=");
    strcat(text, "None");
    for (int level = 0; level < 25; level++)
        strcat(text, ")");
    strata__object object;
    strata__object_parse(ctx, &penalties, text, &object);
    assert_all_ok(ctx);
    strata__object_free(ctx, &object);

    json_t *json = json_null();
    for (int level = 0; level < 900; level++)
        json = json_pack("{s:s,s:{s:o}}", "class_name", "L1L2", "config", "inner", json);
    strata__object_from_json(ctx, &penalties, json, &object);
    assert_all_error(ctx, STRATA_INVALID, "nested too deeply");
    json_decref(json);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_is_deep_and_normal),
        cmocka_unit_test(test_values_from_c_are_checked),
        cmocka_unit_test(test_a_required_handle_is_missed),
        cmocka_unit_test(test_json_comes_back_in_table_order),
        cmocka_unit_test(test_defaults_and_nulls),
        cmocka_unit_test(test_values_from_json_are_checked),
        cmocka_unit_test(test_missing_arguments),
        cmocka_unit_test(test_unknown_arguments),
        cmocka_unit_test(test_a_class_without_arguments),
        cmocka_unit_test(test_names_of_classes),
        cmocka_unit_test(test_objects_from_text),
        cmocka_unit_test(test_functions_are_written_by_name),
        cmocka_unit_test(test_mistakes_in_objects),
        cmocka_unit_test(test_deep_objects),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
