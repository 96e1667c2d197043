/* Functions of one element: how they are applied to tensors and differentiated. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_POINTWISE_H
#define STRATA_OPS_POINTWISE_H

#include "ops/ops.h"

/* y[i] = f(x[i]) for n elements; y may be x. */
typedef void strata__pointwise_value(const void *arguments, int64_t n, const float *x, float *y);
/* dx[i] = dy[i]·f′(x[i]), with y[i] = f(x[i]); dx may be dy. */
typedef void strata__pointwise_slope(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx);

typedef struct strata__pointwise {
    strata__pointwise_value *value;
    strata__pointwise_slope *slope;
    bool from_result; /* slope reads y only: x may be anything */
} strata__pointwise;

/* f over a tensor; the arguments are copied. Errors name `who`. Local. */
strata_tensor *strata__pointwise_apply(const char *who, strata_tensor *x,
                                       const strata__pointwise *function, const void *arguments,
                                       size_t arguments_size);

/* dx = beta·dx + dy·f′(x) on plain memory, beta 0 or 1. */
void strata__pointwise_gradient(const strata__pointwise *function, const void *arguments,
                                int64_t count, const float *x, const float *y, const float *dy,
                                float beta, float *dx);

/* eˣ. */
extern const strata__pointwise strata__exponential;

/* True for a float32 tensor; otherwise an error. NULL is refused quietly. */
bool strata__is_float(const char *who, const strata_tensor *x);

/* --- for kernels: loops over a function of one element, which is inlined --- */

typedef float strata__point(const void *arguments, float x);
typedef float strata__point_slope(const void *arguments, float x, float y);

static inline __attribute__((always_inline)) void
strata__map(strata__point *f, const void *arguments, int64_t n, const float *x, float *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = f(arguments, x[i]);
}

static inline __attribute__((always_inline)) void strata__chain(strata__point_slope *f,
                                                                const void *arguments, int64_t n,
                                                                const float *x, const float *y,
                                                                const float *dy, float *dx)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dx[i] = dy[i] * f(arguments, x[i], y[i]);
}

#endif
