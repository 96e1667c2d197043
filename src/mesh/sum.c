/* Sums of vectors from several members, in one pass and in a fixed order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/sum.h"

#include <string.h>

#include "base/vector.h"

/* Floats summed at a time: the partial sum stays in the first-level cache and away from all
 * sources. */
enum { BLOCK = 1024 };

STRATA__SIMD
static void add_two(float *restrict sum, const float *restrict a, const float *restrict b,
                    int length)
{
    for (int i = 0; i < length; i++)
        sum[i] = a[i] + b[i];
}

STRATA__SIMD
static void add_one(float *restrict sum, const float *restrict a, int length)
{
    for (int i = 0; i < length; i++)
        sum[i] += a[i];
}

/* target[i] may be a[i] or b[i]. */
STRATA__SIMD
static void add_pair(float *target, const float *a, const float *b, int64_t length)
{
#pragma omp simd
    for (int64_t i = 0; i < length; i++)
        target[i] = a[i] + b[i];
}

void strata__sum_vectors(float *target, const float *const *sources, int count, int64_t length)
{
    _Alignas(64) float sum[BLOCK];
    if (count == 2) {
        add_pair(target, sources[0], sources[1], length);
        return;
    }
    for (int64_t first = 0; first < length; first += BLOCK) {
        int block = (int)(length - first < BLOCK ? length - first : BLOCK);
        if (count == 1)
            memcpy(sum, sources[0] + first, (size_t)block * sizeof *sum);
        else
            add_two(sum, sources[0] + first, sources[1] + first, block);
        for (int source = 2; source < count; source++)
            add_one(sum, sources[source] + first, block);
        memcpy(target + first, sum, (size_t)block * sizeof *sum);
    }
}
