/* Stages of a softmax over rows of numbers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/softmax_rows.h"

#include "base/vector.h"
#include "ops/math.h"

STRATA__SIMD void strata__row_maxima(const float *x, int64_t rows, int64_t n, float *most)
{
    for (int64_t i = 0; i < rows; i++, x += n) {
        float largest = -INFINITY;
#pragma omp simd reduction(max : largest)
        for (int64_t j = 0; j < n; j++)
            largest = x[j] > largest ? x[j] : largest;
        most[i] = largest;
    }
}

STRATA__SIMD static void store(const float *x, int64_t rows, int64_t n, const float *most, float *y,
                               float *sums)
{
    for (int64_t i = 0; i < rows; i++, x += n, y += n) {
        float sum = 0.0f, top = most[i];
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++) {
            y[j] = strata__exp(x[j] - top);
            sum += y[j];
        }
        sums[i] = sum;
    }
}

STRATA__SIMD static void only_sum(const float *x, int64_t rows, int64_t n, const float *most,
                                  float *sums)
{
    for (int64_t i = 0; i < rows; i++, x += n) {
        float sum = 0.0f, top = most[i];
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++)
            sum += strata__exp(x[j] - top);
        sums[i] = sum;
    }
}

void strata__row_exponentials(const float *x, int64_t rows, int64_t n, const float *most, float *y,
                              float *sums)
{
    if (y)
        store(x, rows, n, most, y, sums);
    else
        only_sum(x, rows, n, most, sums);
}

STRATA__SIMD void strata__row_quotients(float *y, int64_t rows, int64_t n, const float *sums)
{
    for (int64_t i = 0; i < rows; i++, y += n) {
        float factor = 1.0f / sums[i];
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            y[j] *= factor;
    }
}
