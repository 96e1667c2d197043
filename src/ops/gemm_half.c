/* Products of matrices whose elements are rounded to bfloat16, with float32 sums. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "mesh/mesh.h"
#include "ops/gemm.h"
#include "ops/half.h"
#include "ops/onednn.h"
#include "ops/reduce.h"

/*
 * A product of two bfloat16 numbers is exact in float32. So on processors without matrix tiles the
 * operands are rounded and multiplied as float32: oneDNN's bfloat16 kernels are half as fast there
 * as its float32 ones (measured: 110 against 215 GF/s on AVX-512 with bfloat16). With tiles (AMX)
 * they are three and more times faster, the conversion included.
 */
static bool has_tiles(void)
{
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) ==
           dnnl_cpu_isa_avx512_core_amx;
}

/* --- by rounding --- */

static void multiply_rounded(strata_context *ctx, const strata__gemm_call *g)
{
    float *a = strata__scratch(ctx, g->m * g->k, sizeof *a),
          *b = strata__scratch(ctx, g->k * g->n, sizeof *b);
    strata__half_round(g->a, g->transpose_a ? g->k : g->m, g->transpose_a ? g->m : g->k, g->lda, a);
    strata__half_round(g->b, g->transpose_b ? g->n : g->k, g->transpose_b ? g->k : g->n, g->ldb, b);
    strata__gemm_call rounded = *g;
    rounded.a = a;
    rounded.lda = g->transpose_a ? g->m : g->k;
    rounded.b = b;
    rounded.ldb = g->transpose_b ? g->k : g->n;
    strata__gemm_float32(ctx, &rounded);
    strata__free(ctx, b);
    strata__free(ctx, a);
}

/* --- by oneDNN's bfloat16 matmul --- */

static dnnl_status_t describe(dnnl_memory_desc_t *layout, int64_t m, int64_t n, bool transposed,
                              dnnl_data_type_t type)
{
    dnnl_dims_t dims = {m, n}, strides = {transposed ? 1 : n, transposed ? m : 1};
    return dnnl_memory_desc_init_by_strides(layout, 2, dims, type, strides);
}

/* batch: m, filters: n, channels: k; input[0], input[1]: which operands are transposed. */
static dnnl_status_t make(dnnl_engine_t engine, const strata__primitive_key *key,
                          dnnl_primitive_attr_t attributes, strata__primitive_plan *plan)
{
    dnnl_memory_desc_t a, b, c;
    dnnl_matmul_desc_t product;
    describe(&a, key->batch, key->channels, key->input[0], dnnl_bf16);
    describe(&b, key->channels, key->filters, key->input[1], dnnl_bf16);
    describe(&c, key->batch, key->filters, false, dnnl_f32);
    plan->count = 3;
    plan->operands[0] = (strata__operand){DNNL_ARG_SRC, false, a};
    plan->operands[1] = (strata__operand){DNNL_ARG_WEIGHTS, false, b};
    plan->operands[2] = (strata__operand){DNNL_ARG_DST, true, c};
    dnnl_status_t status = dnnl_matmul_desc_init(&product, &a, &b, NULL, &c);
    if (status != dnnl_success)
        return status;
    return dnnl_primitive_desc_create(&plan->descriptor, &product, attributes, engine, NULL);
}

static void add_rows(const float *from, float beta, float *c, int64_t ldc, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++) {
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = from[i * n + j] + (beta == 0.0f ? 0.0f : beta * c[i * ldc + j]);
    }
}

static void multiply_in_tiles(strata_context *ctx, const strata__gemm_call *g)
{
    strata__primitive_key key = {.kind = STRATA__PRODUCT,
                                 .batch = g->m,
                                 .filters = g->n,
                                 .channels = g->k,
                                 .input = {g->transpose_a, g->transpose_b}};
    strata__primitive *primitive = strata__primitive_for(ctx, &key, make);
    if (!primitive)
        strata__abort(ctx, "product of matrices in bfloat16");
    bool direct = g->beta == 0.0f && g->ldc == g->n;
    uint16_t *a = strata__scratch(ctx, g->m * g->k, sizeof *a),
             *b = strata__scratch(ctx, g->k * g->n, sizeof *b);
    float *c = direct ? g->c : strata__scratch(ctx, g->m * g->n, sizeof *c);
    strata__half_from(g->a, g->transpose_a ? g->k : g->m, g->transpose_a ? g->m : g->k, g->lda, a);
    strata__half_from(g->b, g->transpose_b ? g->n : g->k, g->transpose_b ? g->k : g->n, g->ldb, b);
    strata__primitive_run(ctx, primitive, (void *const[]){a, b, c});
    if (!direct) {
        add_rows(c, g->beta, g->c, g->ldc, g->m, g->n);
        strata__free(ctx, c);
    }
    strata__free(ctx, b);
    strata__free(ctx, a);
    strata__gemm_finish(g, 0, g->m);
}

void strata__gemm_bfloat16(strata_context *ctx, const strata__gemm_call *call)
{
    strata__gemm_call product = *call; /* sums are of what is not rounded */
    product.b_sums = NULL;
    if (call->b_sums)
        strata__sum_rows(call->b, call->k, call->n, call->b_sums);
    bool tiles = ctx->settings.gemm == STRATA__GEMM_AUTO
                     ? has_tiles()
                     : ctx->settings.gemm == STRATA__GEMM_ONEDNN;
    if (tiles)
        multiply_in_tiles(ctx, &product);
    else
        multiply_rounded(ctx, &product);
}
