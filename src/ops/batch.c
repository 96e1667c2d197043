/* Contractions over the batch axis: sums and products of local samples, totals over the ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/batch.h"

#include "base/memory.h"
#include "base/vector.h"
#include "mesh/mesh.h"
#include "ops/gemm.h"

void strata__batch_product_part(strata_context *ctx, const float *a, const float *b, int64_t rows,
                                int64_t k, int64_t n, float beta, float *c)
{
    strata__gemm(ctx, true, false, k, n, rows, a, k, b, n, beta, c, n);
}

STRATA__VECTOR static void add_rows(const float *a, int64_t rows, int64_t n, float *out)
{
    for (int64_t i = 0; i < rows; i++) {
        const float *row = a + i * n;
        for (int64_t j = 0; j < n; j++)
            out[j] += row[j];
    }
}

void strata__batch_sum_part(const float *a, int64_t rows, int64_t n, float beta, float *out)
{
    if (beta == 0.0f) {
        for (int64_t j = 0; j < n; j++)
            out[j] = 0.0f;
    }
    add_rows(a, rows, n, out);
}

void strata__batch_sum_total(strata_context *ctx, const float *a, int64_t rows, int64_t n,
                             double *out)
{
    for (int64_t j = 0; j < n; j++)
        out[j] = 0;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < n; j++)
            out[j] += (double)a[i * n + j];
    }
    strata__sum(ctx, STRATA__BATCH, out, n, STRATA_FLOAT64);
}

void strata__batch_total(strata_context *ctx, double *values, int count)
{
    strata__sum(ctx, STRATA__BATCH, values, count, STRATA_FLOAT64);
}

STRATA__VECTOR double strata__batch_dot_part(const float *a, const float *b, int64_t count)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += b ? (double)a[i] * (double)b[i] : (double)a[i];
    return sum;
}
