/* Activations against Keras on every mesh, their fused and whole forms, names and arguments. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "golden.h"
#include "gradient_check.h"
#include "numbers.h"
#include "ops/activation.h"
#include "ops/math.h"

/* --- against Keras --- */

/* {"function": name, "arguments": {…}} as an object; false: not one of the eighteen. */
static bool read_activation(strata_context *ctx, const golden *group, strata__object *activation)
{
    json_t *config = golden_json(group, NULL, "config");
    json_t *name = json_object_get(config, "function");
    *activation = (strata__object){0};
    bool known = strata__family_find(&strata__activation_family, json_string_value(name)) != NULL;
    if (known) {
        json_t *object = json_pack("{s:O,s:O}", "class_name", name, "config",
                                   json_object_get(config, "arguments"));
        strata__object_from_json(ctx, &strata__activation_family, object, activation);
        json_decref(object);
    }
    json_decref(config);
    return known;
}

static bool agrees(const golden *group, const char *path, const strata_tensor *ours,
                   const char *name)
{
    golden_array expected;
    assert_true(golden_read(group, path, &expected));
    float *whole = calloc((size_t)expected.count + 1, sizeof *whole);
    strata_tensor_gather(ours, whole);
    bool equal = golden_agrees(&expected, STRATA_FLOAT32, whole, expected.count, 1, name);
    free(whole);
    golden_free(&expected);
    return equal;
}

static strata_tensor *read_batch(strata_context *ctx, const golden *group, const char *path)
{
    golden_array array;
    if (!golden_read(group, path, &array))
        return NULL;
    strata_tensor *tensor = test_batch(ctx, &array.shape, array.values);
    golden_free(&array);
    return tensor;
}

static bool run_values(strata_context *ctx, const strata__object *activation, const golden *group,
                       const char *name)
{
    strata_tensor *x = read_batch(ctx, group, "inputs/x");
    strata_tensor *upstream = read_batch(ctx, group, "upstream/y");
    strata_tape_begin(ctx);
    strata_tensor *y = strata__activate(x, activation);
    assert_all_ok(ctx);
    bool equal = agrees(group, "outputs/y", y, name);
    strata_tape_gradient(ctx, 1, &y, &upstream);
    bool linear = strcmp(activation->class->name, "linear") == 0;
    if (upstream && !linear)
        equal = agrees(group, "gradients/inputs/x", x->gradient, name) && equal;
    return equal;
}

static golden_verdict run_name(strata_context *ctx, const golden *group)
{
    json_t *given = golden_json(group, NULL, "given"),
           *expected = golden_json(group, NULL, "serialized");
    strata__object object;
    const char *name = json_string_value(given);
    strata__object_parse(ctx, &strata__activation_family, name ? name : "linear", &object);
    json_t *ours = strata__object_to_json(ctx, &object);
    bool equal = golden_json_equal(ours, expected);
    json_decref(ours);
    json_decref(given);
    json_decref(expected);
    strata__object_free(ctx, &object);
    return equal ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static golden_verdict run_case(void *user, const golden *group, const char *name)
{
    strata_context *ctx = user;
    strata__object activation;
    if (golden_has_attribute(group, NULL, "given"))
        return run_name(ctx, group);
    if (!read_activation(ctx, group, &activation))
        return GOLDEN_UNSUPPORTED;
    assert_all_ok(ctx);
    strata_scope_begin(ctx);
    bool equal = run_values(ctx, &activation, group, name);
    strata_scope_end(ctx);
    strata__object_free(ctx, &activation);
    return equal ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static void test_activations_against_keras_on_every_mesh(void **state)
{
    (void)state;
    golden_tally tally = {0};
    for (int i = 0; test_mesh(i); i++)
        assert_all(
            golden_run("layers/activations.h5", run_case, test_context(test_mesh(i)), &tally));
    if (test_rank() == 0)
        golden_print("activations", &tally);
    assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
    assert_all(tally.count[GOLDEN_PASSED] >= 80);
}

/* --- what products need of them --- */

/* In place, and the slope from the result alone. */
static void test_activations_in_place_need_their_result_only(void **state)
{
    (void)state;
    static const char *const texts[] = {"relu",       "relu(negative_slope=0.2, threshold=0.5)",
                                        "leaky_relu", "tanh",
                                        "selu",       "exponential"};
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t t = 0; t < TEST_COUNT(texts); t++) {
        strata__object object;
        strata__object_parse(ctx, &strata__activation_family, texts[t], &object);
        assert_all_ok(ctx);
        const strata__pointwise *function = strata__activation_fused(&object);
        assert_all(function != NULL && strata__activation_in_place(&object));
        float x[100], y[100], ones[100], expected[100], slopes[100];
        for (int i = 0; i < 100; i++) {
            x[i] = y[i] = (float)(i - 50) / 17.0f;
            ones[i] = 1;
        }
        function->value(object.config, 100, y, y);
        function->value(object.config, 100, x, slopes);
        assert_all_floats_near(y, slopes, 100, 0);
        function->slope(object.config, 100, x, y, ones, expected);
        function->slope(object.config, 100, y, y, ones, ones);
        assert_all_floats_near(ones, expected, 100, 0);
        strata__object_free(ctx, &object);
    }
}

/* Slopes of some follow from the input; that of sigmoid is remembered, and softmax sees a whole
 * axis.
 */
static void test_other_activations_keep_their_input(void **state)
{
    (void)state;
    static const char *const texts[] = {"silu",    "gelu",    "relu(max_value=2)",
                                        "sigmoid", "softmax", "linear"};
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t t = 0; t < TEST_COUNT(texts); t++) {
        strata__object object;
        strata__object_parse(ctx, &strata__activation_family, texts[t], &object);
        assert_all_ok(ctx);
        assert_all((strata__activation_fused(&object) != NULL) == (t < 3));
        assert_all(t >= 3 || !strata__activation_in_place(&object));
        strata__object_free(ctx, &object);
    }
}

static void test_results_remember_their_logits(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    double values[12];
    test_values(values, 12, 1);
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(3, 4), values);
    strata_tensor *sigmoid = strata_ops_activation(x, "sigmoid");
    strata_tensor *softmax = strata_ops_activation(x, "softmax");
    assert_all(sigmoid->logits == x && strcmp(sigmoid->logits_function, "sigmoid") == 0);
    assert_all(softmax->logits == x && strcmp(softmax->logits_function, "softmax") == 0);
    assert_all(!strata_ops_activation(x, "tanh")->logits);
    strata_scope_end(ctx);
}

static strata_tensor *apply_pieces(const void *user, strata_tensor *const *inputs)
{
    return strata_ops_activation(strata__split(inputs[0]), user);
}

static strata_tensor *apply_to_both(const void *user, strata_tensor *const *inputs)
{
    return strata_ops_subtract(strata_ops_activation(strata__split(inputs[0]), user),
                               strata_ops_activation(inputs[0], user));
}

static void check_pieces(strata_context *ctx, const test_operand *operand, const char *activation)
{
    static const double zeros[28] = {0};
    strata_scope_begin(ctx);
    strata_tensor *x = test_tensor(ctx, operand);
    assert_all_tensor(apply_to_both(activation, &x), zeros, 1e-6);
    strata_scope_end(ctx);
    assert_all_gradients(ctx, apply_pieces, activation, 1, operand, 1e-3);
}

/* Also where columns of the mesh have no feature. */
static void test_activations_of_split_features(void **state)
{
    static const char *const names[] = {"silu", "softmax", "log_softmax", "softmax(axis=[1, -1])",
                                        "log_softmax(axis=1)"};
    (void)state;
    double values[28];
    const char *mesh;
    test_values(values, 28, 3);
    test_operand operands[] = {{STRATA_SHAPE(2, 2, 7), {.batch = true}, values, false},
                               {STRATA_SHAPE(3, 3, 2), {.batch = true}, values, false}};
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(names); k++) {
            check_pieces(ctx, &operands[0], names[k]);
            check_pieces(ctx, &operands[1], names[k]);
        }
    }
}

/* Only axes in front of the last need all features. */
static void test_softmax_keeps_features_split(void **state)
{
    (void)state;
    double values[28];
    const char *mesh;
    test_values(values, 28, 3);
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        bool split = ctx->mesh->cols > 1;
        strata_scope_begin(ctx);
        strata_tensor *x = strata__split(test_batch(ctx, &STRATA_SHAPE(2, 2, 7), values));
        strata_tensor *y = strata_ops_activation(x, "softmax");
        assert_all(y->layout.split == split && y->logits == x);
        assert_all(strata_ops_activation(x, "softmax(axis=[1, 2])")->layout.split == split);
        assert_all(!strata_ops_activation(x, "softmax(axis=1)")->layout.split);
        strata_scope_end(ctx);
    }
}

/* softmax by its definition, over two axes, with a mask. */
static void test_softmax_with_a_mask(void **state)
{
    (void)state;
    enum { BATCH = 3, ROWS = 2, COLUMNS = 3, ALL = BATCH * ROWS * COLUMNS };
    double values[ALL], expected[ALL];
    test_values(values, ALL, 5);
    for (int b = 0; b < BATCH; b++) {
        double *x = values + b * ROWS * COLUMNS, *y = expected + b * ROWS * COLUMNS, sum = 0;
        for (int k = 0; k < ROWS * COLUMNS; k++)
            sum += (b + k) % 3 ? exp(x[k]) : 0;
        for (int k = 0; k < ROWS * COLUMNS; k++)
            y[k] = (b + k) % 3 ? exp(x[k]) / sum : 0;
    }
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        strata_scope_begin(ctx);
        strata_shape shape = STRATA_SHAPE(BATCH, ROWS, COLUMNS);
        strata_tensor *x = test_batch(ctx, &shape, values);
        strata_tensor *mask = strata__tensor_shaped(x, STRATA_BOOL, &shape);
        for (int64_t k = 0; k < strata__local_count(mask); k++) {
            int64_t b = mask->first_sample + k / (ROWS * COLUMNS), at = k % (ROWS * COLUMNS);
            ((unsigned char *)mask->data)[k] = (b + at) % 3 != 0;
        }
        assert_all_tensor(strata__softmax(x, 2, (int[]){1, 2}, mask), expected, 1e-6);
        assert_all_tensor(strata__softmax(strata__split(x), 2, (int[]){1, 2}, mask), expected,
                          1e-6);
        assert_all_ok(ctx);
        strata_scope_end(ctx);
    }
}

static void refuse(strata_context *ctx, strata_tensor *x, const char *text, strata_status status,
                   const char *words)
{
    assert_all(!strata_ops_activation(x, text));
    assert_all_error(ctx, status, words);
}

static void test_wrong_activations_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    double values[4] = {0};
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(2, 2), values);
    refuse(ctx, x, "rellu", STRATA_INVALID, "unknown activation 'rellu'; did you mean 'relu'?");
    refuse(ctx, x, "relu(slope=1)", STRATA_INVALID, "slope");
    refuse(ctx, x, "relu(negative_slope=-0.1)", STRATA_INVALID, "negative_slope");
    refuse(ctx, x, "softmax(axis=2)", STRATA_INVALID, "softmax: axis=2 of a tensor with 2 axes");
    refuse(ctx, x, "softmax(axis=0)", STRATA_UNSUPPORTED, "axis 0 is the batch");
    refuse(ctx, strata_ops_cast(x, STRATA_INT32), "relu", STRATA_INVALID, "the input is int32");
    assert_all(!strata_ops_activation(NULL, "relu"));
    strata_scope_end(ctx);
}

/* --- elementary functions: against the C library in double, in units in the last place --- */

typedef struct elementary {
    const char *name;
    float (*ours)(float);
    double (*exact)(double);
    double low, high, ulps;
} elementary;

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static double normal_half(double x)
{
    return erf(x * M_SQRT1_2) / 2;
}

static double normal_half_slope(double x)
{
    return normal_half(x) + x * exp(-x * x / 2) * M_SQRT1_2 * M_2_SQRTPI / 2;
}

static double worst_ulps(const elementary *e)
{
    enum { POINTS = 100000 };
    double worst = 0;
    for (int i = 0; i <= POINTS; i++) {
        float x = (float)(e->low + (e->high - e->low) * i / POINTS);
        double exact = e->exact((double)x),
               unit = fabs((double)nextafterf((float)exact, INFINITY) - (double)(float)exact);
        double error = fabs((double)e->ours(x) - exact) / unit;
        worst = exact != 0 && !(error <= worst) ? error : worst;
    }
    return worst;
}

static void test_elementary_functions_are_exact_to_a_few_units(void **state)
{
    (void)state;
    static const elementary all[] = {
        {"exp", strata__exp, exp, -87, 88.7, 1.5},
        {"exp", strata__exp, exp, -103, -87, 1.5},
        {"expm1", strata__expm1, expm1, -20, 80, 2},
        {"expm1", strata__expm1, expm1, -1, 1, 2},
        {"log", strata__log, log, 1e-37, 4, 1.5},
        {"log", strata__log, log, 4, 1e30, 1.5},
        {"log1p", strata__log1p, log1p, 0, 1, 2},
        {"tanh", strata__tanh, tanh, -12, 12, 2.5},
        {"normal distribution", strata__normal_half, normal_half, 0, 6, 4.5},
        {"slope of gelu", strata__normal_half_slope, normal_half_slope, 0, 7, 7},
        {"sigmoid", strata__sigmoid, sigmoid, -80, 80, 3},
        {"softplus", strata__softplus, softplus, -80, 80, 3},
    };
    for (size_t i = 0; i < TEST_COUNT(all); i++)
        test_all_near(worst_ulps(&all[i]), 0, all[i].ulps, all[i].name, __FILE__, __LINE__);
}

static void test_elementary_functions_at_the_edges(void **state)
{
    (void)state;
    assert_all(strata__exp(INFINITY) == INFINITY && strata__exp(89.0f) == INFINITY);
    assert_all(strata__exp(-INFINITY) == 0 && isnan(strata__exp(NAN)));
    assert_all(strata__log(0.0f) == -INFINITY && strata__log(INFINITY) == INFINITY);
    assert_all(isnan(strata__log(-1.0f)) && isnan(strata__log(NAN)));
    assert_all(strata__tanh(INFINITY) == 1 && strata__tanh(-INFINITY) == -1);
    assert_all(isnan(strata__tanh(NAN)) && isnan(strata__expm1(NAN)));
    assert_all(isnan(strata__normal_half(NAN)) && isnan(strata__normal_half_slope(NAN)));
    assert_all(strata__normal_half(INFINITY) == 0.5f && strata__normal_half_slope(1e9f) == 0.5f);
    assert_all(strata__softplus(INFINITY) == INFINITY);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations_against_keras_on_every_mesh),
        cmocka_unit_test(test_activations_in_place_need_their_result_only),
        cmocka_unit_test(test_other_activations_keep_their_input),
        cmocka_unit_test(test_results_remember_their_logits),
        cmocka_unit_test(test_activations_of_split_features),
        cmocka_unit_test(test_softmax_keeps_features_split),
        cmocka_unit_test(test_softmax_with_a_mask),
        cmocka_unit_test(test_wrong_activations_are_refused),
        cmocka_unit_test(test_elementary_functions_are_exact_to_a_few_units),
        cmocka_unit_test(test_elementary_functions_at_the_edges),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
