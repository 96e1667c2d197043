/* Functions of two tensors against plain loops, on every mesh and with every kind of broadcasting.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "gradient_check.h"
#include "numbers.h"
#include "ops/ops.h"

enum { MOST = 256 };

typedef strata_tensor *binary(strata_tensor *a, strata_tensor *b);

/* How two operands meet. */
typedef struct meeting {
    const char *about;
    strata_shape a, b, result;
    strata__layout layout_a, layout_b;
} meeting;

#define BATCH                                                                                      \
    {                                                                                              \
        .batch = true                                                                              \
    }
#define PIECES                                                                                     \
    {                                                                                              \
        .batch = true, .split = true                                                               \
    }
#define COLUMNS                                                                                    \
    {                                                                                              \
        .split = true                                                                              \
    }

static const meeting meetings[] = {
    {"alike", {{5, 3, 4}, 3}, {{5, 3, 4}, 3}, {{5, 3, 4}, 3}, BATCH, BATCH},
    {"pieces", {{5, 7}, 2}, {{5, 7}, 2}, {{5, 7}, 2}, PIECES, PIECES},
    {"pieces and whole features", {{5, 7}, 2}, {{5, 7}, 2}, {{5, 7}, 2}, PIECES, BATCH},
    {"a bias", {{5, 3, 4}, 3}, {{4}, 1}, {{5, 3, 4}, 3}, BATCH, {0}},
    {"a bias in front", {{4}, 1}, {{5, 3, 4}, 3}, {{5, 3, 4}, 3}, {0}, BATCH},
    {"a bias beside pieces", {{5, 7}, 2}, {{7}, 1}, {{5, 7}, 2}, PIECES, {0}},
    {"a bias in pieces", {{5, 7}, 2}, {{7}, 1}, {{5, 7}, 2}, PIECES, COLUMNS},
    {"a scalar", {{5, 4}, 2}, {{0}, 0}, {{5, 4}, 2}, BATCH, {0}},
    {"a scalar beside pieces", {{5, 7}, 2}, {{0}, 0}, {{5, 7}, 2}, PIECES, {0}},
    {"one feature", {{5, 3, 4}, 3}, {{5, 3, 1}, 3}, {{5, 3, 4}, 3}, BATCH, BATCH},
    {"one feature beside pieces", {{5, 7}, 2}, {{5, 1}, 2}, {{5, 7}, 2}, PIECES, BATCH},
    {"one feature in pieces", {{5, 1}, 2}, {{5, 7}, 2}, {{5, 7}, 2}, PIECES, BATCH},
    {"both repeat", {{5, 1, 4}, 3}, {{5, 3, 1}, 3}, {{5, 3, 4}, 3}, BATCH, BATCH},
    {"a middle axis", {{5, 3, 4}, 3}, {{3, 1}, 2}, {{5, 3, 4}, 3}, BATCH, {0}},
    {"one sample for all", {{5, 4}, 2}, {{1, 4}, 2}, {{5, 4}, 2}, BATCH, {0}},
    {"all samples on every rank", {{5, 4}, 2}, {{5, 4}, 2}, {{5, 4}, 2}, BATCH, {0}},
    {"all samples, one feature", {{5, 1}, 2}, {{5, 4}, 2}, {{5, 4}, 2}, {0}, BATCH},
    {"a batch of one", {{1, 4}, 2}, {{1, 4}, 2}, {{1, 4}, 2}, BATCH, {0}},
    {"no batch", {{2, 3}, 2}, {{2, 1}, 2}, {{2, 3}, 2}, {0}, {0}},
    {"scalars", {{0}, 0}, {{0}, 0}, {{0}, 0}, {0}, {0}},
    {"an empty axis", {{5, 0}, 2}, {{5, 1}, 2}, {{5, 0}, 2}, BATCH, BATCH},
};

typedef struct function {
    const char *name;
    binary *apply;
    double (*plain)(double a, double b);
} function;

static double add(double a, double b)
{
    return a + b;
}

static double subtract(double a, double b)
{
    return a - b;
}

static double multiply(double a, double b)
{
    return a * b;
}

static double divide(double a, double b)
{
    return a / b;
}

static const function functions[] = {
    {"add", strata_ops_add, add},
    {"subtract", strata_ops_subtract, subtract},
    {"multiply", strata_ops_multiply, multiply},
    {"divide", strata_ops_divide, divide},
    {"maximum", strata_ops_maximum, fmax},
    {"minimum", strata_ops_minimum, fmin},
};

static int64_t volume(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

/* Element of an operand that takes part in element `index` of the result. */
static int64_t element_of(const strata_shape *operand, const strata_shape *result, int64_t index)
{
    int64_t element = 0, stride = 1;
    for (int i = 1; i <= result->rank; i++) {
        int64_t place = index % result->dims[result->rank - i];
        index /= result->dims[result->rank - i];
        if (i > operand->rank)
            continue;
        int64_t size = operand->dims[operand->rank - i];
        element += (size == 1 ? 0 : place) * stride;
        stride *= size;
    }
    return element;
}

/* Between ½ and 2⅝, and never within 1/16 of each other, where maximum and minimum have their kink.
 */
static void fill(double *a, double *b)
{
    test_values(a, MOST, 1);
    test_values(b, MOST, 2);
    for (int64_t i = 0; i < MOST; i++) {
        a[i] = floor(8 * (1.5 + a[i])) / 8;
        b[i] = floor(8 * (1.5 + b[i])) / 8 + 1.0 / 16;
    }
}

static strata_tensor *apply(const void *user, strata_tensor *const *inputs)
{
    return ((const function *)user)->apply(inputs[0], inputs[1]);
}

static void check_values(strata_context *ctx, const function *f, const meeting *m,
                         const test_operand *operands)
{
    double expected[MOST];
    for (int64_t i = 0; i < volume(&m->result); i++)
        expected[i] = f->plain(operands[0].values[element_of(&m->a, &m->result, i)],
                               operands[1].values[element_of(&m->b, &m->result, i)]);
    strata_scope_begin(ctx);
    strata_tensor *y = f->apply(test_tensor(ctx, &operands[0]), test_tensor(ctx, &operands[1]));
    assert_all_ok(ctx);
    assert_all(strata__shape_equal(&y->shape, &m->result));
    assert_all_int_equal(y->layout.batch, m->layout_a.batch || m->layout_b.batch);
    assert_all_tensor(y, expected, 1e-6);
    strata_scope_end(ctx);
}

static void check(strata_context *ctx, const function *f, const meeting *m, bool gradients)
{
    double a[MOST], b[MOST];
    fill(a, b);
    test_operand operands[] = {{m->a, m->layout_a, a, false}, {m->b, m->layout_b, b, false}};
    check_values(ctx, f, m, operands);
    if (gradients)
        assert_all_gradients(ctx, apply, f, 2, operands, 2e-3);
}

static void test_binary_broadcasts_on_every_mesh(void **state)
{
    (void)state;
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(meetings); k++)
            check(ctx, &functions[2], &meetings[k], true);
    }
}

static void test_binary_functions_and_gradients(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t f = 0; f < TEST_COUNT(functions); f++) {
        for (size_t k = 0; k < TEST_COUNT(meetings); k++)
            check(ctx, &functions[f], &meetings[k], k < 4 || k == 12);
    }
}

/* x·x: both gradients arrive at the same tensor. */
static strata_tensor *twice(const void *user, strata_tensor *const *inputs)
{
    (void)user;
    return strata_ops_divide(strata_ops_multiply(inputs[0], inputs[0]),
                             strata_ops_add(inputs[0], inputs[1]));
}

static void test_binary_gradients_of_one_operand_add_up(void **state)
{
    (void)state;
    double a[MOST], b[MOST];
    fill(a, b);
    test_operand operands[] = {{STRATA_SHAPE(5, 4), BATCH, a, false},
                               {STRATA_SHAPE(4), {0}, b, false}};
    assert_all_gradients(test_context(test_mesh(0)), twice, NULL, 2, operands, 2e-3);
}

static void test_binary_shares_the_gradient_of_equal_operands(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    double values[] = {1, 2, 3, 4}, others[] = {1, 5, 0, 4}, upstream[] = {1, 1, 1, 1},
           expected[] = {0.5, 0, 1, 0.5};
    strata_tensor *a = test_batch(ctx, &STRATA_SHAPE(4, 1), values);
    strata_tensor *b = test_batch(ctx, &STRATA_SHAPE(4, 1), others);
    strata_tape_begin(ctx);
    test_backward(strata_ops_maximum(a, b), upstream);
    assert_all_gradient(a, expected, 0);
    strata_scope_end(ctx);
}

static void refuse(strata_context *ctx, const test_operand *a, const test_operand *b,
                   const char *words)
{
    strata_scope_begin(ctx);
    assert_all(!strata_ops_add(test_tensor(ctx, a), test_tensor(ctx, b)));
    assert_all_error(ctx, STRATA_INVALID, words);
    strata_scope_end(ctx);
}

static void test_binary_refuses_what_does_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double values[MOST] = {0};
    test_operand batch = {STRATA_SHAPE(5, 4), BATCH, values, false},
                 odd = {STRATA_SHAPE(3), {0}, values, false},
                 longer = {STRATA_SHAPE(2, 5, 4), {0}, values, false},
                 one = {STRATA_SHAPE(1, 4), BATCH, values, false};
    refuse(ctx, &batch, &odd, "incompatible shapes. Received shapes (5, 4) and (3,)");
    refuse(ctx, &batch, &longer, "the batch axis of shapes (5, 4) and (2, 5, 4)");
    refuse(ctx, &one, &batch, "would not be the first of the result");
    assert_all(!strata_ops_add(NULL, NULL));
    strata_scope_begin(ctx);
    strata_tensor *x = test_tensor(ctx, &batch);
    assert_all(!strata_ops_add(x, strata_ops_cast(x, STRATA_INT32)));
    assert_all_error(ctx, STRATA_INVALID, "add: the input is int32");
    strata_scope_end(ctx);
}

static void test_binary_infers_symbolic_shapes(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_shape batch = STRATA_SHAPE(STRATA_NONE, 1, 4), other = STRATA_SHAPE(3, 1);
    strata_tensor *a = strata__tensor_symbolic(ctx, STRATA_FLOAT32, &batch, (strata__layout)BATCH);
    strata_tensor *b = strata__tensor_symbolic(ctx, STRATA_FLOAT32, &other, (strata__layout){0});
    strata_tensor *y = strata_ops_multiply(a, b);
    assert_all_ok(ctx);
    assert_all(y->symbolic && y->layout.batch);
    assert_all(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 3, 4)));
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_broadcasts_on_every_mesh),
        cmocka_unit_test(test_binary_functions_and_gradients),
        cmocka_unit_test(test_binary_gradients_of_one_operand_add_up),
        cmocka_unit_test(test_binary_shares_the_gradient_of_equal_operands),
        cmocka_unit_test(test_binary_refuses_what_does_not_fit),
        cmocka_unit_test(test_binary_infers_symbolic_shapes),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
