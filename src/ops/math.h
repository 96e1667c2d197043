/* Elementary functions in single precision that loops can vectorise; errors of one or two units in
 * the last place. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_MATH_H
#define STRATA_OPS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* eˣ = 2ⁿ·eʳ with n = round(x / ln 2), |r| ≤ ln 2 / 2, eʳ by its minimax polynomial (Cephes). */
static inline float strata__exp(float x)
{
    float clamped = x > 88.72283f ? 88.72283f : x < -87.33654f ? -87.33654f : x;
    float n = nearbyintf(clamped * 1.44269504f);
    float r = fmaf(n, -0.693359375f, clamped);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = fmaf(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r * r, r) + 1.0f;
    /* 2ⁿ in two factors, so that n = 128 does not overflow by itself. */
    int32_t whole = (int32_t)n, half = whole >> 1;
    int32_t low = (half + 127) << 23, high = (whole - half + 127) << 23;
    float scale_low, scale_high;
    memcpy(&scale_low, &low, sizeof low);
    memcpy(&scale_high, &high, sizeof high);
    float y = p * scale_low * scale_high;
    y = x > 88.72283f ? INFINITY : x < -103.97f ? 0.0f : y;
    return x != x ? x : y;
}

static inline float strata__sigmoid(float x)
{
    float e = strata__exp(-fabsf(x));
    float positive = 1.0f / (1.0f + e);
    return x >= 0.0f ? positive : x != x ? x : e * positive;
}

/* Below 0.625 an odd polynomial (Cephes), above (1 − e⁻²ˣ) / (1 + e⁻²ˣ). */
static inline float strata__tanh(float x)
{
    float t = fabsf(x), s = x * x;
    float p = fmaf(-5.70498872745e-3f, s, 2.06390887954e-2f);
    p = fmaf(p, s, -5.37397155531e-2f);
    p = fmaf(p, s, 1.33314422036e-1f);
    p = fmaf(p, s, -3.33332819422e-1f);
    float small = fmaf(p * s, x, x);
    float e = strata__exp(-2.0f * t);
    float large = copysignf((1.0f - e) / (1.0f + e), x);
    return t < 0.625f ? small : x != x ? x : large;
}

/* Two polynomials that meet at 475/512. */
static inline float strata__erf(float x)
{
    float t = fabsf(x), s = x * x;
    float r = fmaf(-1.72853470e-5f, t, 3.83197126e-4f),
          u = fmaf(-3.88396438e-3f, t, 2.42546219e-2f);
    r = fmaf(r, s, u);
    r = fmaf(r, t, -1.06777877e-1f);
    r = fmaf(r, t, -6.34846687e-1f);
    r = fmaf(r, t, -1.28717512e-1f);
    r = fmaf(r, t, -t);
    float large = copysignf(1.0f - strata__exp(r), x);
    float p = fmaf(-5.96761703e-4f, s, 4.99119423e-3f);
    p = fmaf(p, s, -2.67681349e-2f);
    p = fmaf(p, s, 1.12819925e-1f);
    p = fmaf(p, s, -3.76125336e-1f);
    p = fmaf(p, s, 1.28379166e-1f);
    float small = fmaf(p, x, x);
    return t > 0.927734375f ? large : small;
}

#endif
