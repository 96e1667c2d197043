/* Gradients of operations against central differences. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_GRADIENT_CHECK_H
#define STRATA_TESTS_GRADIENT_CHECK_H

#include "tensor/tape.h"

/* What is differentiated: a result from `count` inputs, made of tensor operations only. Collective.
 */
typedef strata_tensor *test_operation(const void *user, strata_tensor *const *inputs);

typedef struct test_operand {
    strata_shape shape;    /* global */
    strata__layout layout; /* how it lies on the mesh; nothing: whole */
    const double *values;  /* all of them, the same on every rank */
    bool constant;         /* its gradient is not wanted */
} test_operand;

/* A tensor of the current scope with this rank's piece of the operand's values. */
strata_tensor *test_tensor(strata_context *ctx, const test_operand *operand);

/*
 * With y = operation(inputs) and fixed weights u: each gradient of Σ y·u by the tape, all of its
 * elements, is the central difference in float32 within tolerance · (1 + its size). The function
 * must be smooth within 1/128 of the values. Collective.
 */
#define assert_all_gradients(ctx, operation, user, count, operands, tolerance)                     \
    test_all_gradients(ctx, operation, user, count, operands, tolerance, #operation, __FILE__,     \
                       __LINE__)
void test_all_gradients(strata_context *ctx, test_operation *operation, const void *user, int count,
                        const test_operand *operands, double tolerance, const char *text,
                        const char *file, int line);

#endif
