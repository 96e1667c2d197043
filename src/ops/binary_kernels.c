/* Functions of two numbers, over runs of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/binary.h"

#include "base/vector.h"

/* --- values --- */

static inline float add(float a, float b)
{
    return a + b;
}

static inline float subtract(float a, float b)
{
    return a - b;
}

static inline float multiply(float a, float b)
{
    return a * b;
}

static inline float divide(float a, float b)
{
    return a / b;
}

/* NaN wins. */
static inline float maximum(float a, float b)
{
    return a > b || a != a ? a : b;
}

static inline float minimum(float a, float b)
{
    return a < b || a != a ? a : b;
}

/* --- slopes --- */

static inline float one(float a, float b)
{
    (void)a;
    (void)b;
    return 1.0f;
}

static inline float minus_one(float a, float b)
{
    (void)a;
    (void)b;
    return -1.0f;
}

static inline float first(float a, float b)
{
    (void)b;
    return a;
}

static inline float second(float a, float b)
{
    (void)a;
    return b;
}

static inline float inverse_of_second(float a, float b)
{
    (void)a;
    return 1.0f / b;
}

static inline float slope_of_divisor(float a, float b)
{
    return -a / (b * b);
}

/* Equal operands share the gradient. */
static inline float where_greater(float a, float b)
{
    return a > b ? 1.0f : a == b ? 0.5f : 0.0f;
}

static inline float where_less(float a, float b)
{
    return a < b ? 1.0f : a == b ? 0.5f : 0.0f;
}

/* --- loops: `f` is a constant at each call below, so it is inlined --- */

typedef float function(float a, float b);

static inline __attribute__((always_inline)) void values(function *f, const strata__binary_run *r)
{
    const float *a = r->a, *b = r->b;
    float *out = r->out;
    if (r->step_a && r->step_b) {
#pragma omp simd
        for (int64_t i = 0; i < r->n; i++)
            out[i] = f(a[i], b[i]);
    } else if (r->step_a) {
#pragma omp simd
        for (int64_t i = 0; i < r->n; i++)
            out[i] = f(a[i], *b);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < r->n; i++)
            out[i] = f(*a, b[i * r->step_b]);
    }
}

STRATA__SIMD void strata__binary_values(strata__binary_function function,
                                        const strata__binary_run *run)
{
    switch (function) {
    case STRATA__ADD:
        values(add, run);
        break;
    case STRATA__SUBTRACT:
        values(subtract, run);
        break;
    case STRATA__MULTIPLY:
        values(multiply, run);
        break;
    case STRATA__DIVIDE:
        values(divide, run);
        break;
    case STRATA__MAXIMUM:
        values(maximum, run);
        break;
    case STRATA__MINIMUM:
        values(minimum, run);
        break;
    }
}

static inline __attribute__((always_inline)) void slopes(function *f, const strata__binary_run *r)
{
    const float *a = r->a, *b = r->b, *dc = r->dc;
    float *out = r->out, beta = r->beta;
    if (r->step_a && r->step_b) {
#pragma omp simd
        for (int64_t i = 0; i < r->n; i++)
            out[i] = (beta == 0.0f ? 0.0f : out[i]) + dc[i] * f(a[i], b[i]);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < r->n; i++)
            out[i] = (beta == 0.0f ? 0.0f : out[i]) + dc[i] * f(a[i * r->step_a], b[i * r->step_b]);
    }
}

/* One function for each operand: the compiler makes them for several machines. */
STRATA__SIMD static void first_slopes(strata__binary_function function,
                                      const strata__binary_run *run)
{
    switch (function) {
    case STRATA__ADD:
    case STRATA__SUBTRACT:
        slopes(one, run);
        break;
    case STRATA__MULTIPLY:
        slopes(second, run);
        break;
    case STRATA__DIVIDE:
        slopes(inverse_of_second, run);
        break;
    case STRATA__MAXIMUM:
        slopes(where_greater, run);
        break;
    case STRATA__MINIMUM:
        slopes(where_less, run);
        break;
    }
}

STRATA__SIMD static void second_slopes(strata__binary_function function,
                                       const strata__binary_run *run)
{
    switch (function) {
    case STRATA__ADD:
        slopes(one, run);
        break;
    case STRATA__SUBTRACT:
        slopes(minus_one, run);
        break;
    case STRATA__MULTIPLY:
        slopes(first, run);
        break;
    case STRATA__DIVIDE:
        slopes(slope_of_divisor, run);
        break;
    case STRATA__MAXIMUM:
        slopes(where_less, run);
        break;
    case STRATA__MINIMUM:
        slopes(where_greater, run);
        break;
    }
}

void strata__binary_slopes(strata__binary_function function, int operand,
                           const strata__binary_run *run)
{
    if (operand == 0)
        first_slopes(function, run);
    else
        second_slopes(function, run);
}
