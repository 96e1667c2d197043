/* Operations element by element: affine, square, √, exp, ln, |·|, −. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vector.h"
#include "ops/math.h"
#include "ops/pointwise.h"

/* --- scale · x + offset --- */

typedef struct affine {
    float scale, offset;
} affine;

static inline float affine_point(const void *arguments, float x)
{
    const affine *a = arguments;
    return a->scale * x + a->offset;
}

static inline float affine_slope(const void *arguments, float x, float y)
{
    (void)x;
    (void)y;
    return ((const affine *)arguments)->scale;
}

STRATA__SIMD static void affine_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(affine_point, arguments, n, x, y);
}

STRATA__SIMD static void affine_slopes(const void *arguments, int64_t n, const float *x,
                                       const float *y, const float *dy, float *dx)
{
    strata__chain(affine_slope, arguments, n, x, y, dy, dx);
}

strata_tensor *strata_ops_affine(strata_tensor *x, double scale, double offset)
{
    static const strata__pointwise function = {affine_values, affine_slopes, true};
    affine arguments = {(float)scale, (float)offset};
    return strata__pointwise_apply("affine", x, &function, &arguments, sizeof arguments);
}

strata_tensor *strata_ops_negative(strata_tensor *x)
{
    return strata_ops_affine(x, -1.0, 0.0);
}

/* --- x² --- */

static inline float square_point(const void *arguments, float x)
{
    (void)arguments;
    return x * x;
}

static inline float square_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return 2.0f * x;
}

STRATA__SIMD static void square_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(square_point, arguments, n, x, y);
}

STRATA__SIMD static void square_slopes(const void *arguments, int64_t n, const float *x,
                                       const float *y, const float *dy, float *dx)
{
    strata__chain(square_slope, arguments, n, x, y, dy, dx);
}

strata_tensor *strata_ops_square(strata_tensor *x)
{
    static const strata__pointwise function = {square_values, square_slopes, false};
    return strata__pointwise_apply("square", x, &function, NULL, 0);
}

/* --- √x --- */

static inline float sqrt_point(const void *arguments, float x)
{
    (void)arguments;
    return sqrtf(x);
}

static inline float sqrt_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)x;
    return 0.5f / y;
}

STRATA__SIMD static void sqrt_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(sqrt_point, arguments, n, x, y);
}

STRATA__SIMD static void sqrt_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    strata__chain(sqrt_slope, arguments, n, x, y, dy, dx);
}

strata_tensor *strata_ops_sqrt(strata_tensor *x)
{
    static const strata__pointwise function = {sqrt_values, sqrt_slopes, true};
    return strata__pointwise_apply("sqrt", x, &function, NULL, 0);
}

/* --- eˣ --- */

static inline float exp_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__exp(x);
}

static inline float exp_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)x;
    return y;
}

STRATA__SIMD static void exp_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(exp_point, arguments, n, x, y);
}

STRATA__SIMD static void exp_slopes(const void *arguments, int64_t n, const float *x,
                                    const float *y, const float *dy, float *dx)
{
    strata__chain(exp_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__exponential = {exp_values, exp_slopes, true};

strata_tensor *strata_ops_exp(strata_tensor *x)
{
    return strata__pointwise_apply("exp", x, &strata__exponential, NULL, 0);
}

/* --- ln x --- */

static inline float log_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__log(x);
}

static inline float log_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return 1.0f / x;
}

STRATA__SIMD static void log_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(log_point, arguments, n, x, y);
}

STRATA__SIMD static void log_slopes(const void *arguments, int64_t n, const float *x,
                                    const float *y, const float *dy, float *dx)
{
    strata__chain(log_slope, arguments, n, x, y, dy, dx);
}

strata_tensor *strata_ops_log(strata_tensor *x)
{
    static const strata__pointwise function = {log_values, log_slopes, false};
    return strata__pointwise_apply("log", x, &function, NULL, 0);
}

/* --- |x|, with slope 0 at 0 --- */

static inline float abs_point(const void *arguments, float x)
{
    (void)arguments;
    return fabsf(x);
}

static inline float abs_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f;
}

STRATA__SIMD static void abs_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(abs_point, arguments, n, x, y);
}

STRATA__SIMD static void abs_slopes(const void *arguments, int64_t n, const float *x,
                                    const float *y, const float *dy, float *dx)
{
    strata__chain(abs_slope, arguments, n, x, y, dy, dx);
}

strata_tensor *strata_ops_abs(strata_tensor *x)
{
    static const strata__pointwise function = {abs_values, abs_slopes, false};
    return strata__pointwise_apply("abs", x, &function, NULL, 0);
}
