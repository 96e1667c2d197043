/* Vectorised loops that all optimizers share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/optimizer_kernels.h"

#include <string.h>

#include "base/vector.h"

STRATA__SIMD void strata__scale(int64_t count, float *x, float factor)
{
    for (int64_t i = 0; i < count; i++)
        x[i] *= factor;
}

STRATA__SIMD void strata__bound(int64_t count, float *x, float bound)
{
    for (int64_t i = 0; i < count; i++) {
        float low = x[i] < -bound ? -bound : x[i];
        x[i] = low > bound ? bound : low;
    }
}

STRATA__SIMD void strata__accumulate(int64_t count, float *sum, const float *x)
{
    for (int64_t i = 0; i < count; i++)
        sum[i] += x[i];
}

STRATA__SIMD void strata__take_mean(int64_t count, float *restrict x, float *restrict sum, float n)
{
    for (int64_t i = 0; i < count; i++) {
        x[i] = (sum[i] + x[i]) / n;
        sum[i] = 0;
    }
}

STRATA__SIMD static void average(int64_t count, float *restrict average, const float *restrict w,
                                 float keep)
{
    float take = 1 - keep;
    for (int64_t i = 0; i < count; i++)
        average[i] = keep * average[i] + take * w[i];
}

void strata__average(int64_t count, float *into, float *w, float keep, bool overwrites)
{
    average(count, into, w, keep);
    if (overwrites)
        memcpy(w, into, (size_t)count * sizeof *w);
}

STRATA__SIMD double strata__squares(int64_t count, const float *x)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}
