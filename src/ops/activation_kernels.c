/* Activation functions of one element: values and slopes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/activation_kernels.h"

#include "base/vector.h"
#include "ops/math.h"

/* Klambauer et al. 2017 */
#define SELU_SCALE 1.0507009873554805f
#define SELU_ALPHA 1.6732632423543772f

/*
 * Arguments are read before any condition: a load that depends on one keeps a loop from becoming
 * vectors.
 */

/* --- relu: x above the threshold, at most max_value; negative_slope·(x − threshold) below --- */

static inline float relu_point(const void *arguments, float x)
{
    const strata__relu_arguments *c = arguments;
    float slope = (float)c->negative_slope, threshold = (float)c->threshold;
    float highest = c->max_value < INFINITY ? (float)c->max_value : INFINITY; /* None is NaN */
    float zero = x == x || threshold != 0.0f ? 0.0f : x; /* NaN stays, as in Keras, without one */
    float below = slope == 0.0f ? zero : slope * (x - threshold);
    float above = x > highest ? highest : x;
    return x > threshold ? above : below;
}

/* 0 at the threshold. */
static inline float relu_slope(const void *arguments, float x, float y)
{
    (void)x;
    float negative = (float)((const strata__relu_arguments *)arguments)->negative_slope;
    float below = y < 0.0f ? negative : 0.0f;
    return y > 0.0f ? 1.0f : below;
}

/* 0 above max_value, ½ at it. */
static inline float bounded_relu_slope(const void *arguments, float x, float y)
{
    float highest = (float)((const strata__relu_arguments *)arguments)->max_value;
    float inside = relu_slope(arguments, x, y), bound = x < highest ? 1.0f : 0.5f;
    return x > highest ? 0.0f : bound * inside;
}

STRATA__SIMD static void relu_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(relu_point, arguments, n, x, y);
}

STRATA__SIMD static void relu_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    const strata__relu_arguments *c = arguments;
    if (isnan(c->max_value))
        strata__chain(relu_slope, arguments, n, x, y, dy, dx);
    else
        strata__chain(bounded_relu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__relu_function = {relu_values, relu_slopes, true};

STRATA__SIMD void strata__relu_gradient_from_result(const float *y, const float *dy, float *dx,
                                                    int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

/* --- leaky_relu --- */

static inline float leaky_relu_point(const void *arguments, float x)
{
    float negative = (float)((const strata__leaky_relu_arguments *)arguments)->negative_slope;
    return x >= 0.0f ? x : negative * x;
}

static inline float leaky_relu_slope(const void *arguments, float x, float y)
{
    (void)x;
    float negative = (float)((const strata__leaky_relu_arguments *)arguments)->negative_slope;
    return y >= 0.0f ? 1.0f : negative;
}

STRATA__SIMD static void leaky_relu_values(const void *arguments, int64_t n, const float *x,
                                           float *y)
{
    strata__map(leaky_relu_point, arguments, n, x, y);
}

STRATA__SIMD static void leaky_relu_slopes(const void *arguments, int64_t n, const float *x,
                                           const float *y, const float *dy, float *dx)
{
    strata__chain(leaky_relu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__leaky_relu = {leaky_relu_values, leaky_relu_slopes, true};

/* --- relu6: x between 0 and 6 --- */

static inline float relu6_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__clamp(x, 0.0f, 6.0f);
}

static inline float relu6_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
}

STRATA__SIMD static void relu6_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(relu6_point, arguments, n, x, y);
}

STRATA__SIMD static void relu6_slopes(const void *arguments, int64_t n, const float *x,
                                      const float *y, const float *dy, float *dx)
{
    strata__chain(relu6_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__relu6 = {relu6_values, relu6_slopes, false};

/* --- elu: x, or α·(eˣ − 1) below 0 --- */

static inline float elu_point(const void *arguments, float x)
{
    float below = (float)((const strata__elu_arguments *)arguments)->alpha * strata__expm1(x);
    return x > 0.0f ? x : below;
}

static inline float elu_slope(const void *arguments, float x, float y)
{
    float below = y + (float)((const strata__elu_arguments *)arguments)->alpha;
    return x > 0.0f ? 1.0f : below;
}

STRATA__SIMD static void elu_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(elu_point, arguments, n, x, y);
}

STRATA__SIMD static void elu_slopes(const void *arguments, int64_t n, const float *x,
                                    const float *y, const float *dy, float *dx)
{
    strata__chain(elu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__elu = {elu_values, elu_slopes, false};

/* --- selu: scale·elu(x, α) --- */

static inline float selu_point(const void *arguments, float x)
{
    (void)arguments;
    return SELU_SCALE * (x > 0.0f ? x : SELU_ALPHA * strata__expm1(x));
}

static inline float selu_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)x;
    return y > 0.0f ? SELU_SCALE : y + SELU_SCALE * SELU_ALPHA;
}

STRATA__SIMD static void selu_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(selu_point, arguments, n, x, y);
}

STRATA__SIMD static void selu_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    strata__chain(selu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__selu = {selu_values, selu_slopes, true};

/* --- tanh --- */

static inline float tanh_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__tanh(x);
}

static inline float tanh_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)x;
    return 1.0f - y * y;
}

STRATA__SIMD static void tanh_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(tanh_point, arguments, n, x, y);
}

STRATA__SIMD static void tanh_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    strata__chain(tanh_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__tanh_function = {tanh_values, tanh_slopes, true};

/* --- sigmoid: 1 / (1 + e⁻ˣ) --- */

static inline float sigmoid_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__sigmoid(x);
}

static inline float sigmoid_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)x;
    return y * (1.0f - y);
}

STRATA__SIMD static void sigmoid_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(sigmoid_point, arguments, n, x, y);
}

STRATA__SIMD static void sigmoid_slopes(const void *arguments, int64_t n, const float *x,
                                        const float *y, const float *dy, float *dx)
{
    strata__chain(sigmoid_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__sigmoid_function = {sigmoid_values, sigmoid_slopes, true};

/* --- softplus: ln(1 + eˣ) --- */

static inline float softplus_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__softplus(x);
}

static inline float softplus_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return strata__sigmoid(x);
}

STRATA__SIMD static void softplus_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(softplus_point, arguments, n, x, y);
}

STRATA__SIMD static void softplus_slopes(const void *arguments, int64_t n, const float *x,
                                         const float *y, const float *dy, float *dx)
{
    strata__chain(softplus_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__softplus_function = {softplus_values, softplus_slopes, false};

/* --- softsign: x / (1 + |x|) --- */

static inline float softsign_point(const void *arguments, float x)
{
    (void)arguments;
    return x / (1.0f + fabsf(x));
}

static inline float softsign_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    float d = 1.0f + fabsf(x);
    return 1.0f / (d * d);
}

STRATA__SIMD static void softsign_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(softsign_point, arguments, n, x, y);
}

STRATA__SIMD static void softsign_slopes(const void *arguments, int64_t n, const float *x,
                                         const float *y, const float *dy, float *dx)
{
    strata__chain(softsign_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__softsign = {softsign_values, softsign_slopes, false};

/* --- silu: x·sigmoid(x) --- */

static inline float silu_point(const void *arguments, float x)
{
    (void)arguments;
    return x * strata__sigmoid(x);
}

static inline float silu_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    float s = strata__sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

STRATA__SIMD static void silu_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(silu_point, arguments, n, x, y);
}

STRATA__SIMD static void silu_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    strata__chain(silu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__silu = {silu_values, silu_slopes, false};

/* --- hard_sigmoid: x/6 + ½ between 0 and 1 --- */

static inline float hard_sigmoid_point(const void *arguments, float x)
{
    (void)arguments;
    return strata__clamp(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
}

static inline float hard_sigmoid_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return x > -3.0f && x < 3.0f ? 1.0f / 6.0f : 0.0f;
}

STRATA__SIMD static void hard_sigmoid_values(const void *arguments, int64_t n, const float *x,
                                             float *y)
{
    strata__map(hard_sigmoid_point, arguments, n, x, y);
}

STRATA__SIMD static void hard_sigmoid_slopes(const void *arguments, int64_t n, const float *x,
                                             const float *y, const float *dy, float *dx)
{
    strata__chain(hard_sigmoid_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__hard_sigmoid = {hard_sigmoid_values, hard_sigmoid_slopes, false};

/* --- hard_silu: x·hard_sigmoid(x) --- */

static inline float hard_silu_point(const void *arguments, float x)
{
    (void)arguments;
    return x * strata__clamp(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
}

static inline float hard_silu_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    float inside = x * (1.0f / 3.0f) + 0.5f;
    return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : inside;
}

STRATA__SIMD static void hard_silu_values(const void *arguments, int64_t n, const float *x,
                                          float *y)
{
    strata__map(hard_silu_point, arguments, n, x, y);
}

STRATA__SIMD static void hard_silu_slopes(const void *arguments, int64_t n, const float *x,
                                          const float *y, const float *dy, float *dx)
{
    strata__chain(hard_silu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__hard_silu = {hard_silu_values, hard_silu_slopes, false};

/* --- mish: x·tanh(softplus(x)) --- */

static inline float mish_point(const void *arguments, float x)
{
    (void)arguments;
    return x * strata__tanh(strata__softplus(x));
}

static inline float mish_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    float t = strata__tanh(strata__softplus(x));
    return t + x * (1.0f - t * t) * strata__sigmoid(x);
}

STRATA__SIMD static void mish_values(const void *arguments, int64_t n, const float *x, float *y)
{
    strata__map(mish_point, arguments, n, x, y);
}

STRATA__SIMD static void mish_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    strata__chain(mish_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__mish = {mish_values, mish_slopes, false};

/* --- gelu: x·Φ(x), or with Φ approximated by ½·(1 + tanh(√(2/π)·(x + 0.044715·x³))) --- */

#define SQRT_2_OVER_PI 0.79788456f
#define CUBIC 0.044715f

/* Φ(x) − ½ is odd. */
static inline float exact_gelu_point(const void *arguments, float x)
{
    (void)arguments;
    float size = fabsf(x);
    return 0.5f * x + size * strata__normal_half(size);
}

/* Φ(x) + x·φ(x) */
static inline float exact_gelu_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    return 0.5f + strata__with_sign(strata__normal_half_slope(fabsf(x)), x);
}

static inline float fast_gelu_point(const void *arguments, float x)
{
    (void)arguments;
    return 0.5f * x * (1.0f + strata__tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)));
}

static inline float fast_gelu_slope(const void *arguments, float x, float y)
{
    (void)arguments;
    (void)y;
    float t = strata__tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x));
    float inner = SQRT_2_OVER_PI * (1.0f + 3.0f * CUBIC * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

STRATA__SIMD static void gelu_values(const void *arguments, int64_t n, const float *x, float *y)
{
    const strata__gelu_arguments *c = arguments;
    if (c->approximate)
        strata__map(fast_gelu_point, arguments, n, x, y);
    else
        strata__map(exact_gelu_point, arguments, n, x, y);
}

STRATA__SIMD static void gelu_slopes(const void *arguments, int64_t n, const float *x,
                                     const float *y, const float *dy, float *dx)
{
    const strata__gelu_arguments *c = arguments;
    if (c->approximate)
        strata__chain(fast_gelu_slope, arguments, n, x, y, dy, dx);
    else
        strata__chain(exact_gelu_slope, arguments, n, x, y, dy, dx);
}

const strata__pointwise strata__gelu = {gelu_values, gelu_slopes, false};
