/* Local matrix products, by what is fastest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm.h"

#include <cblas.h>
#include <dnnl.h>
#include <omp.h>

#include "base/vector.h"
#include "ops/gemm_avx512.h"
#include "ops/reduce.h"
#include "ops/threads.h"

static void scale(float *c, int64_t ldc, int64_t m, int64_t n, float beta)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0.0f ? 0.0f : beta * c[i * ldc + j];
    }
}

/* --- what follows a product --- */

STRATA__SIMD static void add_bias(const void *user, int64_t first, int64_t count)
{
    const strata__gemm_call *g = user;
    for (int64_t i = first; i < first + count; i++) {
        float *c = g->c + i * g->ldc;
#pragma omp simd
        for (int64_t j = 0; j < g->n; j++)
            c[j] += g->bias[j];
    }
}

void strata__gemm_finish(const strata__gemm_call *g, int64_t first, int64_t count)
{
    if (g->bias) {
        strata__gemm_call rows = *g;
        rows.c += first * g->ldc;
        strata__on_threads(count, g->n, add_bias, &rows);
    }
    if (g->finish)
        g->finish(g->user, first, count);
}

/* --- libraries --- */

static void by_openblas(const strata__gemm_call *g)
{
    cblas_sgemm(CblasRowMajor, g->transpose_a ? CblasTrans : CblasNoTrans,
                g->transpose_b ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1.0f,
                g->a, (int)g->lda, g->b, (int)g->ldb, g->beta, g->c, (int)g->ldc);
}

static void by_onednn(const strata__gemm_call *g)
{
    dnnl_sgemm(g->transpose_a ? 'T' : 'N', g->transpose_b ? 'T' : 'N', g->m, g->n, g->k, 1.0f, g->a,
               g->lda, g->b, g->ldb, g->beta, g->c, g->ldc);
}

/*
 * Rows that are finished before the next ones are formed: they are still in the second-level cache
 * of the core then, with a b that fits there too.
 */
enum { B_IN_CACHE = 1 << 18, ROWS_IN_CACHE = 1 << 15 };

static int64_t rows_at_a_time(const strata__gemm_call *g)
{
    int64_t rows = (int64_t)ROWS_IN_CACHE * omp_get_max_threads() / (g->n + 1) + 1;
    return !(g->finish || g->bias) || g->k * g->n > B_IN_CACHE || rows > g->m ? g->m : rows;
}

static void by_library(const strata__gemm_call *g, void (*multiply)(const strata__gemm_call *))
{
    if (g->b_sums)
        strata__sum_rows(g->b, g->k, g->n, g->b_sums);
    int64_t height = rows_at_a_time(g);
    for (int64_t first = 0; first < g->m; first += height) {
        strata__gemm_call part = *g;
        part.m = g->m - first < height ? g->m - first : height;
        part.a += first * (g->transpose_a ? 1 : g->lda);
        part.c += first * g->ldc;
        multiply(&part);
        strata__gemm_finish(g, first, part.m);
    }
}

/* --- the choice --- */

/*
 * oneDNN's kernels are ahead of OpenBLAS nearly everywhere, most on two threads (2048 × 1024 × 256:
 * 433 against 384 GF/s, 64 × 512 × 512: 432 against 98), and they fit the machine: OpenBLAS 0.3.21
 * falls back to SSE3 on processors that are newer than it. But a call costs 0.3 µs against 0.05 µs,
 * which counts below some thousand multiplications.
 */
enum { FEW = 4096 };

static bool is_small(const strata__gemm_call *g)
{
    return g->m < FEW && g->n < FEW && g->k < FEW && g->m * g->n * g->k < FEW;
}

static bool by_own_kernels(const strata__gemm_call *g)
{
    if (omp_in_parallel() ? strata__gemm_avx512_needs_memory(g) : omp_get_max_threads() > 1)
        return false;
    return strata__gemm_avx512_suits(g);
}

void strata__gemm_float32(strata_context *ctx, const strata__gemm_call *g)
{
    strata__gemm_library library = ctx->settings.gemm;
    if (library == STRATA__GEMM_AUTO && by_own_kernels(g))
        strata__gemm_avx512(ctx, g);
    else if (library == STRATA__GEMM_AUTO ? is_small(g) : library == STRATA__GEMM_OPENBLAS)
        by_library(g, by_openblas);
    else
        by_library(g, by_onednn);
}

void strata__gemm_call_run(strata_context *ctx, const strata__gemm_call *g)
{
    if (g->m == 0 || g->n == 0 || g->k == 0) {
        if (g->b_sums)
            strata__sum_rows(g->b, g->k, g->n, g->b_sums);
        scale(g->c, g->ldc, g->m, g->n, g->beta);
        strata__gemm_finish(g, 0, g->m);
        return;
    }
    if (ctx->precision == STRATA__MIXED_BFLOAT16)
        strata__gemm_bfloat16(ctx, g);
    else
        strata__gemm_float32(ctx, g);
}

void strata__gemm(strata_context *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                  int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                  float *c, int64_t ldc)
{
    strata__gemm_call call = {.transpose_a = transpose_a,
                              .transpose_b = transpose_b,
                              .m = m,
                              .n = n,
                              .k = k,
                              .a = a,
                              .lda = lda,
                              .b = b,
                              .ldb = ldb,
                              .beta = beta,
                              .c = c,
                              .ldc = ldc};
    strata__gemm_call_run(ctx, &call);
}
