/* Activation functions element by element: values and slopes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/activation_kernels.h"

#include "base/vector.h"
#include "ops/math.h"

typedef strata__activation_config config;

#define SELU_ALPHA 1.6732632423543772f
#define SELU_SCALE 1.0507009873554805f
#define SQRT_HALF 0.70710678118654752f
#define INVERSE_SQRT_2PI 0.39894228040143268f
#define SQRT_2_OVER_PI 0.79788456080286536f

/* One loop for all: `f` is a constant at each call below, so it is inlined and the loop vectorised.
 */
typedef float function(const config *c, float x);

static inline __attribute__((always_inline)) void map(function *f, const config *c, const float *x,
                                                      float *y, int64_t count)
{
    config copy = *c;
    for (int64_t i = 0; i < count; i++)
        y[i] = f(&copy, x[i]);
}

static inline __attribute__((always_inline)) void map_gradient(function *slope, const config *c,
                                                               const float *x, const float *dy,
                                                               float *dx, int64_t count)
{
    config copy = *c;
    for (int64_t i = 0; i < count; i++)
        dx[i] = dy[i] * slope(&copy, x[i]);
}

/* --- relu and its kin --- */

static inline float relu(const config *c, float x)
{
    float y = x > (float)c->threshold ? x : (float)c->negative_slope * (x - (float)c->threshold);
    return y > (float)c->max_value ? (float)c->max_value : y;
}

static inline float relu_slope(const config *c, float x)
{
    float slope = x > (float)c->threshold ? 1.0f : (float)c->negative_slope;
    return x >= (float)c->max_value ? 0.0f : slope;
}

STRATA__VECTOR void strata__relu_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(relu, c, x, y, count);
}

STRATA__VECTOR void strata__relu_gradient(const config *c, const float *x, const float *dy,
                                          float *dx, int64_t count)
{
    map_gradient(relu_slope, c, x, dy, dx, count);
}

STRATA__VECTOR void strata__relu_gradient_from_result(const float *y, const float *dy, float *dx,
                                                      int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

static inline float relu6(const config *c, float x)
{
    (void)c;
    return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
}

static inline float relu6_slope(const config *c, float x)
{
    (void)c;
    return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
}

STRATA__VECTOR void strata__relu6_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(relu6, c, x, y, count);
}

STRATA__VECTOR void strata__relu6_gradient(const config *c, const float *x, const float *dy,
                                           float *dx, int64_t count)
{
    map_gradient(relu6_slope, c, x, dy, dx, count);
}

static inline float leaky_relu(const config *c, float x)
{
    return x >= 0.0f ? x : (float)c->negative_slope * x;
}

static inline float leaky_relu_slope(const config *c, float x)
{
    return x >= 0.0f ? 1.0f : (float)c->negative_slope;
}

STRATA__VECTOR void strata__leaky_relu_forward(const config *c, const float *x, float *y,
                                               int64_t count)
{
    map(leaky_relu, c, x, y, count);
}

STRATA__VECTOR void strata__leaky_relu_gradient(const config *c, const float *x, const float *dy,
                                                float *dx, int64_t count)
{
    map_gradient(leaky_relu_slope, c, x, dy, dx, count);
}

static inline float elu(const config *c, float x)
{
    return x > 0.0f ? x : (float)c->alpha * expm1f(x);
}

static inline float elu_slope(const config *c, float x)
{
    return x > 0.0f ? 1.0f : (float)c->alpha * strata__exp(x);
}

void strata__elu_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(elu, c, x, y, count);
}

STRATA__VECTOR void strata__elu_gradient(const config *c, const float *x, const float *dy,
                                         float *dx, int64_t count)
{
    map_gradient(elu_slope, c, x, dy, dx, count);
}

static inline float selu(const config *c, float x)
{
    (void)c;
    return SELU_SCALE * (x > 0.0f ? x : SELU_ALPHA * expm1f(x));
}

static inline float selu_slope(const config *c, float x)
{
    (void)c;
    return SELU_SCALE * (x > 0.0f ? 1.0f : SELU_ALPHA * strata__exp(x));
}

void strata__selu_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(selu, c, x, y, count);
}

STRATA__VECTOR void strata__selu_gradient(const config *c, const float *x, const float *dy,
                                          float *dx, int64_t count)
{
    map_gradient(selu_slope, c, x, dy, dx, count);
}

/* --- sigmoids --- */

static inline float sigmoid(const config *c, float x)
{
    (void)c;
    return strata__sigmoid(x);
}

static inline float sigmoid_slope(const config *c, float x)
{
    (void)c;
    float y = strata__sigmoid(x);
    return y * (1.0f - y);
}

STRATA__VECTOR void strata__sigmoid_forward(const config *c, const float *x, float *y,
                                            int64_t count)
{
    map(sigmoid, c, x, y, count);
}

STRATA__VECTOR void strata__sigmoid_gradient(const config *c, const float *x, const float *dy,
                                             float *dx, int64_t count)
{
    map_gradient(sigmoid_slope, c, x, dy, dx, count);
}

STRATA__VECTOR void strata__sigmoid_gradient_from_result(const float *y, const float *dy, float *dx,
                                                         int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

static inline float tanh_of(const config *c, float x)
{
    (void)c;
    return strata__tanh(x);
}

static inline float tanh_slope(const config *c, float x)
{
    (void)c;
    float y = strata__tanh(x);
    return 1.0f - y * y;
}

STRATA__VECTOR void strata__tanh_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(tanh_of, c, x, y, count);
}

STRATA__VECTOR void strata__tanh_gradient(const config *c, const float *x, const float *dy,
                                          float *dx, int64_t count)
{
    map_gradient(tanh_slope, c, x, dy, dx, count);
}

STRATA__VECTOR void strata__tanh_gradient_from_result(const float *y, const float *dy, float *dx,
                                                      int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

static inline float hard_sigmoid(const config *c, float x)
{
    (void)c;
    float y = x / 6.0f + 0.5f;
    return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;
}

static inline float hard_sigmoid_slope(const config *c, float x)
{
    (void)c;
    return x > -3.0f && x < 3.0f ? 1.0f / 6.0f : 0.0f;
}

STRATA__VECTOR void strata__hard_sigmoid_forward(const config *c, const float *x, float *y,
                                                 int64_t count)
{
    map(hard_sigmoid, c, x, y, count);
}

STRATA__VECTOR void strata__hard_sigmoid_gradient(const config *c, const float *x, const float *dy,
                                                  float *dx, int64_t count)
{
    map_gradient(hard_sigmoid_slope, c, x, dy, dx, count);
}

static inline float softsign(const config *c, float x)
{
    (void)c;
    return x / (1.0f + fabsf(x));
}

static inline float softsign_slope(const config *c, float x)
{
    (void)c;
    float d = 1.0f + fabsf(x);
    return 1.0f / (d * d);
}

STRATA__VECTOR void strata__softsign_forward(const config *c, const float *x, float *y,
                                             int64_t count)
{
    map(softsign, c, x, y, count);
}

STRATA__VECTOR void strata__softsign_gradient(const config *c, const float *x, const float *dy,
                                              float *dx, int64_t count)
{
    map_gradient(softsign_slope, c, x, dy, dx, count);
}

/* --- x times a gate --- */

static inline float silu(const config *c, float x)
{
    (void)c;
    return x * strata__sigmoid(x);
}

static inline float silu_slope(const config *c, float x)
{
    (void)c;
    float y = strata__sigmoid(x);
    return y * (1.0f + x * (1.0f - y));
}

STRATA__VECTOR void strata__silu_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(silu, c, x, y, count);
}

STRATA__VECTOR void strata__silu_gradient(const config *c, const float *x, const float *dy,
                                          float *dx, int64_t count)
{
    map_gradient(silu_slope, c, x, dy, dx, count);
}

static inline float hard_silu(const config *c, float x)
{
    return x * hard_sigmoid(c, x);
}

static inline float hard_silu_slope(const config *c, float x)
{
    return hard_sigmoid(c, x) + x * hard_sigmoid_slope(c, x);
}

STRATA__VECTOR void strata__hard_silu_forward(const config *c, const float *x, float *y,
                                              int64_t count)
{
    map(hard_silu, c, x, y, count);
}

STRATA__VECTOR void strata__hard_silu_gradient(const config *c, const float *x, const float *dy,
                                               float *dx, int64_t count)
{
    map_gradient(hard_silu_slope, c, x, dy, dx, count);
}

static inline float gelu_inner(float x)
{
    return strata__tanh(SQRT_2_OVER_PI * fmaf(0.044715f * x * x, x, x));
}

static inline float gelu(const config *c, float x)
{
    (void)c;
    return 0.5f * x * (1.0f + strata__erf(x * SQRT_HALF));
}

static inline float gelu_slope(const config *c, float x)
{
    (void)c;
    return 0.5f * (1.0f + strata__erf(x * SQRT_HALF)) +
           x * INVERSE_SQRT_2PI * strata__exp(-0.5f * x * x);
}

static inline float gelu_approximate(const config *c, float x)
{
    (void)c;
    return 0.5f * x * (1.0f + gelu_inner(x));
}

static inline float gelu_approximate_slope(const config *c, float x)
{
    (void)c;
    float t = gelu_inner(x), inner = SQRT_2_OVER_PI * (1.0f + 3.0f * 0.044715f * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

STRATA__VECTOR void strata__gelu_forward(const config *c, const float *x, float *y, int64_t count)
{
    if (c->approximate)
        map(gelu_approximate, c, x, y, count);
    else
        map(gelu, c, x, y, count);
}

STRATA__VECTOR void strata__gelu_gradient(const config *c, const float *x, const float *dy,
                                          float *dx, int64_t count)
{
    if (c->approximate)
        map_gradient(gelu_approximate_slope, c, x, dy, dx, count);
    else
        map_gradient(gelu_slope, c, x, dy, dx, count);
}

static inline float softplus(const config *c, float x)
{
    (void)c;
    return (x > 0.0f ? x : 0.0f) + log1pf(strata__exp(-fabsf(x)));
}

void strata__softplus_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(softplus, c, x, y, count);
}

STRATA__VECTOR void strata__softplus_gradient(const config *c, const float *x, const float *dy,
                                              float *dx, int64_t count)
{
    map_gradient(sigmoid, c, x, dy, dx, count);
}

static inline float mish(const config *c, float x)
{
    return x * strata__tanh(softplus(c, x));
}

static inline float mish_slope(const config *c, float x)
{
    float t = strata__tanh(softplus(c, x));
    return t + x * strata__sigmoid(x) * (1.0f - t * t);
}

void strata__mish_forward(const config *c, const float *x, float *y, int64_t count)
{
    map(mish, c, x, y, count);
}

void strata__mish_gradient(const config *c, const float *x, const float *dy, float *dx,
                           int64_t count)
{
    map_gradient(mish_slope, c, x, dy, dx, count);
}

/* --- exponential and linear --- */

static inline float exponential(const config *c, float x)
{
    (void)c;
    return strata__exp(x);
}

STRATA__VECTOR void strata__exponential_forward(const config *c, const float *x, float *y,
                                                int64_t count)
{
    map(exponential, c, x, y, count);
}

STRATA__VECTOR void strata__exponential_gradient(const config *c, const float *x, const float *dy,
                                                 float *dx, int64_t count)
{
    map_gradient(exponential, c, x, dy, dx, count);
}

STRATA__VECTOR void strata__exponential_gradient_from_result(const float *y, const float *dy,
                                                             float *dx, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dx[i] = dy[i] * y[i];
}
