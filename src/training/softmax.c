/* Softmax of a row together with its log-sum-exp. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/softmax.h"

#include <math.h>

#include "base/vector.h"
#include "ops/math.h"

STRATA__SIMD static float largest(int64_t n, const float *x)
{
    float max = -INFINITY;
#pragma omp simd reduction(max : max)
    for (int64_t j = 0; j < n; j++)
        max = x[j] > max ? x[j] : max;
    return max;
}

STRATA__SIMD static float sum_exp(int64_t n, const float *x, float max)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += strata__exp(x[j] - max);
    return sum;
}

STRATA__SIMD static float store_exp(int64_t n, const float *x, float max, float *p)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        p[j] = strata__exp(x[j] - max);
        sum += p[j];
    }
    return sum;
}

STRATA__SIMD static void divide(int64_t n, float *p, float sum)
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
