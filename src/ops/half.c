/* bfloat16: the upper half of a float32. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/half.h"

#include <string.h>

#include "base/vector.h"

/* Bits of a float32 whose lower half is zero. Infinity must not come out of a NaN's rounding. */
static inline uint32_t nearest(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
    uint32_t quiet = (bits | 0x00400000) & 0xffff0000;
    return (bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
}

STRATA__SIMD void strata__half_from(const float *x, int64_t m, int64_t n, int64_t ld,
                                    uint16_t *half)
{
    for (int64_t i = 0; i < m; i++) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            half[i * n + j] = (uint16_t)(nearest(x[i * ld + j]) >> 16);
    }
}

STRATA__SIMD void strata__half_round(const float *x, int64_t m, int64_t n, int64_t ld,
                                     float *rounded)
{
    for (int64_t i = 0; i < m; i++) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++) {
            uint32_t bits = nearest(x[i * ld + j]);
            memcpy(&rounded[i * n + j], &bits, sizeof bits);
        }
    }
}
