/* Initializers: against Keras, by their moments, and the same values on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "golden.h"
#include "state/orthogonal.h"

/* --- against Keras --- */

/* A case made from a name: what the name means. Keras fails to serialise a Constant that was given
 * by name alone. */
static golden_verdict run_name(strata_context *ctx, const golden *group)
{
    char *given = golden_text(group, NULL, "given");
    json_t *expected = golden_json(group, NULL, "config");
    strata__object object;
    parse_object(ctx, &strata__initializer_family, given, &object);
    json_t *ours = strata__object_to_json(ctx, &object);
    bool equal = expected ? golden_json_equal(ours, expected) : strcmp(given, "constant") == 0;
    json_decref(ours);
    json_decref(expected);
    strata__object_free(ctx, &object);
    free(given);
    return equal ? GOLDEN_PASSED : GOLDEN_FAILED;
}

/* The files hold what Keras said, not what it was asked: that stands here, by the words of the
 * case. */
static const struct {
    const char *about, *initializer;
    strata_shape shape;
    const char *words;
} refusals[] = {
    {"identity of rank 3",
     "Identity",
     {{2, 3, 4}, 3},
     "Identity matrix initializer can only be used for 2D matrices. Received: "
     "shape=(2, 3, 4) of rank 3"},
    {"orthogonal of rank 1",
     "Orthogonal",
     {{3}, 1},
     "The tensor to initialize must be at least two-dimensional. Received: "
     "shape=(3,) of rank 1"},
    {"scale zero", "VarianceScaling(scale=0.0)", {{3}, 1}, "scale"},
    {"unknown mode", "VarianceScaling(mode='fan')", {{3}, 1}, "fan_in, fan_out, fan_avg"},
    {"unknown distribution",
     "VarianceScaling(distribution='gamma')",
     {{3}, 1},
     "truncated_normal, untruncated_normal, uniform"},
};

static golden_verdict run_refusal(strata_context *ctx, const golden *group)
{
    char *about = golden_text(group, NULL, "about");
    golden_verdict verdict = GOLDEN_FAILED;
    for (size_t i = 0; i < TEST_COUNT(refusals); i++) {
        if (strcmp(about, refusals[i].about) != 0)
            continue;
        strata_variable *variable =
            WEIGHT(ctx, .shape = refusals[i].shape, .initializer = refusals[i].initializer);
        assert_all(variable == NULL);
        assert_all_error(ctx, STRATA_INVALID, refusals[i].words);
        verdict = GOLDEN_PASSED;
    }
    free(about);
    return verdict;
}

static bool values_agree(const golden *group, const float *values, int64_t count, const char *name)
{
    golden_array expected;
    if (!golden_read(group, "outputs/y", &expected))
        return true;
    bool agrees = golden_agrees(&expected, STRATA_FLOAT32, values, count, 1, name);
    golden_free(&expected);
    return agrees;
}

/* Mean and standard deviation of `count` values within 6 standard errors; none out of bounds. */
static bool moments_agree(const golden *group, const float *values, int64_t count, const char *name)
{
    double mean = golden_number(group, NULL, "mean", 0),
           deviation = golden_number(group, NULL, "standard_deviation", 1);
    double lowest = golden_number(group, NULL, "lowest", 0),
           highest = golden_number(group, NULL, "highest", 0);
    double sum = 0, squares = 0, rounding = 1e-6 * (fabs(mean) + deviation);
    for (int64_t i = 0; i < count; i++) {
        sum += values[i] - mean;
        squares += (values[i] - mean) * (values[i] - mean);
        if (values[i] < lowest - rounding || values[i] > highest + rounding)
            return false;
    }
    double error = 6 / sqrt((double)count), found = sqrt(squares / (double)count) / deviation;
    bool agree = fabs(sum / (double)count) < error * deviation && fabs(found - 1) < error;
    if (!agree)
        fprintf(stderr, "%s: mean off by %g, deviation %g times the expected\n", name,
                sum / (double)count, found);
    return agree;
}

static bool distribution_agrees(strata_context *ctx, const golden *group,
                                const strata__object *object, const strata_shape *shape,
                                const char *name)
{
    enum { DRAWS = 200000 };
    const strata__initializer_methods *methods = object->class->methods;
    if (!golden_has_attribute(group, NULL, "mean"))
        return true;
    float *values = strata__alloc(ctx, DRAWS * sizeof *values);
    methods->fill(object->config, (strata__key){.seed = 7, .stream = 3}, shape, 0, DRAWS, values);
    bool agree = moments_agree(group, values, DRAWS, name);
    strata__free(ctx, values);
    return agree;
}

/* The smaller of WᵀW and WWᵀ, for W (rows × columns). */
static bool gram_agrees(const golden *group, const float *w, const strata_shape *shape,
                        const char *name)
{
    golden_array expected;
    if (!golden_read(group, "outputs/gram", &expected))
        return true;
    int64_t columns = strata__last(shape), rows = element_count(shape) / columns,
            n = rows < columns ? rows : columns;
    float *gram = calloc((size_t)(n * n), sizeof *gram);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < (rows < columns ? columns : rows); k++)
                sum += rows < columns ? (double)w[i * columns + k] * w[j * columns + k]
                                      : (double)w[k * columns + i] * w[k * columns + j];
            gram[i * n + j] = (float)sum;
        }
    }
    bool agrees = golden_agrees(&expected, STRATA_FLOAT32, gram, n * n, 1, name);
    free(gram);
    golden_free(&expected);
    return agrees;
}

/* Keras forgets the gain of an Identity when it writes the configuration; the generator's is 2.5.
 */
static char *initializer_of(const golden *group)
{
    char *about = golden_text(group, NULL, "about");
    bool forgotten = strncmp(about, "identity gain", 13) == 0;
    free(about);
    return forgotten ? strdup("Identity(gain=2.5)") : golden_text(group, NULL, "config");
}

static golden_verdict run_values(strata_context *ctx, const golden *group, const char *name)
{
    char *text = initializer_of(group);
    json_t *call = golden_json(group, NULL, "call"), *config = golden_json(group, NULL, "config");
    strata_shape shape = shape_of_json(json_object_get(call, "shape"));
    strata__object object;
    parse_object(ctx, &strata__initializer_family, text, &object);
    strata_variable *variable = WEIGHT(ctx, .shape = shape, .initializer = text);
    assert_all_ok(ctx);
    float *values = read_floats(variable);
    json_t *ours = strata__object_to_json(ctx, &object);
    bool passed = values_agree(group, values, element_count(&shape), name) &&
                  distribution_agrees(ctx, group, &object, &shape, name) &&
                  gram_agrees(group, values, &shape, name) &&
                  (strstr(text, "2.5") || golden_json_equal(ours, config));
    json_decref(ours);
    json_decref(config);
    json_decref(call);
    free(values);
    strata__variable_free(variable);
    strata__object_free(ctx, &object);
    free(text);
    return passed ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static bool is_known(const golden *group)
{
    json_t *config = golden_json(group, NULL, "config");
    bool known =
        strata__family_find(&strata__initializer_family,
                            json_string_value(json_object_get(config, "class_name"))) != NULL;
    json_decref(config);
    return known;
}

static golden_verdict run_case(void *user, const golden *group, const char *name)
{
    if (golden_has_attribute(group, NULL, "given"))
        return run_name(user, group);
    if (golden_has_attribute(group, NULL, "error"))
        return run_refusal(user, group);
    return is_known(group) ? run_values(user, group, name) : GOLDEN_UNSUPPORTED;
}

static void test_initializers_against_keras(void **state)
{
    (void)state;
    golden_tally tally = {0};
    strata_context *ctx = test_context(NULL);
    assert_all(golden_run("layers/initializers.h5", run_case, ctx, &tally));
    golden_print("initializers", &tally);
    assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
    assert_all(tally.count[GOLDEN_PASSED] > 100);
}

/* --- on every mesh --- */

static const char *const every[] = {
    "Zeros",           "Ones",         "Constant(0.25)",  "RandomNormal", "RandomUniform",
    "TruncatedNormal", "GlorotNormal", "GlorotUniform",   "HeNormal",     "HeUniform",
    "LecunNormal",     "LecunUniform", "VarianceScaling", "Orthogonal",   "Identity",
};

static const strata_shape matrices[] = {{{5, 7}, 2}, {{1, 6}, 2}, {{8, 1}, 2}, {{12, 8}, 2}};

/* The whole value on one rank without a mesh: what every mesh must give. */
static float *reference(strata_context *ctx, const char *text, const strata_shape *shape)
{
    strata__object object;
    strata__key key = {.seed = ctx->settings.seed, .stream = strata__stream("layer/weight", 0)};
    parse_object(ctx, &strata__initializer_family, text, &object);
    const strata__initializer_methods *methods = object.class->methods;
    int64_t count = element_count(shape);
    float *values = calloc((size_t)count, sizeof *values);
    for (int64_t i = 0; methods->value && i < count; i++)
        values[i] = (float)methods->value(object.config);
    if (methods->fill)
        methods->fill(object.config, key, shape, 0, count, values);
    if (methods->whole)
        methods->whole(ctx, object.config, key, shape, values);
    strata__object_free(ctx, &object);
    return values;
}

static void check_placement(strata_context *ctx, const char *text, const strata_shape *shape,
                            strata__placement placement)
{
    float *expected = reference(ctx, text, shape);
    strata_variable *variable =
        WEIGHT(ctx, .shape = *shape, .initializer = text, .placement = placement);
    assert_all_ok(ctx);
    float *values = read_floats(variable);
    assert_all_floats_near(values, expected, element_count(shape), 0);
    free(values);
    free(expected);
    strata__variable_free(variable);
}

static void test_the_same_values_on_every_mesh(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        for (size_t e = 0; e < TEST_COUNT(every); e++) {
            for (size_t s = 0; s < TEST_COUNT(matrices); s++) {
                strata__placement placements[3];
                for (int p = placements_of(2, placements); p-- > 0;)
                    check_placement(ctx, every[e], &matrices[s], placements[p]);
            }
        }
    }
}

/* R = QᵀA is an upper triangle with a positive diagonal, A the normal matrix that the key gives. */
static void test_orthogonal_signs(void **state)
{
    (void)state;
    enum { M = 6, N = 4 };
    strata_context *ctx = test_context_without_mesh();
    strata__key key = {.seed = 9, .stream = 2};
    float a[M * N], q[M * N], transposed[N * M];
    strata__random_normal(key, 0, M * N, a);
    strata__orthogonal(ctx, key, M, N, 1, q);
    strata__orthogonal(ctx, key, N, M, 1, transposed);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            double r = 0;
            for (int k = 0; k < M; k++)
                r += (double)q[k * N + i] * a[k * N + j];
            assert_all(i > j ? fabs(r) < 1e-6 : i < j || r > 0.01);
        }
        for (int k = 0; k < M; k++)
            assert_all_near(transposed[i * M + k], q[k * N + i], 0);
    }
}

/* --- seeds --- */

static float *values_of(strata_context *ctx, const char *path, const char *initializer)
{
    strata_variable *variable =
        strata__variable_new(ctx, &(strata__variable_spec){.name = "kernel",
                                                           .path = path,
                                                           .shape = STRATA_SHAPE(4, 4),
                                                           .dtype = STRATA_FLOAT32,
                                                           .initializer = initializer});
    assert_all_ok(ctx);
    float *values = read_floats(variable);
    strata__variable_free(variable);
    return values;
}

static bool equal_values(strata_context *ctx, const char *path, const char *other,
                         const char *initializer)
{
    float *a = values_of(ctx, path, initializer), *b = values_of(ctx, other, initializer);
    bool equal = memcmp(a, b, 16 * sizeof *a) == 0;
    free(a);
    free(b);
    return equal;
}

static void test_seeds(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    static const char *const random[] = {"RandomNormal", "RandomUniform",   "TruncatedNormal",
                                         "HeNormal",     "VarianceScaling", "Orthogonal"};
    for (size_t i = 0; i < TEST_COUNT(random); i++) {
        char seeded[64];
        snprintf(seeded, sizeof seeded, "%s(seed=3)", random[i]);
        assert_all(equal_values(ctx, "dense", "dense", random[i]));
        assert_all(!equal_values(ctx, "dense", "dense_1", random[i]));
        assert_all(equal_values(ctx, "dense", "dense_1", seeded));
    }
    float *first = values_of(ctx, "dense", "he_normal"),
          *seeded = values_of(ctx, "dense", "HeNormal(seed=5)");
    ctx->settings.seed++;
    float *second = values_of(ctx, "dense", "he_normal"),
          *again = values_of(ctx, "dense", "HeNormal(seed=5)");
    assert_all(memcmp(first, second, 16 * sizeof *first) != 0);
    assert_all(memcmp(seeded, again, 16 * sizeof *first) == 0);
    free(first);
    free(second);
    free(seeded);
    free(again);
}

/* Rounding to float32, 0.125 apart here, must not reach the bound that is excluded. */
static void test_uniform_values_stay_below_the_bound(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    strata_context *ctx = test_context_without_mesh();
    strata__object object;
    float values[COUNT], highest = 0;
    parse_object(ctx, &strata__initializer_family, "RandomUniform(1048576, 1048577)", &object);
    const strata__initializer_methods *methods = object.class->methods;
    methods->fill(object.config, (strata__key){.seed = 1}, &STRATA_SHAPE(COUNT), 0, COUNT, values);
    for (int i = 0; i < COUNT; i++)
        highest = fmaxf(highest, values[i]);
    assert_all_near(highest, 1048577 - 0.125, 0);
    strata__object_free(ctx, &object);
}

/* As in Keras, a seed is the only argument of the six; others are refused, also by position. */
static void test_arguments(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"HeNormal(scale=2.0)", "scale"},           {"glorot_unifrom", "GlorotUniform"},
        {"VarianceScaling(scale=-1.0)", "scale"},   {"RandomNormal(seed='a')", "seed"},
        {"HeNormal(input_axes=[0])", "input_axes"}, {"Zeros(1)", "positional"},
    };
    strata__object object;
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        strata__object_parse(ctx, &strata__initializer_family, wrong[i].text, &object);
        assert_all_error(ctx, STRATA_INVALID, wrong[i].words);
    }
    parse_object(ctx, &strata__initializer_family, "VarianceScaling(2.0, 'fan_out', 'uniform', 4)",
                 &object);
    json_t *json = strata__object_to_json(ctx, &object);
    json_t *config = json_object_get(json, "config");
    assert_all(json_integer_value(json_object_get(config, "seed")) == 4);
    assert_all_string_equal(json_string_value(json_object_get(config, "mode")), "fan_out");
    json_decref(json);
    strata__object_free(ctx, &object);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initializers_against_keras),
        cmocka_unit_test(test_the_same_values_on_every_mesh),
        cmocka_unit_test(test_orthogonal_signs),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_uniform_values_stay_below_the_bound),
        cmocka_unit_test(test_arguments),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
