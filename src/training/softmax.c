/* Softmax of a row together with its log-sum-exp. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/softmax.h"

#include <math.h>
#include <string.h>

#include "base/vector.h"

/*
 * e^x for x ≤ 0: 2^n · e^r with n = round(x / ln 2) and |r| ≤ ln 2 / 2, where a polynomial of
 * degree 6 is exact to one unit in the last place. Adding 1.5·2²³ rounds, and leaves n in the low
 * bits. Below the normal numbers: 0. NaN stays.
 */
static inline float exp_of_nonpositive(float x)
{
    const float shift = 12582912.0f, log2e = 1.44269504f, ln2_high = 0.693359375f,
                ln2_low = -2.12194440e-4f;
    float kept = x < -87.0f ? -87.0f : x;
    float shifted = kept * log2e + shift, n = shifted - shift;
    float r = (kept - n * ln2_high) - n * ln2_low;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + (127u << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.0f ? 0 : p * power;
}

STRATA__VECTOR static float largest(int64_t n, const float *x)
{
    float max = -INFINITY;
#pragma omp simd reduction(max : max)
    for (int64_t j = 0; j < n; j++)
        max = x[j] > max ? x[j] : max;
    return max;
}

STRATA__VECTOR static float sum_exp(int64_t n, const float *x, float max)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += exp_of_nonpositive(x[j] - max);
    return sum;
}

STRATA__VECTOR static float store_exp(int64_t n, const float *x, float max, float *p)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        p[j] = exp_of_nonpositive(x[j] - max);
        sum += p[j];
    }
    return sum;
}

STRATA__VECTOR static void divide(int64_t n, float *p, float sum)
{
    for (int64_t j = 0; j < n; j++)
        p[j] /= sum;
}

float strata__softmax_row(int64_t n, const float *x, float *p)
{
    float max = largest(n, x);
    float sum = p ? store_exp(n, x, max, p) : sum_exp(n, x, max);
    if (p)
        divide(n, p, sum);
    return max + logf(sum);
}
