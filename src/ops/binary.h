/* Functions of two numbers, over runs of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_BINARY_H
#define STRATA_OPS_BINARY_H

#include <stdint.h>

typedef enum strata__binary_function {
    STRATA__ADD,
    STRATA__SUBTRACT,
    STRATA__MULTIPLY,
    STRATA__DIVIDE,
    STRATA__MAXIMUM,
    STRATA__MINIMUM
} strata__binary_function;

/* n elements; an operand goes on by its step, 0 or 1, from one to the next. */
typedef struct strata__binary_run {
    int64_t n;
    const float *a, *b;
    int64_t step_a, step_b;
    const float *dc; /* for slopes */
    float beta;      /* for slopes: 0, overwrite; 1, add */
    float *out;
} strata__binary_run;

/* out = f(a, b) */
void strata__binary_values(strata__binary_function function, const strata__binary_run *run);

/* out = beta·out + dc·∂f/∂a (operand 0) or dc·∂f/∂b (operand 1). */
void strata__binary_slopes(strata__binary_function function, int operand,
                           const strata__binary_run *run);

#endif
