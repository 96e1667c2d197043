/* Contractions over the batch axis: sums and products of local samples, totals over the ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/batch.h"

#include "base/memory.h"
#include "base/vector.h"
#include "ops/gemm.h"
#include "ops/reduce.h"

void strata__batch_product_part(strata_context *ctx, const float *a, const float *b, int64_t rows,
                                int64_t k, int64_t n, float beta, float *c, float sum_beta,
                                float *sum)
{
    double *sums = sum ? strata__scratch(ctx, n, sizeof *sums) : NULL;
    for (int64_t j = 0; sum && j < n; j++)
        sums[j] = 0;
    strata__gemm_call product = {.transpose_a = true,
                                 .m = k,
                                 .n = n,
                                 .k = rows,
                                 .a = a,
                                 .lda = k,
                                 .b = b,
                                 .ldb = n,
                                 .beta = beta,
                                 .c = c,
                                 .ldc = n,
                                 .b_sums = sums};
    strata__gemm_call_run(ctx, &product);
    if (sum)
        strata__store_sums(sum, sum_beta, sums, n);
    strata__free(ctx, sums);
}

void strata__batch_sum_part(const float *a, int64_t rows, int64_t n, float beta, float *out)
{
    strata__sum_axis(a, 1, rows, n, beta, out);
}

void strata__batch_sum_total(strata_context *ctx, const float *a, int64_t rows, int64_t n,
                             double *out)
{
    for (int64_t j = 0; j < n; j++)
        out[j] = 0;
    strata__sum_rows(a, rows, n, out);
    strata__sum(ctx, STRATA__BATCH, out, n, STRATA_FLOAT64);
}

void strata__batch_total(strata_context *ctx, double *values, int count)
{
    strata__sum(ctx, STRATA__BATCH, values, count, STRATA_FLOAT64);
}

STRATA__SIMD double strata__batch_dot_part(const float *a, const float *b, int64_t count)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += b ? (double)a[i] * (double)b[i] : (double)a[i];
    return sum;
}
