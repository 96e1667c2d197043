/* Matrix products of one thread by AVX-512. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_GEMM_AVX512_H
#define STRATA_OPS_GEMM_AVX512_H

#include "ops/gemm.h"

/* Whether the processor has AVX-512 and the product is one that is faster here than in oneDNN on
 * one thread. Local. */
bool strata__gemm_avx512_suits(const strata__gemm_call *call);

/*
 * The product, rows finished as soon as they are formed. An element is the bias and its k terms,
 * added in the order of k, whatever m and n are. In a parallel region only where
 * strata__gemm_avx512_needs_memory() is false. Local.
 */
void strata__gemm_avx512(strata_context *ctx, const strata__gemm_call *call);
bool strata__gemm_avx512_needs_memory(const strata__gemm_call *call);

#endif
