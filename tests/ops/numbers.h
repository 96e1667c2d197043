/* Numbers for tests of ops: operands that all ranks know whole, and comparison with whole results.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_OPS_NUMBERS_H
#define STRATA_TESTS_OPS_NUMBERS_H

#include "harness.h"
#include "tensor/tape.h"

/* Values in [−1, 1) that float32 holds exactly, the same on every rank. */
void test_values(double *values, int64_t count, unsigned seed);

/* Tensors of the current scope whose gradients are wanted; a batch is split over the ranks. */
strata_tensor *test_batch(strata_context *ctx, const strata_shape *shape, const double *values);
strata_tensor *test_parameter(strata_context *ctx, const strata_shape *shape, const double *values);

/*
 * This rank's piece of a matrix (m × n) that lies on the grid, as a variable's value is, with a
 * sink that the caller gives back by strata__free(). The error is the largest of the sink, summed
 * over data as arenas do, from the whole of what is expected. Collective.
 */
strata_tensor *test_shard(strata_context *ctx, strata__matrix *matrix, int64_t m, int64_t n,
                          const double *values);
double test_shard_error(strata_tensor *shard, const double *expected);

/* Gradients of Σ y·upstream, upstream as long as y; all of it arrives at each rank's piece, at a
 * whole y too. Ends the recording. Collective. */
void test_backward(strata_tensor *y, const double *upstream);

/* The whole tensor is `expected`, within `tolerance`. Collective. */
#define assert_all_tensor(tensor, expected, tolerance)                                             \
    test_all_tensor(tensor, expected, tolerance, #tensor, __FILE__, __LINE__)
/* So is its gradient: the whole of it for a batch, summed over the ranks for a parameter.
 * Collective. */
#define assert_all_gradient(tensor, expected, tolerance)                                           \
    test_all_gradient(tensor, expected, tolerance, "gradient of " #tensor, __FILE__, __LINE__)

void test_all_tensor(const strata_tensor *tensor, const double *expected, double tolerance,
                     const char *text, const char *file, int line);
void test_all_gradient(const strata_tensor *tensor, const double *expected, double tolerance,
                       const char *text, const char *file, int line);

/* Central differences in double: gradient[i] = d Σ f(values)·upstream / d values[i]; f writes
 * `outputs` results. */
typedef void test_function(const double *values, double *results, const void *user);
void test_differences(test_function *function, const void *user, double *values, int64_t count,
                      const double *upstream, int64_t outputs, double *gradient);

#endif
