/* Numbers for tests of ops: operands, and comparison with whole results. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void test_values(double *values, int64_t count, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 12345u;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (double)(state >> 12) / (1 << 19) - 1.0;
    }
}

static strata_tensor *tensor_of(strata_context *ctx, const strata_shape *shape, bool batch,
                                const double *values)
{
    strata_tensor *tensor =
        strata__tensor_new(ctx, STRATA_FLOAT32, shape, (strata__layout){.batch = batch});
    assert_all(tensor != NULL);
    float *data = tensor->data;
    int64_t count = strata__local_count(tensor), first = strata__first_element(tensor);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)values[first + i];
    strata_tape_watch(tensor);
    return tensor;
}

strata_tensor *test_batch(strata_context *ctx, const strata_shape *shape, const double *values)
{
    return tensor_of(ctx, shape, true, values);
}

strata_tensor *test_parameter(strata_context *ctx, const strata_shape *shape, const double *values)
{
    return tensor_of(ctx, shape, false, values);
}

strata_tensor *test_shard(strata_context *ctx, strata__matrix *matrix, int64_t m, int64_t n,
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

double test_shard_error(strata_tensor *kernel, const double *expected)
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

/* Own piece of a whole array, features split or not. */
static void cut(const strata_tensor *like, const double *whole, float *piece)
{
    int64_t n = strata__last(&like->shape), own = strata__last(&like->local);
    int64_t rows = strata__local_rows(like), first = strata__first_element(like) / n;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < own; j++)
            piece[i * own + j] = (float)whole[(first + i) * n + like->first_feature + j];
    }
}

void test_backward(strata_tensor *y, const double *upstream)
{
    strata_tensor *seed = strata__tensor_like(y);
    cut(y, upstream, seed->data);
    strata__tape_backward(y->ctx, 1, &y, &seed);
    strata__tape_free(y->ctx);
    assert_all_ok(y->ctx);
}

static void compare(strata_context *ctx, const float *ours, const double *expected, int64_t count,
                    double tolerance, const char *text, const char *file, int line)
{
    float *rounded = strata__alloc(ctx, (size_t)count * sizeof *rounded);
    for (int64_t i = 0; i < count; i++)
        rounded[i] = (float)expected[i];
    test_all_floats_near(ours, rounded, count, tolerance, text, file, line);
    strata__free(ctx, rounded);
}

void test_all_tensor(const strata_tensor *tensor, const double *expected, double tolerance,
                     const char *text, const char *file, int line)
{
    test_all_true(tensor != NULL, text, file, line);
    int64_t count = strata__product(&tensor->shape, 0, tensor->shape.rank);
    float *whole = strata__alloc(tensor->ctx, (size_t)count * sizeof *whole);
    strata_tensor_gather(tensor, whole);
    compare(tensor->ctx, whole, expected, count, tolerance, text, file, line);
    strata__free(tensor->ctx, whole);
}

void test_all_gradient(const strata_tensor *tensor, const double *expected, double tolerance,
                       const char *text, const char *file, int line)
{
    test_all_true(tensor->gradient != NULL, text, file, line);
    if (tensor->layout.batch) {
        test_all_tensor(tensor->gradient, expected, tolerance, text, file, line);
        return;
    }
    int64_t count = strata__local_count(tensor);
    float *sum = strata__alloc(tensor->ctx, (size_t)count * sizeof *sum);
    memcpy(sum, tensor->gradient->data, (size_t)count * sizeof *sum);
    strata__sum(tensor->ctx, STRATA__BATCH, sum, count, STRATA_FLOAT32);
    compare(tensor->ctx, sum, expected, count, tolerance, text, file, line);
    strata__free(tensor->ctx, sum);
}

static double weighted(const double *results, const double *upstream, int64_t outputs)
{
    double sum = 0;
    for (int64_t i = 0; i < outputs; i++)
        sum += results[i] * upstream[i];
    return sum;
}

void test_differences(test_function *function, const void *user, double *values, int64_t count,
                      const double *upstream, int64_t outputs, double *gradient)
{
    const double step = 1e-5;
    double *above = calloc(2 * (size_t)outputs + 1, sizeof *above), *below = above + outputs;
    for (int64_t i = 0; i < count; i++) {
        double value = values[i];
        values[i] = value + step;
        function(values, above, user);
        values[i] = value - step;
        function(values, below, user);
        values[i] = value;
        gradient[i] =
            (weighted(above, upstream, outputs) - weighted(below, upstream, outputs)) / (2 * step);
    }
    free(above);
}
