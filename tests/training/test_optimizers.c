/* Optimizers against Keras, on every mesh and placement; their slots, names and errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "mesh/mesh.h"
#include "training/optimizer.h"

/* --- steps with given gradients --- */

/* What a backward pass would do with this rank's part of a gradient: the last member of the replica
 * group has all of it. */
static void give(strata__optimizer *optimizer, strata_variable *variable, const float *whole)
{
    const strata__group *group = &variable->ctx->mesh->groups[variable->replicas];
    float *piece = calloc((size_t)variable->count + 1, sizeof *piece);
    strata__variable_cut(variable, whole, piece);
    for (int64_t i = 0; i < variable->count; i++)
        variable->value->sink[i] = group->rank == group->size - 1 ? piece[i] : 0;
    variable->value->sink_filled = true;
    strata__optimizer_complete(optimizer, variable);
    free(piece);
}

enum { VARIABLES = 4 };

/* A golden case: variables with their start values, and a gradient a step. */
typedef struct trace {
    strata_context *ctx;
    const golden *group;
    const char *name;
    strata__optimizer *optimizer;
    int count, steps;
    strata_variable *variables[VARIABLES];
    golden_array gradients[VARIABLES];
    json_t *missing;
} trace;

static strata_variable *make_variable(strata_context *ctx, const golden *group, const char *member)
{
    golden *variables = golden_group(group, "variables");
    golden_array start;
    char *path = golden_text(variables, member, "path");
    char *constraint = golden_text(variables, member, "constraint");
    golden_read(variables, member, &start);
    char *name = strrchr(path, '/');
    *name++ = '\0';
    strata_variable *variable = strata__variable_new(
        ctx, &(strata__variable_spec){.name = name,
                                      .path = path,
                                      .shape = start.shape,
                                      .dtype = STRATA_FLOAT32,
                                      .constraint = constraint,
                                      .trainable = true,
                                      .placement =
                                          start.shape.rank > 1 ? STRATA__MATRIX : STRATA__VECTOR});
    void *data = golden_convert(&start, STRATA_FLOAT32);
    if (variable)
        strata_cross_assign(variable, data);
    free(data);
    free(path);
    free(constraint);
    golden_free(&start);
    golden_close(variables);
    return variable;
}

static bool trace_open(trace *t)
{
    golden *variables = golden_group(t->group, "variables");
    golden *gradients = golden_group(t->group, "gradients");
    t->count = golden_count(variables);
    for (int i = 0; i < t->count; i++) {
        t->variables[i] = make_variable(t->ctx, t->group, golden_name(variables, i));
        golden_read(gradients, golden_name(gradients, i), &t->gradients[i]);
    }
    t->steps = (int)t->gradients[0].shape.dims[0];
    t->missing = golden_json(t->group, NULL, "missing");
    golden_close(variables);
    golden_close(gradients);
    return strata__optimizer_build(t->optimizer, t->count, t->variables) == STRATA_OK;
}

static void trace_close(trace *t)
{
    json_decref(t->missing);
    strata__optimizer_free(t->optimizer);
    for (int i = 0; i < t->count; i++) {
        golden_free(&t->gradients[i]);
        strata__variable_free(t->variables[i]);
    }
}

static bool is_missing(const trace *t, int step, int variable)
{
    size_t i;
    json_t *pair;
    json_array_foreach(t->missing, i, pair)
    {
        if (json_integer_value(json_array_get(pair, 0)) == step &&
            json_integer_value(json_array_get(pair, 1)) == variable)
            return true;
    }
    return false;
}

/* Backward passes come from the last variable to the first. */
static void take_step(trace *t, int step)
{
    strata__optimizer_begin(t->optimizer);
    for (int i = t->count - 1; i >= 0; i--) {
        int64_t size = t->gradients[i].count / t->steps;
        float *gradient = golden_convert(&t->gradients[i], STRATA_FLOAT32);
        if (!is_missing(t, step, i))
            give(t->optimizer, t->variables[i], gradient + step * size);
        free(gradient);
    }
    strata__optimizer_apply(t->optimizer);
}

/* Step `step` of the golden values of a variable, or with step −1 all of what `path` holds. */
static bool value_agrees(const trace *t, int i, const char *folder, int step)
{
    char path[64];
    golden_array expected;
    float *value =
        calloc((size_t)strata__product(&t->variables[i]->shape, 0, t->variables[i]->shape.rank),
               sizeof *value);
    snprintf(path, sizeof path, "%s/%04d", folder, i);
    bool agrees = strata_cross_read(t->variables[i], value) == STRATA_OK &&
                  golden_read(t->group, path, &expected);
    if (agrees) {
        int64_t size = step < 0 ? expected.count : expected.count / t->steps;
        golden_array part = expected;
        part.count = size;
        part.values += step < 0 ? 0 : step * size;
        part.deviation = fmax(part.deviation, 1e-8);
        agrees = golden_agrees(&part, STRATA_FLOAT32, value, size, 1, t->name);
        golden_free(&expected);
    }
    free(value);
    return agrees;
}

static bool slot_agrees(trace *t, int index, const golden *state)
{
    strata__optimizer_variable variable = strata__optimizer_variable_at(t->optimizer, index);
    const char *member = golden_name(state, index);
    golden_array expected;
    if (!golden_read(state, member, &expected))
        return false;
    float *value = calloc((size_t)expected.count, sizeof *value);
    char *path = golden_text(state, member, "path"), *dtype = golden_text(state, member, "dtype");
    bool agrees = strcmp(path, variable.path) == 0 &&
                  strcmp(dtype, strata_dtype_name(variable.dtype)) == 0 &&
                  strata__shape_equal(&variable.shape, &expected.shape);
    if (!agrees)
        fprintf(stderr, "%s: %s stands where %s should\n", t->name, variable.path, path);
    agrees = agrees && strata__optimizer_read(t->optimizer, index, value) == STRATA_OK &&
             golden_agrees(&expected, variable.dtype, value, expected.count, 1, variable.path);
    free(value);
    free(path);
    free(dtype);
    golden_free(&expected);
    return agrees;
}

static bool state_agrees(trace *t)
{
    golden *state = golden_group(t->group, "state");
    bool agrees = golden_count(state) == strata__optimizer_variable_count(t->optimizer);
    for (int i = 0; i < golden_count(state) && agrees; i++)
        agrees = slot_agrees(t, i, state);
    golden_close(state);
    return agrees;
}

static bool trace_agrees(trace *t)
{
    bool agrees = true;
    for (int step = 0; step < t->steps; step++) {
        take_step(t, step);
        for (int i = 0; i < t->count; i++)
            agrees = value_agrees(t, i, "values", step) && agrees;
    }
    agrees = state_agrees(t) && agrees;
    strata__optimizer_finalize(t->optimizer);
    for (int i = 0; i < t->count; i++)
        agrees = value_agrees(t, i, "finalized", -1) && agrees;
    return agrees;
}

static golden_verdict optimizer_case(void *user, const golden *group, const char *name)
{
    trace t = {.ctx = user, .group = group, .name = name};
    char *text = config_text(group);
    strata_status status = strata__optimizer_new(t.ctx, text, &t.optimizer);
    free(text);
    if (status != STRATA_OK)
        return is_unsupported(t.ctx) ? GOLDEN_UNSUPPORTED : GOLDEN_FAILED;
    bool agrees = config_agrees(strata__optimizer_to_json(t.optimizer), group, name);
    agrees = trace_open(&t) && trace_agrees(&t) && agrees;
    trace_close(&t);
    return agrees ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static void test_optimizers_against_keras(void **state)
{
    (void)state;
    run_golden("training/optimizers.h5", optimizer_case, 47);
}

/* --- names and errors --- */

static strata_status make(strata_context *ctx, const char *name)
{
    strata__optimizer *optimizer;
    strata_status status = strata__optimizer_new(ctx, name, &optimizer);
    strata__optimizer_free(optimizer);
    return status;
}

static void test_optimizers_strings_of_keras(void **state)
{
    (void)state;
    check_strings("training/optimizers.h5", make);
}

static void test_optimizers_names(void **state)
{
    static const char *const names[][3] = {
        {"sgd", "SGD", "sgd"},
        {"SGD", "SGD", "sgd"},
        {"rmsprop", "RMSprop", "rm_sprop"},
        {"RMSProp", "RMSprop", "rm_sprop"},
        {"adam", "Adam", "adam"},
        {"ADAM", "Adam", "adam"},
        {"adamw", "AdamW", "adam_w"},
        {"AdamW(0.01)", "AdamW", "adam_w"},
        {"Adam(name='mine')", "Adam", "mine"},
    };
    (void)state;
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        strata__optimizer *optimizer;
        strata__optimizer_new(ctx, names[i][0], &optimizer);
        assert_all_ok(ctx);
        assert_all_string_equal(optimizer->object.class->name, names[i][1]);
        assert_all_string_equal(optimizer->config->name, names[i][2]);
        strata__optimizer_free(optimizer);
    }
}

static void refuse(strata_context *ctx, const char *text, strata_status status, const char *words)
{
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, text, &optimizer);
    assert_all(optimizer == NULL);
    assert_all_error(ctx, status, words);
}

static void test_optimizers_refuse(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    refuse(ctx, "None", STRATA_INVALID, "None is no optimizer");
    refuse(ctx, "nadam", STRATA_UNSUPPORTED,
           "optimizer 'nadam' of Keras is not supported yet; there are SGD, RMSprop");
    refuse(ctx, "adm", STRATA_INVALID, "did you mean 'Adam'");
    refuse(ctx, "Adam(learning_rate=Exponential(1))", STRATA_INVALID, "learning rate schedule");
    refuse(ctx, "SGD(clipnorm=1.0, clipvalue=2.0)", STRATA_INVALID,
           "Only one of `clipnorm`, `clipvalue`");
    refuse(ctx, "SGD(momentum=1.5)", STRATA_INVALID, "momentum must be");
    refuse(ctx, "Adam(gradient_accumulation_steps=1)", STRATA_INVALID,
           "gradient_accumulation_steps");
}

static void test_optimizers_learning_rate(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, "Adam(0.1)", &optimizer);
    assert_all_near(strata__optimizer_learning_rate(optimizer), 0.1f, 0);
    strata__optimizer_set_learning_rate(optimizer, 0.2);
    assert_all_near(strata__optimizer_learning_rate(optimizer), 0.2f, 0);
    strata__optimizer_free(optimizer);
    strata__optimizer_new(ctx, "SGD(ExponentialDecay(0.1, 10, 0.5), momentum=0.9)", &optimizer);
    assert_all_ok(ctx);
    assert_all_near(optimizer->config->momentum, 0.9, 0);
    optimizer->iteration = 10;
    assert_all_near(strata__optimizer_learning_rate(optimizer), 0.05f, 1e-9);
    strata__optimizer_set_learning_rate(optimizer, 0.2);
    assert_all_error(ctx, STRATA_INVALID, "ExponentialDecay: its learning rate is not settable");
    strata__optimizer_free(optimizer);
}

/* --- larger variables: slices that cross them, on every mesh --- */

enum { ROWS = 300, COLUMNS = 257 };

static float number(int seed, int64_t i)
{
    return sinf((float)(seed * 977 + i * 31 % 1009));
}

static strata_variable *large_variable(strata_context *ctx, const char *name, strata_shape shape,
                                       int seed, strata__placement placement)
{
    strata_variable *variable =
        strata__variable_new(ctx, &(strata__variable_spec){.name = name,
                                                           .path = "dense",
                                                           .shape = shape,
                                                           .dtype = STRATA_FLOAT32,
                                                           .trainable = true,
                                                           .placement = placement});
    int64_t count = strata__product(&shape, 0, shape.rank);
    float *data = calloc((size_t)count, sizeof *data);
    for (int64_t i = 0; i < count; i++)
        data[i] = number(seed, i);
    strata_cross_assign(variable, data);
    free(data);
    return variable;
}

/* Adam in double, as the formula says, with a factor for clipping by the norm of the variable. */
static void plain_adam(int64_t count, double *w, int seed, int steps, double clipnorm)
{
    double *m = calloc((size_t)count, sizeof *m), *v = calloc((size_t)count, sizeof *v);
    for (int t = 1; t <= steps; t++) {
        double squares = 0, rate = 0.001 * sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t));
        for (int64_t i = 0; i < count; i++)
            squares += pow(number(seed + t, i), 2);
        double clip = fmin(1, clipnorm / sqrt(squares));
        for (int64_t i = 0; i < count; i++) {
            double g = clip * number(seed + t, i);
            m[i] += (g - m[i]) * 0.1;
            v[i] += (g * g - v[i]) * 0.001;
            w[i] -= m[i] * rate / (sqrt(v[i]) + 1e-7);
        }
    }
    free(m);
    free(v);
}

static void check_large(strata_variable *variable, int seed, int steps, double clipnorm)
{
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    float *ours = calloc((size_t)count, sizeof *ours),
          *expected = calloc((size_t)count, sizeof *expected);
    double *w = calloc((size_t)count, sizeof *w);
    for (int64_t i = 0; i < count; i++)
        w[i] = number(seed, i);
    plain_adam(count, w, seed, steps, clipnorm);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (float)w[i];
    strata_cross_read(variable, ours);
    assert_all_floats_near(ours, expected, count, 2e-6);
    free(ours);
    free(expected);
    free(w);
}

static void give_large(strata__optimizer *optimizer, strata_variable *variable, int seed)
{
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    float *gradient = calloc((size_t)count, sizeof *gradient);
    for (int64_t i = 0; i < count; i++)
        gradient[i] = number(seed, i);
    give(optimizer, variable, gradient);
    free(gradient);
}

static void run_large(strata_context *ctx, const char *text, double clipnorm)
{
    const int steps = 3;
    strata_variable *variables[3] = {
        large_variable(ctx, "kernel", STRATA_SHAPE(ROWS, COLUMNS), 1, STRATA__MATRIX),
        large_variable(ctx, "bias", STRATA_SHAPE(COLUMNS), 2, STRATA__VECTOR),
        large_variable(ctx, "table", STRATA_SHAPE(ROWS, COLUMNS), 3, STRATA__WHOLE)};
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, text, &optimizer);
    strata__optimizer_build(optimizer, 3, variables);
    assert_all_ok(ctx);
    for (int t = 1; t <= steps; t++) {
        strata__optimizer_begin(optimizer);
        for (int i = 2; i >= 0; i--)
            give_large(optimizer, variables[i], i + 1 + t);
        strata__optimizer_apply(optimizer);
    }
    assert_all_ok(ctx);
    for (int i = 0; i < 3; i++)
        check_large(variables[i], i + 1, steps, clipnorm);
    strata__optimizer_free(optimizer);
    for (int i = 0; i < 3; i++)
        strata__variable_free(variables[i]);
}

static void test_optimizers_large_variables(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        run_large(ctx, "adam", INFINITY);
        run_large(ctx, "Adam(clipnorm=3.0)", 3);
    }
}

/* --- the optimizer's own variables --- */

static void seen(void *user, int64_t global, float *elements, int64_t length)
{
    float *times = user;
    (void)elements;
    for (int64_t i = 0; i < length; i++)
        times[global + i]++;
}

/* What is written comes back, and among all ranks each element is visited once. */
static void test_optimizers_slots_come_back(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata_variable *variables[2] = {
            large_variable(ctx, "kernel", STRATA_SHAPE(13, 7), 1, STRATA__MATRIX),
            large_variable(ctx, "bias", STRATA_SHAPE(7), 2, STRATA__WHOLE)};
        strata__optimizer *optimizer;
        strata__optimizer_new(ctx, "adam", &optimizer);
        strata__optimizer_build(optimizer, 2, variables);
        assert_all_ok(ctx);
        assert_all_int_equal(strata__optimizer_variable_count(optimizer), 6);
        for (int index = 2; index < 6; index++) {
            strata__optimizer_variable variable = strata__optimizer_variable_at(optimizer, index);
            int64_t count = strata__product(&variable.shape, 0, variable.shape.rank);
            float in[91], out[91], times[91] = {0}, once[91];
            for (int64_t j = 0; j < count; j++) {
                in[j] = number(index, j);
                once[j] = 1;
            }
            strata__optimizer_write(optimizer, index, in);
            strata__optimizer_read(optimizer, index, out);
            assert_all_floats_near(out, in, count, 0);
            strata__optimizer_runs(optimizer, index, true, seen, times);
            strata__sum(ctx, STRATA__WORLD, times, count, STRATA_FLOAT32);
            assert_all_floats_near(times, once, count, 0);
        }
        strata__optimizer_free(optimizer);
        strata__variable_free(variables[0]);
        strata__variable_free(variables[1]);
    }
}

/* --- weight decay, missing gradients --- */

static void test_optimizers_exclude_from_weight_decay(void **state)
{
    static const float zeros[12] = {0};
    float value[12];
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variables[2] = {
        large_variable(ctx, "kernel", STRATA_SHAPE(3, 4), 1, STRATA__WHOLE),
        large_variable(ctx, "bias", STRATA_SHAPE(4), 2, STRATA__WHOLE)};
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, "SGD(0.5, weight_decay=0.5)", &optimizer);
    strata__optimizer_exclude(optimizer, "bias$");
    strata__optimizer_build(optimizer, 2, variables);
    strata__optimizer_begin(optimizer);
    give(optimizer, variables[1], zeros);
    give(optimizer, variables[0], zeros);
    strata__optimizer_apply(optimizer);
    assert_all_ok(ctx);
    strata_cross_read(variables[0], value);
    assert_all_near(value[5], 0.75f * number(1, 5), 1e-7);
    strata_cross_read(variables[1], value);
    assert_all_near(value[3], number(2, 3), 0);
    strata__optimizer_exclude(optimizer, "kernel");
    assert_all_error(ctx, STRATA_INVALID, "before the optimizer is built");
    strata__optimizer_free(optimizer);
    strata__variable_free(variables[0]);
    strata__variable_free(variables[1]);
}

static void test_optimizers_no_gradients(void **state)
{
    float value[4];
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variable = large_variable(ctx, "bias", STRATA_SHAPE(4), 2, STRATA__WHOLE);
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, "SGD(1.0, weight_decay=0.5)", &optimizer);
    strata__optimizer_build(optimizer, 1, &variable);
    strata__optimizer_begin(optimizer);
    strata__optimizer_apply(optimizer);
    assert_all_error(ctx, STRATA_INVALID, "No gradients provided for any variable.");
    strata_cross_read(variable, value);
    assert_all_near(value[3], number(2, 3), 0);
    strata__optimizer_free(optimizer);
    strata__variable_free(variable);
}

/* A gradient that is not a number stays one: clipping by value must not hide it. */
static void test_optimizers_nan_is_not_clipped(void **state)
{
    static const float gradient[4] = {NAN, 5, -INFINITY, 0};
    float value[4];
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variable = large_variable(ctx, "bias", STRATA_SHAPE(4), 2, STRATA__WHOLE);
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, "SGD(1.0, clipvalue=0.5)", &optimizer);
    strata__optimizer_build(optimizer, 1, &variable);
    strata__optimizer_begin(optimizer);
    give(optimizer, variable, gradient);
    strata__optimizer_apply(optimizer);
    strata_cross_read(variable, value);
    assert_all(isnan(value[0]));
    assert_all_near(value[1], number(2, 1) - 0.5f, 1e-6);
    assert_all_near(value[2], number(2, 2) + 0.5f, 1e-6);
    strata__optimizer_free(optimizer);
    strata__variable_free(variable);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimizers_against_keras),
        cmocka_unit_test(test_optimizers_strings_of_keras),
        cmocka_unit_test(test_optimizers_names),
        cmocka_unit_test(test_optimizers_refuse),
        cmocka_unit_test(test_optimizers_learning_rate),
        cmocka_unit_test(test_optimizers_large_variables),
        cmocka_unit_test(test_optimizers_slots_come_back),
        cmocka_unit_test(test_optimizers_exclude_from_weight_decay),
        cmocka_unit_test(test_optimizers_no_gradients),
        cmocka_unit_test(test_optimizers_nan_is_not_clipped),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
