/* Element-wise functions, sums and dropout against plain loops on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "gradient_check.h"
#include "numbers.h"
#include "ops/batch.h"
#include "ops/ops.h"
#include "ops/reduce.h"

enum { MOST = 1 << 12 };

#define BATCH                                                                                      \
    {                                                                                              \
        .batch = true                                                                              \
    }
#define PIECES                                                                                     \
    {                                                                                              \
        .batch = true, .split = true                                                               \
    }

/* --- functions of one element --- */

typedef struct function {
    const char *name;
    strata_tensor *(*apply)(strata_tensor *x);
    double (*plain)(double x);
} function;

static strata_tensor *affine(strata_tensor *x)
{
    return strata_ops_affine(x, 2.5, -1.0);
}

static double plain_affine(double x)
{
    return 2.5 * x - 1.0;
}

static double plain_square(double x)
{
    return x * x;
}

static double plain_negative(double x)
{
    return -x;
}

static const function functions[] = {
    {"affine", affine, plain_affine},
    {"square", strata_ops_square, plain_square},
    {"sqrt", strata_ops_sqrt, sqrt},
    {"exp", strata_ops_exp, exp},
    {"log", strata_ops_log, log},
    {"abs", strata_ops_abs, fabs},
    {"negative", strata_ops_negative, plain_negative},
};

static strata_tensor *apply(const void *user, strata_tensor *const *inputs)
{
    return ((const function *)user)->apply(inputs[0]);
}

/* f(x) + f(f(x) + 1): the second gradient is added to the first, through a tile on the stack. */
static strata_tensor *apply_twice(const void *user, strata_tensor *const *inputs)
{
    const function *f = user;
    strata_tensor *y = f->apply(inputs[0]);
    return strata_ops_add(y, strata_ops_multiply(f->apply(inputs[0]), y));
}

static void test_elementwise_functions(void **state)
{
    (void)state;
    double values[35], expected[35];
    test_values(values, 35, 1);
    for (int i = 0; i < 35; i++)
        values[i] = 1.5 + values[i];
    test_operand operand = {STRATA_SHAPE(5, 7), PIECES, values, false};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        for (size_t f = 0; f < TEST_COUNT(functions); f++) {
            for (int i = 0; i < 35; i++)
                expected[i] = functions[f].plain(values[i]);
            strata_scope_begin(ctx);
            assert_all_tensor(functions[f].apply(test_tensor(ctx, &operand)), expected, 4e-6);
            strata_scope_end(ctx);
            assert_all_gradients(ctx, apply, &functions[f], 1, &operand, 1e-3);
            assert_all_gradients(ctx, apply_twice, &functions[f], 1, &operand, 2e-3);
        }
    }
}

/* Longer than a tile on the stack, and enough for several threads. */
static void test_elementwise_gradients_of_long_tensors(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    static double values[COUNT], ones[COUNT];
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (i % 1000) / 512.0;
        ones[i] = 1;
    }
    strata_tensor *x = test_parameter(ctx, &STRATA_SHAPE(COUNT), values);
    strata_tape_begin(ctx);
    test_backward(strata_ops_add(strata_ops_square(x), strata_ops_square(x)), ones);
    const float *gradient = x->gradient->data;
    int64_t wrong = 0;
    for (int i = 0; i < COUNT; i++)
        wrong += (double)gradient[i] != 4 * values[i];
    assert_all_int_equal(wrong, 0);
    strata_scope_end(ctx);
}

/* --- sums --- */

typedef struct reduction {
    strata_shape shape;
    strata__layout layout;
    int64_t axis;
    bool keepdims, mean;
} reduction;

static strata_tensor *reduce(const void *user, strata_tensor *const *inputs)
{
    const reduction *r = user;
    return r->mean ? strata_ops_mean(inputs[0], r->axis, r->keepdims)
                   : strata_ops_sum(inputs[0], r->axis, r->keepdims);
}

static int64_t plain_reduce(const reduction *r, const double *x, double *y)
{
    int rank = r->shape.rank, axis = (int)(r->axis < 0 ? r->axis + rank : r->axis);
    bool all = r->axis == STRATA_NONE;
    int64_t outer = all ? 1 : strata__product(&r->shape, 0, axis);
    int64_t n = strata__product(&r->shape, all ? 0 : axis, all ? rank : axis + 1);
    int64_t inner = all ? 1 : strata__product(&r->shape, axis + 1, rank);
    for (int64_t o = 0; o < outer * inner; o++) {
        y[o] = 0;
        for (int64_t k = 0; k < n; k++)
            y[o] += x[(o / inner * n + k) * inner + o % inner] / (r->mean ? (double)n : 1);
    }
    return outer * inner;
}

static void check_reduction(strata_context *ctx, const reduction *r)
{
    double values[MOST], expected[MOST];
    test_values(values, MOST, 1);
    test_operand operand = {r->shape, r->layout, values, false};
    int64_t count = plain_reduce(r, values, expected);
    strata_scope_begin(ctx);
    strata_tensor *y = reduce(r, &(strata_tensor *){test_tensor(ctx, &operand)});
    assert_all_ok(ctx);
    assert_all_int_equal(strata__product(&y->shape, 0, y->shape.rank), count);
    assert_all_int_equal(y->shape.rank, r->keepdims              ? r->shape.rank
                                        : r->axis == STRATA_NONE ? 0
                                                                 : r->shape.rank - 1);
    assert_all_tensor(y, expected, 2e-6);
    strata_scope_end(ctx);
    assert_all_gradients(ctx, reduce, r, 1, &operand, 1e-3);
}

static void test_sums_and_means_on_every_mesh(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        for (int64_t axis = -3; axis < 3; axis++) {
            bool mean = axis % 2 == 0, keep = axis > 0;
            check_reduction(ctx, &(reduction){STRATA_SHAPE(5, 3, 7), BATCH, axis, keep, mean});
            check_reduction(ctx, &(reduction){STRATA_SHAPE(2, 3, 7), PIECES, axis, !keep, !mean});
            check_reduction(ctx, &(reduction){STRATA_SHAPE(2, 3, 4), {0}, axis, keep, mean});
        }
        check_reduction(ctx, &(reduction){STRATA_SHAPE(5, 7), PIECES, STRATA_NONE, false, false});
        check_reduction(ctx, &(reduction){STRATA_SHAPE(5, 7), BATCH, STRATA_NONE, true, true});
    }
}

static void test_sums_of_what_is_no_axis_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double values[4] = {0};
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(2, 2), values);
    assert_all(!strata_ops_sum(x, 2, false));
    assert_all_error(ctx, STRATA_INVALID, "sum: axis 2 of a tensor with 2 axes");
    assert_all(!strata_ops_mean(strata_ops_cast(x, STRATA_BOOL), 0, false));
    assert_all_error(ctx, STRATA_INVALID, "mean: the input is bool");
    strata_scope_end(ctx);
}

/* A million ones beside a large number: float32 sums would lose them. */
static void test_sums_are_formed_in_double(void **state)
{
    (void)state;
    enum { ROWS = 20000, COLUMNS = 3 };
    static float x[ROWS * COLUMNS];
    float sums[COLUMNS] = {1, 1, 1}, one;
    for (int64_t i = 0; i < ROWS * COLUMNS; i++)
        x[i] = i < COLUMNS ? 33554432.0f : 1.0f;
    strata__batch_sum_part(x, ROWS, COLUMNS, 0.0f, sums);
    for (int j = 0; j < COLUMNS; j++)
        assert_all(sums[j] == (float)(33554432.0 + ROWS - 1));
    strata__sum_axis(x + COLUMNS - 1, 1, ROWS, 1, 0.0f, &one);
    assert_all(one == (float)(33554432.0 + ROWS - 1));
    strata__batch_sum_part(x + COLUMNS, 4, COLUMNS, 1.0f, sums);
    assert_all(sums[0] == (float)(33554432.0 + ROWS + 3));
}

static void test_batch_totals_are_the_same_on_every_mesh(void **state)
{
    (void)state;
    enum { SAMPLES = 7, N = 300 };
    static double values[SAMPLES * N], expected[N];
    test_values(values, SAMPLES * N, 9);
    for (int j = 0; j < N; j++) {
        expected[j] = 0;
        for (int i = 0; i < SAMPLES; i++)
            expected[j] += (double)(float)values[i * N + j];
    }
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        double sums[N], pair[2];
        strata_scope_begin(ctx);
        strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(SAMPLES, N), values);
        int64_t count = strata__local_count(x);
        strata__batch_sum_total(ctx, x->data, x->local.dims[0], N, sums);
        for (int j = 0; j < N; j++)
            assert_all_near(sums[j], expected[j], 1e-12);
        pair[0] = strata__batch_dot_part(x->data, NULL, count);
        pair[1] = strata__batch_dot_part(x->data, x->data, count);
        strata__batch_total(ctx, pair, 2);
        double all = 0, squares = 0;
        for (int i = 0; i < SAMPLES * N; i++) {
            all += (double)(float)values[i];
            squares += (double)(float)values[i] * (double)(float)values[i];
        }
        assert_all_near(pair[0], all, 1e-10);
        assert_all_near(pair[1], squares, 1e-10);
        strata_scope_end(ctx);
    }
}

/* --- dropout --- */

static const strata__key key = {.seed = 7, .stream = 11};

/* The mask by its definition: the number of the element of the noise, of which axes of 1 have one.
 */
static double kept(double rate, const strata_shape *shape, const strata_shape *noise, int64_t i)
{
    int64_t element = 0, stride = 1;
    for (int k = shape->rank - 1; k >= 0; k--) {
        element += noise->dims[k] == 1 ? 0 : i % shape->dims[k] * stride;
        stride *= noise->dims[k];
        i /= shape->dims[k];
    }
    float uniform;
    strata__random_uniform(key, (uint64_t)element, 1, &uniform);
    return uniform >= (float)rate ? 1 / (1 - rate) : 0;
}

static void check_dropout(strata_context *ctx, double rate, const strata_shape *noise)
{
    strata_shape shape = STRATA_SHAPE(5, 3, 7), full = shape;
    double values[105], upstream[105], expected[105], slopes[105];
    test_values(values, 105, 1);
    test_values(upstream, 105, 2);
    for (int k = 0; noise && k < 3; k++)
        full.dims[k] = noise->dims[k] == STRATA_NONE ? shape.dims[k] : noise->dims[k];
    for (int i = 0; i < 105; i++) {
        double factor = rate < 1 ? kept(rate, &shape, &full, i) : 0;
        expected[i] = values[i] * factor;
        slopes[i] = upstream[i] * factor * 2;
    }
    for (int split = 0; split < 2; split++) {
        strata_scope_begin(ctx);
        strata_tensor *x = test_batch(ctx, &shape, values);
        strata_tape_begin(ctx);
        strata_tensor *piece = split ? strata__split(x) : x;
        strata_tensor *y = strata__dropout(piece, rate, noise, key);
        assert_all_ok(ctx);
        assert_all_tensor(y, expected, 1e-6);
        test_backward(strata_ops_add(y, strata__dropout(piece, rate, noise, key)), upstream);
        assert_all_gradient(x, slopes, 1e-6);
        strata_scope_end(ctx);
    }
}

static void test_dropout_masks_depend_on_the_global_element_only(void **state)
{
    (void)state;
    static const strata_shape noises[] = {{{STRATA_NONE, 1, STRATA_NONE}, 3},
                                          {{STRATA_NONE, 3, 1}, 3},
                                          {{1, 1, 7}, 3},
                                          {{1, 1, 1}, 3},
                                          {{STRATA_NONE, STRATA_NONE, STRATA_NONE}, 3}};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        check_dropout(ctx, 0.3, NULL);
        check_dropout(ctx, 1.0, NULL);
        for (size_t k = 0; k < TEST_COUNT(noises); k++)
            check_dropout(ctx, 0.5, &noises[k]);
    }
}

static void test_dropout_keeps_the_given_share(void **state)
{
    (void)state;
    enum { COUNT = 40000 };
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_tensor *x =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(COUNT), (strata__layout)BATCH);
    for (int64_t i = 0; i < strata__local_count(x); i++)
        ((float *)x->data)[i] = 1;
    strata_tensor *mean = strata_ops_mean(strata__dropout(x, 0.25, NULL, key), 0, false);
    assert_all_near((double)*(const float *)mean->data, 1, 0.02);
    assert_all(!strata__dropout(x, 0.5, &STRATA_SHAPE(3), key));
    assert_all_error(ctx, STRATA_INVALID, "noise_shape (3,) does not broadcast");
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise_functions),
        cmocka_unit_test(test_elementwise_gradients_of_long_tensors),
        cmocka_unit_test(test_sums_and_means_on_every_mesh),
        cmocka_unit_test(test_sums_of_what_is_no_axis_are_refused),
        cmocka_unit_test(test_sums_are_formed_in_double),
        cmocka_unit_test(test_batch_totals_are_the_same_on_every_mesh),
        cmocka_unit_test(test_dropout_masks_depend_on_the_global_element_only),
        cmocka_unit_test(test_dropout_keeps_the_given_share),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
