/* Elementary functions in single precision, branch-free so that loops over them become vectors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_MATH_H
#define STRATA_OPS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/*
 * Errors are at most 3 units in the last place unless said otherwise, NaN stays NaN. Polynomials of
 * exp, log and tanh: S. Moshier, Cephes.
 */

static inline uint32_t strata__bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float strata__from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |magnitude| with the sign of `sign`. */
static inline float strata__with_sign(float magnitude, float sign)
{
    return strata__from_bits((strata__bits_of(magnitude) & 0x7fffffffu) |
                             (strata__bits_of(sign) & 0x80000000u));
}

/* 2ⁿ for −126 ≤ n ≤ 127. */
static inline float strata__power_of_two(int32_t n)
{
    return strata__from_bits((uint32_t)(n + 127) << 23);
}

/*
 * x = n·ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5·2²³ rounds to a whole number and leaves it in the
 * low bits. Returns r; x must be within ±120.
 */
static inline float strata__reduce_exponent(float x, int32_t *n)
{
    const float shift = 12582912.0f;
    float shifted = x * 1.44269504f + shift, whole = shifted - shift;
    *n = (int32_t)(strata__bits_of(shifted) - strata__bits_of(shift));
    return (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
}

/* eʳ − 1 for |r| ≤ ln 2 / 2. */
static inline float strata__expm1_near_zero(float r)
{
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * r * r + r;
}

static inline float strata__clamp(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* eˣ; the power of two in two factors, since 2¹²⁸ is no float, and 2⁻¹⁵⁰ neither. */
static inline float strata__exp(float x)
{
    int32_t n;
    float r = strata__reduce_exponent(strata__clamp(x, -104.0f, 89.0f), &n);
    int32_t half = n >> 1;
    return (strata__expm1_near_zero(r) + 1.0f) * strata__power_of_two(half) *
           strata__power_of_two(n - half);
}

/* eˣ − 1: 2ⁿ·(eʳ − 1) + (2ⁿ − 1). */
static inline float strata__expm1(float x)
{
    int32_t n;
    float r = strata__reduce_exponent(strata__clamp(x, -30.0f, 88.0f), &n);
    float scale = strata__power_of_two(n);
    return strata__expm1_near_zero(r) * scale + (scale - 1.0f);
}

/* Natural logarithm of a positive normal number: x = 2ᵉ·m with √½ ≤ m < √2. */
static inline float strata__log_positive(float x)
{
    uint32_t bits = strata__bits_of(x) - 0x3f3504f3u; /* √½ becomes 0 */
    float e = (float)((int32_t)bits >> 23);
    float m = strata__from_bits((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f, z = m * m;
    float p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    float tail = p * m * z + e * -2.12194440e-4f - 0.5f * z;
    return e * 0.693359375f + (m + tail);
}

/* ln x: −∞ at 0, NaN below. */
static inline float strata__log(float x)
{
    const float smallest = 1.17549435e-38f; /* normal */
    float scaled = x < smallest ? x * 16777216.0f : x;
    float y = strata__log_positive(scaled) - (x < smallest ? 16.635532f : 0.0f);
    y = x < INFINITY ? y : x; /* infinity, NaN */
    y = x == 0.0f ? -INFINITY : y;
    return x < 0.0f ? NAN : y;
}

/* ln(1 + u) for u ≥ 0: what 1 + u loses is put back to first order. */
static inline float strata__log1p(float u)
{
    float w = 1.0f + u, lost = u - (w - 1.0f);
    return strata__log_positive(w) + lost / w;
}

/* Below 0.625 an odd polynomial, above (1 − e⁻²ˣ) / (1 + e⁻²ˣ). */
static inline float strata__tanh(float x)
{
    float size = x < 0.0f ? -x : x, s = x * x;
    float p = -5.70498872745e-3f;
    p = p * s + 2.06390887954e-2f;
    p = p * s - 5.37397155531e-2f;
    p = p * s + 1.33314422036e-1f;
    p = p * s - 3.33332819422e-1f;
    float near = p * s * x + x, e = strata__exp(-2.0f * size);
    float far = strata__with_sign((1.0f - e) / (1.0f + e), x);
    return size < 0.625f ? near : far;
}

static inline float strata__sigmoid(float x)
{
    return 1.0f / (1.0f + strata__exp(-x));
}

/* ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|) */
static inline float strata__softplus(float x)
{
    float size = x < 0.0f ? -x : x;
    return (x < 0.0f ? 0.0f : x) + strata__log1p(strata__exp(-size));
}

/*
 * Φ(x) − ½ for x ≥ 0, Φ the normal distribution function, within 1.2e-7; from 5.5 on exactly ½, as
 * it is in float32 by then. x times a polynomial in x², with x² brought to −1 … 1: least squares of
 * the relative error at Chebyshev's points. The terms keep their signs where the sum is small, so
 * that little is lost.
 */
static inline float strata__normal_half(float x)
{
    const float end = 5.5f;
    float t = x > end ? end : x, z = t * t * (2.0f / (5.5f * 5.5f)) - 1.0f;
    float p = -2.570787619e-4f;
    p = p * z + 6.475509144e-4f;
    p = p * z - 4.615377693e-4f;
    p = p * z + 6.696555647e-4f;
    p = p * z - 2.505666343e-3f;
    p = p * z + 4.683684092e-3f;
    p = p * z - 6.764011923e-3f;
    p = p * z + 1.019060891e-2f;
    p = p * z - 1.501781866e-2f;
    p = p * z + 2.037589066e-2f;
    p = p * z - 2.604514174e-2f;
    p = p * z + 3.206864744e-2f;
    p = p * z - 3.879300505e-2f;
    p = p * z + 4.773771018e-2f;
    p = p * z - 6.417233497e-2f;
    p = p * z + 1.285519302e-1f;
    return x > end ? 0.5f : p * t;
}

/* Φ(x) − ½ + x·Φ′(x) for x ≥ 0, in the same way: within 2.5e-7, from 5.6 on ½. */
static inline float strata__normal_half_slope(float x)
{
    const float end = 5.6f;
    float t = x > end ? end : x, z = t * t * (2.0f / (5.6f * 5.6f)) - 1.0f;
    float p = -1.438687090e-3f;
    p = p * z + 3.759398358e-3f;
    p = p * z - 2.195086330e-3f;
    p = p * z + 1.975885127e-3f;
    p = p * z - 1.221999805e-2f;
    p = p * z + 2.375388704e-2f;
    p = p * z - 2.971589565e-2f;
    p = p * z + 4.005859792e-2f;
    p = p * z - 5.586307123e-2f;
    p = p * z + 6.772982329e-2f;
    p = p * z - 7.256430387e-2f;
    p = p * z + 7.136999816e-2f;
    p = p * z - 6.505917758e-2f;
    p = p * z + 5.671420693e-2f;
    p = p * z - 5.096063390e-2f;
    p = p * z + 5.180671066e-2f;
    p = p * z - 6.428253651e-2f;
    p = p * z + 1.264166534e-1f;
    return x > end ? 0.5f : p * t;
}

#endif
