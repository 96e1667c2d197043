/* Moments over the batch axis in double, and gradients of vectors that come from them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/vector.h"
#include "ops/batch.h"
#include "tensor/tape.h"

STRATA__SIMD static void add_row(const float *a, const float *b, double w, int64_t n, double *sum,
                                 double *dot)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        double value = w * (double)a[j];
        sum[j] += value;
        dot[j] += value * (double)b[j];
    }
}

/* Four rows of weight 1. */
STRATA__SIMD static void add_rows(const float *a, const float *b, int64_t n, double *sum,
                                  double *dot)
{
    const float *a1 = a + n, *a2 = a1 + n, *a3 = a2 + n;
    const float *b1 = b + n, *b2 = b1 + n, *b3 = b2 + n;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        sum[j] += ((double)a[j] + (double)a1[j]) + ((double)a2[j] + (double)a3[j]);
        dot[j] += ((double)a[j] * (double)b[j] + (double)a1[j] * (double)b1[j]) +
                  ((double)a2[j] * (double)b2[j] + (double)a3[j] * (double)b3[j]);
    }
}

void strata__batch_moments_part(const float *a, const float *b, const float *w, int64_t rows,
                                int64_t n, double *sum, double *dot)
{
    int64_t i = 0;
    for (; !w && i + 4 <= rows; i += 4)
        add_rows(a + i * n, b + i * n, n, sum, dot);
    for (; i < rows; i++) {
        double weight = w ? (double)w[i] : 1.0;
        if (weight != 0.0)
            add_row(a + i * n, b + i * n, weight, n, sum, dot);
    }
}

static void add_to(float *into, float beta, const float *from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        into[i] = (beta == 0.0f ? 0.0f : into[i]) + from[i];
}

void strata__batch_gradient_part(strata_tensor *vector, const strata_tensor *x, const double *sums)
{
    float beta;
    float *into = strata__gradient_into(vector, &beta);
    if (!into)
        return;
    bool split = x->layout.split && !vector->layout.split;
    int64_t count = strata__local_count(vector), own = split ? strata__last(&x->local) : count;
    float *whole = strata__alloc(x->ctx, (size_t)(count + own) * sizeof *whole);
    if (!whole)
        return;
    float *piece = split ? whole + count : whole;
    for (int64_t j = 0; j < own; j++)
        piece[j] = (float)sums[j];
    if (split)
        strata__gather_columns(x->ctx, STRATA__COLS, piece, whole, 1, count);
    add_to(into, beta, whole, count);
    strata__free(x->ctx, whole);
}
