/* Scores of attention: products of query and key, and additive ones. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention_blocks.h"
#include "ops/gemm.h"

typedef strata__attention_sizes sizes_of;
typedef strata__attention_head head_of;
typedef strata__attention_block block;

static int64_t width(const block *b)
{
    return b->keys.end - b->keys.first;
}

/* --- products --- */

static void form_products(strata_context *ctx, const sizes_of *z, const head_of *head,
                          const block *b, float *x)
{
    strata__gemm_call product = {.transpose_b = true,
                                 .m = b->count,
                                 .n = width(b),
                                 .k = z->h,
                                 .a = head->q + b->first * z->q_stride,
                                 .lda = z->q_stride,
                                 .b = head->k + b->keys.first * z->k_stride,
                                 .ldb = z->k_stride,
                                 .c = x,
                                 .ldc = b->stride};
    strata__gemm_float32(ctx, &product);
}

/* dq += slopes·k, dk += slopesᵀ·q */
static void add_product_slopes(strata_context *ctx, const sizes_of *z, const head_of *head,
                               const block *b, const float *slopes)
{
    strata__gemm_call to_queries = {.m = b->count,
                                    .n = z->h,
                                    .k = width(b),
                                    .a = slopes,
                                    .lda = b->stride,
                                    .b = head->k + b->keys.first * z->k_stride,
                                    .ldb = z->k_stride,
                                    .beta = 1.0f,
                                    .c = head->dq + b->first * z->q_stride,
                                    .ldc = z->q_stride};
    strata__gemm_call to_keys = {.transpose_a = true,
                                 .m = width(b),
                                 .n = z->h,
                                 .k = b->count,
                                 .a = slopes,
                                 .lda = b->stride,
                                 .b = head->q + b->first * z->q_stride,
                                 .ldb = z->q_stride,
                                 .beta = 1.0f,
                                 .c = head->dk + b->keys.first * z->k_stride,
                                 .ldc = z->k_stride};
    if (head->dq)
        strata__gemm_float32(ctx, &to_queries);
    if (head->dk)
        strata__gemm_float32(ctx, &to_keys);
}

const strata__score_function strata__product_scores = {
    .scaled = true, .form = form_products, .add_slopes = add_product_slopes};

/* --- additive --- */

static strata__keys seen_in(const head_of *head, const block *b, int64_t query)
{
    strata__keys keys = strata__sight_of(&head->masks, query).keys;
    keys.first = keys.first > b->keys.first ? keys.first : b->keys.first;
    keys.end = keys.end < b->keys.end ? keys.end : b->keys.end;
    return keys;
}

static void form_sums(strata_context *ctx, const sizes_of *z, const head_of *head, const block *b,
                      float *x)
{
    (void)ctx;
    for (int64_t i = 0; i < b->count; i++) {
        strata__keys keys = seen_in(head, b, b->first + i);
        strata__additive_row(head->q + (b->first + i) * z->q_stride, z->scale,
                             head->k + keys.first * z->k_stride, z->k_stride, z->weights, z->h,
                             x + i * b->stride + keys.first - b->keys.first, keys.end - keys.first);
    }
}

static void add_sum_slopes(strata_context *ctx, const sizes_of *z, const head_of *head,
                           const block *b, const float *slopes)
{
    (void)ctx;
    for (int64_t i = 0; i < b->count; i++) {
        int64_t query = b->first + i;
        strata__keys keys = seen_in(head, b, query);
        strata__additive_targets targets = {head->dq + query * z->q_stride,
                                            head->dk + keys.first * z->k_stride,
                                            head->dweights + query * z->h};
        strata__additive_slopes(head->q + query * z->q_stride, z->scale,
                                head->k + keys.first * z->k_stride, z->k_stride, z->weights, z->h,
                                slopes + i * b->stride + keys.first - b->keys.first,
                                keys.end - keys.first, targets);
    }
}

const strata__score_function strata__additive_scores = {.form = form_sums,
                                                        .add_slopes = add_sum_slopes};
