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
    if (ctx->settings.gemm != STRATA__GEMM_AUTO)
        return ctx->settings.gemm == STRATA__GEMM_OPENBLAS;
    return m < SMALL && n < SMALL && k < SMALL && m * n * k < SMALL;
}

void strata__gemm_float32(strata_context *ctx, const strata__gemm_call *g)
{
    if (by_openblas(ctx, g->m, g->n, g->k))
        cblas_sgemm(CblasRowMajor, g->transpose_a ? CblasTrans : CblasNoTrans,
                    g->transpose_b ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k,
                    1.0f, g->a, (int)g->lda, g->b, (int)g->ldb, g->beta, g->c, (int)g->ldc);
    else
        dnnl_sgemm(g->transpose_a ? 'T' : 'N', g->transpose_b ? 'T' : 'N', g->m, g->n, g->k, 1.0f,
                   g->a, g->lda, g->b, g->ldb, g->beta, g->c, g->ldc);
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
    strata__gemm_call call = {transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc};
    if (ctx->precision == STRATA__MIXED_BFLOAT16)
        strata__gemm_bfloat16(ctx, &call);
    else
        strata__gemm_float32(ctx, &call);
}
