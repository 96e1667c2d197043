/* Local matrix products, by what is fastest. */
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

typedef struct strata__gemm_call {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float beta;
    float *c;
    int64_t ldc;
    const float *bias; /* NULL, or (n), added to each row of c */
    double *b_sums; /* NULL, or (n): gets Σ of b's rows added; b is not transposed then, ldb = n */
    /* NULL, or called once for each row of c when it is formed, some rows at a time while they are
     * in the cache. */
    void (*finish)(const void *user, int64_t first, int64_t count);
    const void *user;
} strata__gemm_call;

/* The same with all that a product can have. Local. */
void strata__gemm_call_run(strata_context *ctx, const strata__gemm_call *call);

/* Bias and finish of some rows of c that are formed. Local. */
void strata__gemm_finish(const strata__gemm_call *call, int64_t first, int64_t count);

/* float32 whatever the precision; no size is 0. May be called by threads of a parallel region.
 * Local. */
void strata__gemm_float32(strata_context *ctx, const strata__gemm_call *call);
/* Elements rounded to bfloat16; no size is 0. Local. */
void strata__gemm_bfloat16(strata_context *ctx, const strata__gemm_call *call);

#endif
