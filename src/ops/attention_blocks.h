/* Attention of one head, block by block. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ATTENTION_BLOCKS_H
#define STRATA_OPS_ATTENTION_BLOCKS_H

#include "base/random.h"
#include "ops/attention_kernels.h"
#include "ops/attention_masks.h"

/* Queries and keys of a block: its scores and operands stay in the second-level cache. */
enum { STRATA__QUERY_BLOCK = 64, STRATA__KEY_BLOCK = 256 };

struct strata__score_function;

/* What all heads have in common. Strides: floats from one position to the next. */
typedef struct strata__attention_sizes {
    int64_t t, s, h, v; /* queries, keys, features of q and k, features of v */
    int64_t q_stride, k_stride, v_stride, y_stride;
    float scale;
    const float *weights; /* (h) of additive scores */
    const struct strata__score_function *score;
    float dropout;
    strata__key key;
    bool dropped_scores;
} strata__attention_sizes;

/* One head of one sequence. */
typedef struct strata__attention_head {
    const float *q, *k, *v;    /* (t, h), (s, h), (s, v) */
    float *y;                  /* (t, v) */
    strata__softmax_row *rows; /* (t) */
    strata__head_masks masks;
    uint64_t first_draw; /* number of the head's first element for dropout */
    float *scores;       /* (t, s) receives the softmax, or NULL */
    /* Backward only. Gradients are added to. */
    const float *dy;      /* NULL: zeros */
    const float *dscores; /* (t, s) or NULL */
    float *dq, *dk, *dv;  /* NULL: not wanted; of additive scores dq and dk are there */
    float *dweights;      /* (t, h): what each query gives to the weights of additive scores */
} strata__attention_head;

/* A block of a head: queries and keys, and its scores (queries × stride). */
typedef struct strata__attention_block {
    int64_t first, count; /* queries */
    strata__keys keys;
    int64_t stride; /* at least as many as keys, a multiple of STRATA__LANES */
} strata__attention_block;

/* How scores are formed. */
typedef struct strata__score_function {
    bool scaled; /* what `form` leaves is still to be multiplied by the scale */
    /* x ← scores of the block. */
    void (*form)(strata_context *ctx, const strata__attention_sizes *sizes,
                 const strata__attention_head *head, const strata__attention_block *block,
                 float *x);
    /* Adds to dq, dk and dweights what the slopes of the block's scores give. */
    void (*add_slopes)(strata_context *ctx, const strata__attention_sizes *sizes,
                       const strata__attention_head *head, const strata__attention_block *block,
                       const float *slopes);
} strata__score_function;
extern const strata__score_function strata__product_scores;  /* q·k, scaled */
extern const strata__score_function strata__additive_scores; /* Σ weights·tanh(scale·q + k) */

/* Floats that each thread needs. */
int64_t strata__attention_scratch(const strata__attention_sizes *sizes);
void strata__attention_forward(strata_context *ctx, const strata__attention_sizes *sizes,
                               const strata__attention_head *head, float *scratch);
void strata__attention_backward(strata_context *ctx, const strata__attention_sizes *sizes,
                                const strata__attention_head *head, float *scratch);

#endif
