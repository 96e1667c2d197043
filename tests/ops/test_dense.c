/* Dense products against plain loops: whole and sharded kernels on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "gradient_check.h"
#include "numbers.h"
#include "ops/ops.h"

enum { MOST = 1024 };

/* x (samples, inner, k)·kernel (k, n) + bias (n). */
typedef struct problem {
    int64_t samples, inner, k, n;
    bool sharded, split, bias; /* kernel on the grid; x in pieces of its features */
    bool batch;
    const char *activation;
} problem;

static int64_t x_count(const problem *p)
{
    return p->samples * p->inner * p->k;
}

static int64_t y_count(const problem *p)
{
    return p->samples * p->inner * p->n;
}

/* --- plain loops --- */

static double activated(const char *name, double z)
{
    if (!name)
        return z;
    if (strcmp(name, "relu") == 0)
        return z > 0 ? z : 0;
    return strcmp(name, "tanh") == 0 ? tanh(z) : z / (1 + exp(-z)); /* silu */
}

/* values: x, kernel, bias in a row. */
static void dense(const double *values, double *y, const void *user)
{
    const problem *p = user;
    const double *kernel = values + x_count(p), *bias = kernel + p->k * p->n;
    for (int64_t i = 0; i < p->samples * p->inner; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double sum = p->bias ? bias[j] : 0;
            for (int64_t l = 0; l < p->k; l++)
                sum += values[i * p->k + l] * kernel[l * p->n + j];
            y[i * p->n + j] = activated(p->activation, sum);
        }
    }
}

/* --- comparison --- */

typedef struct operands {
    strata__matrix matrix;
    strata_tensor *x, *kernel, *bias;
} operands;

static void make_operands(strata_context *ctx, const problem *p, const double *values, operands *o)
{
    strata_shape shape = STRATA_SHAPE(p->samples, p->inner, p->k);
    const double *kernel = values + x_count(p);
    o->x = p->batch ? test_batch(ctx, &shape, values) : test_parameter(ctx, &shape, values);
    o->kernel = p->sharded ? test_shard(ctx, &o->matrix, p->k, p->n, kernel)
                           : test_parameter(ctx, &STRATA_SHAPE(p->k, p->n), kernel);
    o->bias = p->bias ? test_parameter(ctx, &STRATA_SHAPE(p->n), kernel + p->k * p->n) : NULL;
}

/* Of a tensor that is no batch every rank of the batch axis has a part. */
static void scale_parts(strata_context *ctx, const problem *p, double *upstream)
{
    for (int64_t i = 0; i < y_count(p) && !p->batch; i++)
        upstream[i] /= ctx->mesh->groups[STRATA__BATCH].size;
}

static void check_gradients(const problem *p, operands *o, const double *gradient)
{
    const double *kernel = gradient + x_count(p);
    assert_all_gradient(o->x, gradient, 1e-4);
    if (p->sharded)
        assert_all_near(test_shard_error(o->kernel, kernel), 0, 1e-4);
    else
        assert_all_gradient(o->kernel, kernel, 1e-4);
    if (p->bias)
        assert_all_gradient(o->bias, kernel + p->k * p->n, 1e-4);
}

static void check(strata_context *ctx, const problem *p)
{
    double values[MOST], y[MOST], upstream[MOST], gradient[MOST];
    int64_t count = x_count(p) + p->k * p->n + p->n;
    test_values(values, count, 1);
    test_values(upstream, y_count(p), 2);
    dense(values, y, p);
    test_differences(dense, p, values, count, upstream, y_count(p), gradient);
    strata_scope_begin(ctx);
    operands o;
    strata__object activation;
    make_operands(ctx, p, values, &o);
    strata__object_parse(ctx, &strata__activation_family, p->activation, &activation);
    strata_tape_begin(ctx);
    strata_tensor *x = p->split ? strata__split(o.x) : o.x;
    strata_tensor *result = strata__dense("a layer", x, o.kernel, o.bias, &activation);
    assert_all_ok(ctx);
    assert_all_int_equal(result->layout.split, p->sharded && ctx->mesh->cols > 1);
    assert_all_tensor(result, y, 1e-5);
    scale_parts(ctx, p, upstream);
    test_backward(result, upstream);
    check_gradients(p, &o, gradient);
    if (p->sharded)
        strata__free(ctx, o.kernel->sink);
    strata__object_free(ctx, &activation);
    strata_scope_end(ctx);
}

static void check_on_every_mesh(const problem *problems, size_t count, strata__matmul_engine engine)
{
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        ctx->settings.matmul = engine;
        for (size_t k = 0; k < count; k++)
            check(ctx, &problems[k]);
    }
}

static void test_dense_with_a_whole_kernel(void **state)
{
    (void)state;
    static const problem problems[] = {
        {5, 1, 7, 3, .bias = true, .batch = true},
        {5, 2, 4, 6, .bias = true, .batch = true, .activation = "relu"},
        {5, 2, 4, 6, .batch = true, .activation = "tanh"},
        {5, 1, 4, 6, .bias = true, .batch = true, .activation = "silu"},
        {2, 3, 1, 1, .bias = true, .batch = true, .activation = "relu"},
        {3, 1, 4, 2, .bias = true, .batch = false, .activation = "relu"},
        {5, 1, 7, 3, .split = true, .bias = true, .batch = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems), STRATA__MATMUL_AUTO);
}

/* Few samples leave ranks empty; few features leave columns empty. */
static const problem sharded_problems[] = {
    {5, 1, 7, 9, .sharded = true, .bias = true, .batch = true},
    {5, 1, 7, 9, .sharded = true, .split = true, .bias = true, .batch = true, .activation = "relu"},
    {5, 2, 4, 3, .sharded = true, .bias = true, .batch = true, .activation = "tanh"},
    {5, 2, 4, 3, .sharded = true, .split = true, .batch = true, .activation = "silu"},
    {2, 1, 3, 2, .sharded = true, .split = true, .bias = true, .batch = true},
    {2, 3, 1, 1, .sharded = true, .bias = true, .batch = true, .activation = "relu"},
    {3, 1, 4, 5, .sharded = true, .bias = true, .batch = false, .activation = "relu"},
};

static void test_dense_with_a_sharded_kernel(void **state)
{
    (void)state;
    check_on_every_mesh(sharded_problems, TEST_COUNT(sharded_problems), STRATA__MATMUL_AUTO);
}

static void test_dense_with_a_sharded_kernel_by_pblas(void **state)
{
    (void)state;
    check_on_every_mesh(sharded_problems, TEST_COUNT(sharded_problems), STRATA__MATMUL_PBLAS);
}

/* x·W + x·W: the gradients of one use are added to those of the other. */
static strata_tensor *twice(const void *user, strata_tensor *const *inputs)
{
    (void)user;
    static const strata__object linear = {0};
    strata_tensor *y = strata__dense("a", inputs[0], inputs[1], inputs[2], &linear);
    return strata_ops_add(y, strata__dense("b", y, inputs[1], inputs[2], &linear));
}

static void test_dense_gradients_of_several_uses_add_up(void **state)
{
    (void)state;
    double values[64];
    test_values(values, 64, 7);
    test_operand operands[] = {{STRATA_SHAPE(5, 3), {.batch = true}, values, false},
                               {STRATA_SHAPE(3, 3), {0}, values + 20, false},
                               {STRATA_SHAPE(3), {0}, values + 40, false}};
    assert_all_gradients(test_context(test_mesh(0)), twice, NULL, 3, operands, 1e-3);
}

static void test_dense_refuses_what_does_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double values[32] = {0};
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(4, 3), values);
    strata_tensor *kernel = test_parameter(ctx, &STRATA_SHAPE(4, 2), values);
    assert_all(!strata_ops_matmul(x, kernel));
    assert_all_error(
        ctx, STRATA_INVALID,
        "matmul: an input of shape (4, 3) cannot be multiplied by a kernel of shape (4, 2)");
    assert_all(!strata_ops_matmul(NULL, kernel));
    assert_all(!strata_ops_matmul(strata_ops_cast(x, STRATA_INT32), kernel));
    assert_all_error(ctx, STRATA_INVALID, "the input is int32");
    strata_scope_end(ctx);
}

/* A second step finds all its memory in the pool. */
static void test_dense_asks_the_system_for_nothing_in_a_steady_step(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* the pool keeps nothing then */
#endif
    strata_context *ctx = test_context(test_mesh(0));
    int64_t asked = 0;
    for (int step = 0; step < 3; step++) {
        asked = ctx->memory.system_allocations;
        check(ctx, &sharded_problems[1]);
    }
    assert_all_int_equal(ctx->memory.system_allocations, asked);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense_with_a_whole_kernel),
        cmocka_unit_test(test_dense_with_a_sharded_kernel),
        cmocka_unit_test(test_dense_with_a_sharded_kernel_by_pblas),
        cmocka_unit_test(test_dense_gradients_of_several_uses_add_up),
        cmocka_unit_test(test_dense_refuses_what_does_not_fit),
        cmocka_unit_test(test_dense_asks_the_system_for_nothing_in_a_steady_step),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
