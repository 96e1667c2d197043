/* Batch and layer normalization against their formulas in double, gradients against differences. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "numbers.h"
#include "ops/ops.h"
#include "tensor/axes.h"

#define EPSILON 1e-3

/* --- batch normalization --- */

/* x (outer, n, inner): features on the middle axis. */
typedef struct batch_problem {
    strata_shape shape;
    int axis;
    int64_t outer, n, inner;
    bool training, split;
    const bool *mask; /* (outer) */
    double moments[2][8];
} batch_problem;

enum { MOST = 600 };

static int64_t volume(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

/* Mean and variance over all positions but those masked; Keras adds 1e-7 to their number. */
static void measure(const batch_problem *p, const double *x, int64_t feature, double *mean,
                    double *variance)
{
    double count = p->mask ? 1e-7 : 0.0, sum = 0.0, squares = 0.0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < p->outer * p->inner; i++) {
            int64_t row = i / p->inner;
            double value = x[(row * p->n + feature) * p->inner + i % p->inner];
            if (p->mask && !p->mask[row])
                continue;
            count += pass == 0;
            sum += pass == 0 ? value : 0.0;
            squares += pass == 1 ? (value - sum / count) * (value - sum / count) : 0.0;
        }
    }
    *mean = sum / count;
    *variance = squares / count;
}

/* values: x, γ (n), β (n) in a row. */
static void batch_normalize(const double *values, double *y, const void *user)
{
    const batch_problem *p = user;
    const double *gamma = values + volume(&p->shape), *beta = gamma + p->n;
    for (int64_t f = 0; f < p->n; f++) {
        double mean = p->moments[0][f], variance = p->moments[1][f];
        if (p->training)
            measure(p, values, f, &mean, &variance);
        for (int64_t i = 0; i < p->outer * p->inner; i++) {
            int64_t at = (i / p->inner * p->n + f) * p->inner + i % p->inner;
            y[at] = (values[at] - mean) / sqrt(variance + EPSILON) * gamma[f] + beta[f];
        }
    }
}

static strata_tensor *mask_of(strata_context *ctx, const batch_problem *p)
{
    strata_shape shape = p->shape;
    shape.rank--;
    strata_tensor *mask =
        strata__tensor_new(ctx, STRATA_BOOL, &shape, (strata__layout){.batch = true});
    memcpy(mask->data, p->mask + strata__first_element(mask), (size_t)strata__local_count(mask));
    return mask;
}

static void check_moments(const batch_problem *p, const double *values, const strata_tensor *mean,
                          const strata_tensor *variance)
{
    double expected[2][8];
    for (int64_t f = 0; f < p->n; f++)
        measure(p, values, f, &expected[0][f], &expected[1][f]);
    assert_all_tensor(mean, expected[0], 1e-6);
    assert_all_tensor(variance, expected[1], 2e-6);
}

static void check_batch(strata_context *ctx, batch_problem *p)
{
    double values[MOST], y[MOST], upstream[MOST], gradient[MOST];
    int64_t count = volume(&p->shape);
    test_values(values, count + 2 * p->n, 1);
    test_values(upstream, count, 2);
    test_values(p->moments[0], p->n, 3);
    for (int64_t f = 0; f < p->n; f++)
        p->moments[1][f] = 0.5 + (double)f;
    batch_normalize(values, y, p);
    test_differences(batch_normalize, p, values, count + 2 * p->n, upstream, count, gradient);
    strata_tensor *x = test_batch(ctx, &p->shape, values);
    strata_tensor *gamma = test_parameter(ctx, &STRATA_SHAPE(p->n), values + count);
    strata_tensor *beta = test_parameter(ctx, &STRATA_SHAPE(p->n), values + count + p->n);
    strata_tensor *mean = test_parameter(ctx, &STRATA_SHAPE(p->n), p->moments[0]);
    strata_tensor *variance = test_parameter(ctx, &STRATA_SHAPE(p->n), p->moments[1]);
    strata_tensor *mask = p->mask ? mask_of(ctx, p) : NULL;
    strata_tape_begin(ctx);
    strata_tensor *z =
        strata__batch_normalization("norm", p->split ? strata__split(x) : x, p->axis, gamma, beta,
                                    mean, variance, EPSILON, mask, p->training);
    assert_all_ok(ctx);
    assert_all_tensor(z, y, 4e-6);
    if (p->training)
        check_moments(p, values, mean, variance);
    test_backward(z, upstream);
    assert_all_gradient(x, gradient, 2e-5);
    assert_all_gradient(gamma, gradient + count, 4e-5);
    assert_all_gradient(beta, gradient + count + p->n, 4e-5);
}

static void check_batches(batch_problem *problems, size_t count)
{
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < count; k++) {
            batch_problem *p = &problems[k];
            p->outer = strata__product(&p->shape, 0, p->axis);
            p->n = p->shape.dims[p->axis];
            p->inner = strata__product(&p->shape, p->axis + 1, p->shape.rank);
            strata_scope_begin(ctx);
            check_batch(ctx, p);
            strata_scope_end(ctx);
        }
    }
}

static void test_batch_normalization_by_definition(void **state)
{
    (void)state;
    batch_problem problems[] = {
        {.shape = STRATA_SHAPE(7, 3), .axis = 1, .training = true},
        {.shape = STRATA_SHAPE(3, 2, 3, 5), .axis = 3, .training = true},
        {.shape = STRATA_SHAPE(3, 4, 2, 3), .axis = 1, .training = true},
        {.shape = STRATA_SHAPE(2, 5), .axis = 1, .training = true},
        {.shape = STRATA_SHAPE(5, 3, 4), .axis = 2},
        {.shape = STRATA_SHAPE(5, 3, 4), .axis = 1},
    };
    check_batches(problems, TEST_COUNT(problems));
}

static void test_batch_normalization_with_a_mask(void **state)
{
    (void)state;
    static const bool some[] = {1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1}, none[12];
    batch_problem problems[] = {
        {.shape = STRATA_SHAPE(4, 3, 4), .axis = 2, .training = true, .mask = some},
        {.shape = STRATA_SHAPE(4, 3, 4), .axis = 2, .training = true, .mask = none},
        {.shape = STRATA_SHAPE(4, 3, 4), .axis = 2, .mask = some},
    };
    check_batches(problems, TEST_COUNT(problems));
}

static void test_batch_normalization_of_split_features(void **state)
{
    (void)state;
    static const bool some[] = {1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1};
    batch_problem problems[] = {
        {.shape = STRATA_SHAPE(4, 3, 5), .axis = 2, .training = true, .split = true},
        {.shape = STRATA_SHAPE(4, 3, 5), .axis = 2, .training = true, .split = true, .mask = some},
        {.shape = STRATA_SHAPE(4, 3, 5), .axis = 2, .split = true},
        {.shape = STRATA_SHAPE(5, 2, 3), .axis = 1, .training = true, .split = true},
        {.shape = STRATA_SHAPE(5, 1), .axis = 1, .training = true, .split = true},
    };
    check_batches(problems, TEST_COUNT(problems));
}

/* Values far from zero: Σx² has lost nothing that x still had. */
static void test_batch_normalization_far_from_zero(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    double x[40], zeros[2] = {0}, expected[2][2];
    batch_problem p = {.shape = STRATA_SHAPE(20, 2), .outer = 20, .n = 2, .inner = 1};
    for (int i = 0; i < 40; i++)
        x[i] = 100000.0 + i % 7;
    for (int f = 0; f < 2; f++)
        measure(&p, x, f, &expected[0][f], &expected[1][f]);
    strata_tensor *mean = test_parameter(ctx, &STRATA_SHAPE(2), zeros);
    strata_tensor *variance = test_parameter(ctx, &STRATA_SHAPE(2), zeros);
    strata__batch_normalization("norm", test_batch(ctx, &p.shape, x), 1, NULL, NULL, mean, variance,
                                EPSILON, NULL, true);
    assert_all_tensor(mean, expected[0], 0.01);
    assert_all_tensor(variance, expected[1], 2e-5);
    strata_scope_end(ctx);
}

/* --- layer normalization --- */

typedef struct layer_problem {
    strata_shape shape;
    int axis_count, axes[3];
    strata__scaling scaling;
    int64_t n; /* Π of the axes */
} layer_problem;

/* Place of an element among the axes that are normalized, and of its group among all groups. */
static void place_of(const layer_problem *p, int64_t element, int64_t *inside, int64_t *group)
{
    int64_t at[STRATA_MAX_RANK];
    for (int i = p->shape.rank; i-- > 0; element /= p->shape.dims[i])
        at[i] = element % p->shape.dims[i];
    *inside = *group = 0;
    for (int i = 0; i < p->shape.rank; i++) {
        bool chosen = false;
        for (int k = 0; k < p->axis_count; k++)
            chosen = chosen || p->axes[k] == i;
        int64_t *index = chosen ? inside : group;
        *index = *index * p->shape.dims[i] + at[i];
    }
}

/* values: x, γ (n), β (n) in a row. */
static void layer_normalize(const double *values, double *y, const void *user)
{
    const layer_problem *p = user;
    int64_t count = volume(&p->shape), inside, group;
    const double *gamma = values + count, *beta = gamma + p->n;
    double mean[MOST] = {0}, variance[MOST] = {0};
    for (int64_t i = 0; i < count; i++) {
        place_of(p, i, &inside, &group);
        mean[group] += values[i] / (double)p->n;
    }
    for (int64_t i = 0; i < count; i++) {
        place_of(p, i, &inside, &group);
        variance[group] += (values[i] - mean[group]) * (values[i] - mean[group]) / (double)p->n;
    }
    for (int64_t i = 0; i < count; i++) {
        place_of(p, i, &inside, &group);
        double center = p->scaling == STRATA__STANDARDIZED ? mean[group] : 0.0;
        double shift = p->scaling == STRATA__BY_MEAN_SQUARE ? mean[group] * mean[group] : 0.0;
        y[i] = (values[i] - center) / sqrt(variance[group] + shift + EPSILON) * gamma[inside] +
               beta[inside];
    }
}

/* Of γ and β: sizes of the axes in ascending order. */
static strata_shape weight_shape(const layer_problem *p)
{
    strata_shape shape = {0};
    for (int i = 0; i < p->shape.rank; i++) {
        for (int k = 0; k < p->axis_count; k++) {
            if (p->axes[k] == i)
                shape.dims[shape.rank++] = p->shape.dims[i];
        }
    }
    return shape;
}

/* γ and β as they are, split or not, beside x split or not. */
static void check_layer(strata_context *ctx, const layer_problem *p, bool split, bool split_weights)
{
    double values[MOST], y[MOST], upstream[MOST], gradient[MOST];
    int64_t count = volume(&p->shape);
    test_values(values, count + 2 * p->n, 1);
    test_values(upstream, count, 2);
    layer_normalize(values, y, p);
    test_differences(layer_normalize, p, values, count + 2 * p->n, upstream, count, gradient);
    strata_tensor *x = test_batch(ctx, &p->shape, values);
    strata_shape shape = weight_shape(p);
    strata_tensor *gamma = test_parameter(ctx, &shape, values + count);
    strata_tensor *beta = test_parameter(ctx, &shape, values + count + p->n);
    strata_tape_begin(ctx);
    strata_tensor *z = strata__layer_normalization(
        "norm", split ? strata__split(x) : x, p->axis_count, p->axes,
        split_weights ? strata__split(gamma) : gamma, split_weights ? strata__split(beta) : beta,
        EPSILON, p->scaling);
    assert_all_ok(ctx);
    assert_all_tensor(z, y, 4e-6);
    test_backward(z, upstream);
    assert_all_gradient(x, gradient, 2e-5);
    assert_all_gradient(gamma, gradient + count, 4e-5);
    assert_all_gradient(beta, gradient + count + p->n, 4e-5);
}

static void test_layer_normalization_by_definition(void **state)
{
    (void)state;
    layer_problem problems[] = {
        {.shape = STRATA_SHAPE(5, 37), .axis_count = 1, .axes = {1}},
        {.shape = STRATA_SHAPE(3, 4, 6), .axis_count = 1, .axes = {2}},
        {.shape = STRATA_SHAPE(3, 4, 6), .axis_count = 1, .axes = {1}},
        {.shape = STRATA_SHAPE(3, 2, 5, 4), .axis_count = 2, .axes = {2, 3}},
        {.shape = STRATA_SHAPE(3, 2, 5, 4), .axis_count = 2, .axes = {3, 1}},
        {.shape = STRATA_SHAPE(4, 3, 5),
         .axis_count = 1,
         .axes = {2},
         .scaling = STRATA__BY_DEVIATION},
        {.shape = STRATA_SHAPE(4, 3, 5),
         .axis_count = 2,
         .axes = {1, 2},
         .scaling = STRATA__BY_DEVIATION},
        {.shape = STRATA_SHAPE(5, 3),
         .axis_count = 1,
         .axes = {1},
         .scaling = STRATA__BY_MEAN_SQUARE},
        {.shape = STRATA_SHAPE(3, 4, 2),
         .axis_count = 1,
         .axes = {1},
         .scaling = STRATA__BY_MEAN_SQUARE},
        {.shape = STRATA_SHAPE(3, 2, 5),
         .axis_count = 2,
         .axes = {1, 2},
         .scaling = STRATA__BY_MEAN_SQUARE},
    };
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(problems); k++) {
            layer_problem *p = &problems[k];
            p->n = 1;
            for (int a = 0; a < p->axis_count; a++)
                p->n *= p->shape.dims[p->axes[a]];
            strata_scope_begin(ctx);
            for (int way = 0; way < 4; way++)
                check_layer(ctx, p, way & 1, way & 2);
            strata_scope_end(ctx);
        }
    }
}

enum { MANY = 8000, WIDTH = 37 };

/* Of Σ (y + x)·upstream, y the normalized x: the gradients of x, γ and β by their formulas. */
static void plain_gradients(const double *x, const double *gamma, const double *upstream,
                            double *dx, double *dgamma, double *dbeta)
{
    for (int64_t i = 0; i < MANY; i++, x += WIDTH, dx += WIDTH, upstream += WIDTH) {
        double mean = 0, variance = 0, slope = 0, offset = 0, u[WIDTH];
        for (int j = 0; j < WIDTH; j++)
            mean += x[j] / WIDTH;
        for (int j = 0; j < WIDTH; j++)
            variance += (x[j] - mean) * (x[j] - mean) / WIDTH;
        double r = 1.0 / sqrt(variance + EPSILON);
        for (int j = 0; j < WIDTH; j++) {
            u[j] = (x[j] - mean) * r;
            offset += upstream[j] * gamma[j] / WIDTH;
            slope += upstream[j] * gamma[j] * u[j] / WIDTH;
            dgamma[j] += upstream[j] * u[j];
            dbeta[j] += upstream[j];
        }
        for (int j = 0; j < WIDTH; j++)
            dx[j] = upstream[j] + r * (upstream[j] * gamma[j] - offset - u[j] * slope);
    }
}

/* More rows than are treated at once, and an x that has a gradient already. */
static void test_layer_normalization_beside_its_input(void **state)
{
    (void)state;
    static double x[MANY * WIDTH], upstream[MANY * WIDTH], dx[MANY * WIDTH], gamma[WIDTH];
    test_values(x, MANY * WIDTH, 1);
    test_values(upstream, MANY * WIDTH, 2);
    test_values(gamma, WIDTH, 3);
    double zeros[WIDTH] = {0}, dgamma[WIDTH] = {0}, dbeta[WIDTH] = {0};
    plain_gradients(x, gamma, upstream, dx, dgamma, dbeta);
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (int split = 0; split < 2; split++) {
            strata_scope_begin(ctx);
            strata_tensor *a = test_batch(ctx, &STRATA_SHAPE(MANY, WIDTH), x);
            strata_tensor *g = test_parameter(ctx, &STRATA_SHAPE(WIDTH), gamma);
            strata_tensor *b = test_parameter(ctx, &STRATA_SHAPE(WIDTH), zeros);
            strata_tape_begin(ctx);
            strata_tensor *z =
                strata__layer_normalization("norm", split ? strata__split(a) : a, 1, (int[]){1}, g,
                                            b, EPSILON, STRATA__STANDARDIZED);
            test_backward(strata_ops_add(z, a), upstream);
            assert_all_gradient(a, dx, 2e-5);
            assert_all_gradient(g, dgamma, 2e-3);
            assert_all_gradient(b, dbeta, 2e-3);
            strata_scope_end(ctx);
        }
    }
}

/* Values far from zero, split or not: the moments have lost nothing, nor does the result lack what
 * the mean lacks as a float32. */
static void test_layer_normalization_far_from_zero(void **state)
{
    (void)state;
    const char *mesh;
    layer_problem p = {.shape = STRATA_SHAPE(3, 40), .axis_count = 1, .axes = {1}, .n = 40};
    double values[200], y[120];
    for (int i = 0; i < 120; i++)
        values[i] = 100000.0 + i % 7;
    for (int i = 120; i < 200; i++)
        values[i] = i < 160;
    layer_normalize(values, y, &p);
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        strata_scope_begin(ctx);
        strata_tensor *x = test_batch(ctx, &p.shape, values);
        assert_all_tensor(strata__layer_normalization("norm", x, 1, p.axes, NULL, NULL, EPSILON,
                                                      STRATA__STANDARDIZED),
                          y, 2e-6);
        assert_all_tensor(strata__layer_normalization("norm", strata__split(x), 1, p.axes, NULL,
                                                      NULL, EPSILON, STRATA__STANDARDIZED),
                          y, 2e-6);
        strata_scope_end(ctx);
    }
}

/* --- both --- */

static void test_normalization_without_scale_and_offset(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    double x[] = {1.0, 3.0, 1.0, 3.0, 2.0, 6.0, 2.0, 6.0}, zeros[2] = {0};
    double by_sample[] = {-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0};
    double by_feature[] = {-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0};
    double variances[] = {0.25, 2.25};
    assert_all_tensor(strata__layer_normalization("norm", test_batch(ctx, &STRATA_SHAPE(4, 2), x),
                                                  1, (int[]){1}, NULL, NULL, 0.0,
                                                  STRATA__STANDARDIZED),
                      by_sample, 1e-6);
    strata_tensor *mean = test_parameter(ctx, &STRATA_SHAPE(2), zeros);
    strata_tensor *variance = test_parameter(ctx, &STRATA_SHAPE(2), zeros);
    assert_all_tensor(strata__batch_normalization("norm", test_batch(ctx, &STRATA_SHAPE(4, 2), x),
                                                  1, NULL, NULL, mean, variance, 0.0, NULL, true),
                      by_feature, 1e-6);
    assert_all_tensor(variance, variances, 1e-6);
    strata_scope_end(ctx);
}

static void test_normalization_refuses_what_does_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    double zeros[24] = {0};
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(2, 3, 4), zeros);
    strata_tensor *four = test_parameter(ctx, &STRATA_SHAPE(4), zeros);
    strata_tensor *mask =
        strata__tensor_new(ctx, STRATA_BOOL, &STRATA_SHAPE(2, 3), (strata__layout){.batch = true});
    assert_null(
        strata__batch_normalization("norm", x, 0, NULL, NULL, four, four, EPSILON, NULL, true));
    assert_all_error(ctx, STRATA_INVALID,
                     "norm: axis 0 is not a feature axis of an input with 3 axes");
    assert_null(
        strata__batch_normalization("norm", x, 1, NULL, NULL, four, four, EPSILON, mask, true));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "features on the last axis only");
    assert_null(strata__layer_normalization("norm", x, 2, (int[]){1, 1}, NULL, NULL, EPSILON,
                                            STRATA__STANDARDIZED));
    assert_all_error(ctx, STRATA_INVALID,
                     "axis 1 is not a feature axis of an input with 3 axes, or is given twice");
    assert_null(strata__layer_normalization("norm", mask, 1, (int[]){1}, NULL, NULL, EPSILON,
                                            STRATA__STANDARDIZED));
    assert_all_error(ctx, STRATA_INVALID, "the input is bool");
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_normalization_by_definition),
        cmocka_unit_test(test_batch_normalization_with_a_mask),
        cmocka_unit_test(test_batch_normalization_of_split_features),
        cmocka_unit_test(test_batch_normalization_far_from_zero),
        cmocka_unit_test(test_layer_normalization_by_definition),
        cmocka_unit_test(test_layer_normalization_beside_its_input),
        cmocka_unit_test(test_layer_normalization_far_from_zero),
        cmocka_unit_test(test_normalization_without_scale_and_offset),
        cmocka_unit_test(test_normalization_refuses_what_does_not_fit),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
