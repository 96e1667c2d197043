/* Local matrix products, by the faster of oneDNN and OpenBLAS. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm.h"

#include <cblas.h>
#include <dnnl.h>

static void scale(float *c, int64_t ldc, int64_t m, int64_t n, float beta)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0.0f ? 0.0f : beta * c[i * ldc + j];
    }
}

/*
 * oneDNN's kernels are ahead nearly everywhere, most on two threads (2048 × 1024 × 256: 433 against
 * 384 GF/s, 64 × 512 × 512: 432 against 98), and they fit the machine: OpenBLAS 0.3.21 falls back
 * to SSE3 on processors that are newer than it. But a call costs 0.3 µs against 0.05 µs, which
 * counts below some thousand multiplications.
 */
enum { SMALL = 4096 };

static bool by_openblas(const strata_context *ctx, int64_t m, int64_t n, int64_t k)
{
    if (ctx->gemm != STRATA__GEMM_AUTO)
        return ctx->gemm == STRATA__GEMM_OPENBLAS;
    return m < SMALL && n < SMALL && k < SMALL && m * n * k < SMALL;
}

void strata__gemm(strata_context *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                  int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                  float *c, int64_t ldc)
{
    if (m == 0 || n == 0)
        return;
    if (k == 0) {
        scale(c, ldc, m, n, beta);
        return;
    }
    if (by_openblas(ctx, m, n, k))
        cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                    transpose_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, a,
                    (int)lda, b, (int)ldb, beta, c, (int)ldc);
    else
        dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb,
                   beta, c, ldc);
}
