/* Dense products and embeddings against plain loops: whole and sharded kernels on every mesh. */
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

/* --- a kernel that lies on the grid --- */

/* Its tensor is this rank's piece, as a variable's value is. */
static strata_tensor *shard(strata_context *ctx, strata__matrix *matrix, int64_t m, int64_t n,
                            const double *values)
{
    strata__matrix_describe(ctx, "kernel", m, n, 0, 0, matrix);
    strata_tensor *kernel = strata__tensor_new(
        ctx, STRATA_FLOAT32, &STRATA_SHAPE(matrix->local_m, matrix->local_n), (strata__layout){0});
    kernel->shape = STRATA_SHAPE(m, n);
    kernel->matrix = matrix;
    float *piece = kernel->data;
    for (int64_t i = 0; i < matrix->local_m; i++) {
        for (int64_t j = 0; j < matrix->local_n; j++)
            piece[i * matrix->local_n + j] =
                (float)values[(matrix->first_m + i) * n + matrix->first_n + j];
    }
    kernel->wants_gradient = true;
    kernel->sink = strata__calloc(ctx, (size_t)strata__local_count(kernel) + 1, sizeof(float));
    return kernel;
}

/* The sink has the sum over the grid's rows; over data the arenas sum. */
static double shard_error(strata_tensor *kernel, const double *expected)
{
    const strata__matrix *matrix = kernel->matrix;
    double worst = 0;
    strata__sum(kernel->ctx, STRATA__DATA, kernel->sink, matrix->local_m * matrix->local_n,
                STRATA_FLOAT32);
    for (int64_t i = 0; i < matrix->local_m; i++) {
        for (int64_t j = 0; j < matrix->local_n; j++) {
            double error = fabs((double)kernel->sink[i * matrix->local_n + j] -
                                expected[(matrix->first_m + i) * matrix->n + matrix->first_n + j]);
            worst = error <= worst ? worst : error;
        }
    }
    return worst;
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
    o->kernel = p->sharded ? shard(ctx, &o->matrix, p->k, p->n, kernel)
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
        assert_all_near(shard_error(o->kernel, kernel), 0, 1e-4);
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
        ctx->matmul = engine;
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

/* --- embedding --- */

typedef struct picking {
    int64_t samples, inner, rows, columns;
    bool sharded, wide; /* table on the grid; int64 numbers */
} picking;

static int64_t number_of(const picking *p, int64_t i)
{
    return i * 5 % p->rows; /* some rows more than once, others never */
}

static strata_tensor *numbers_of(strata_context *ctx, const picking *p)
{
    strata_dtype dtype = p->wide ? STRATA_INT64 : STRATA_INT32;
    strata_tensor *numbers = strata__tensor_new(ctx, dtype, &STRATA_SHAPE(p->samples, p->inner),
                                                (strata__layout){.batch = true});
    for (int64_t i = 0; i < strata__local_count(numbers); i++) {
        int64_t number = number_of(p, strata__first_element(numbers) + i);
        if (p->wide)
            ((int64_t *)numbers->data)[i] = number;
        else
            ((int32_t *)numbers->data)[i] = (int32_t)number;
    }
    return numbers;
}

static void check_embedding(strata_context *ctx, const picking *p)
{
    double table[MOST], y[MOST], upstream[MOST], gradient[MOST] = {0};
    int64_t count = p->samples * p->inner;
    test_values(table, p->rows * p->columns, 1);
    test_values(upstream, count * p->columns, 2);
    for (int64_t i = 0; i < count * p->columns; i++) {
        int64_t at = number_of(p, i / p->columns) * p->columns + i % p->columns;
        y[i] = table[at];
        gradient[at] += upstream[i];
    }
    strata_scope_begin(ctx);
    strata__matrix matrix;
    strata_tensor *tensor = p->sharded
                                ? shard(ctx, &matrix, p->rows, p->columns, table)
                                : test_parameter(ctx, &STRATA_SHAPE(p->rows, p->columns), table);
    strata_tape_begin(ctx);
    strata_tensor *result = strata__embedding("embedding", numbers_of(ctx, p), tensor);
    assert_all_ok(ctx);
    assert_all_tensor(result, y, 0);
    test_backward(result, upstream);
    if (p->sharded)
        assert_all_near(shard_error(tensor, gradient), 0, 1e-5);
    else
        assert_all_gradient(tensor, gradient, 1e-5);
    if (p->sharded)
        strata__free(ctx, tensor->sink);
    strata_scope_end(ctx);
}

static void test_embedding_on_every_mesh(void **state)
{
    (void)state;
    static const picking all[] = {{5, 3, 7, 4, false, false},
                                  {5, 3, 7, 4, true, false},
                                  {2, 2, 3, 2, true, true},
                                  {7, 2, 2, 1, true, true}};
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(all); k++)
            check_embedding(ctx, &all[k]);
    }
}

/* The rank that has the sample sees it, the agreement at the end of the step tells all. */
static void test_embedding_names_the_sample_of_a_wrong_number(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double table[8] = {0};
    for (int wrong = -1; wrong <= 4; wrong += 5) {
        strata_scope_begin(ctx);
        strata_tensor *numbers = numbers_of(ctx, &(picking){5, 2, 4, 2, false, false});
        for (int64_t i = 0; i < strata__local_count(numbers); i++) {
            if (strata__first_element(numbers) + i == 7)
                ((int32_t *)numbers->data)[i] = wrong;
        }
        strata_tensor *tensor = test_parameter(ctx, &STRATA_SHAPE(4, 2), table);
        assert_all(strata__embedding("words", numbers, tensor) != NULL);
        strata__agree(ctx);
        assert_all_error(ctx, STRATA_BAD_DATA,
                         wrong < 0 ? "words': index -1 of sample 3 of the batch is not in 0 … 3"
                                   : "words': index 4 of sample 3 of the batch is not in 0 … 3");
        strata_scope_end(ctx);
    }
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
        cmocka_unit_test(test_embedding_on_every_mesh),
        cmocka_unit_test(test_embedding_names_the_sample_of_a_wrong_number),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
