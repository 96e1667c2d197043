/* Local matrix products, by the faster of oneDNN and OpenBLAS. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_GEMM_H
#define STRATA_OPS_GEMM_H

#include "base/context.h"

/*
 * c (m × n) = op(a)·op(b) + beta·c, row-major with leading dimensions; op transposes where asked.
 * Any size may be 0. While ctx->precision is mixed bfloat16 the elements of a and b are rounded to
 * bfloat16; sums are float32 always. Local.
 */
void strata__gemm(strata_context *ctx, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                  int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
                  float *c, int64_t ldc);

/* --- for the two of them --- */

typedef struct strata__gemm_call {
    bool transpose_a, transpose_b;
    int64_t m, n, k; /* none is 0 */
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float beta;
    float *c;
    int64_t ldc;
} strata__gemm_call;

void strata__gemm_float32(strata_context *ctx, const strata__gemm_call *call);
void strata__gemm_bfloat16(strata_context *ctx, const strata__gemm_call *call);

#endif
