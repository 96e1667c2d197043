/* Blocked attention of one head, forward and backward. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ATTENTION_KERNELS_H
#define STRATA_OPS_ATTENTION_KERNELS_H

#include "base/random.h"

/* Queries and keys of a block: a block of scores and its operands stay in the second-level cache.
 */
enum {
    STRATA__QUERY_BLOCK = 64,
    STRATA__KEY_BLOCK = 256,
    STRATA__ATTENTION_SCRATCH = 2 * STRATA__QUERY_BLOCK * STRATA__KEY_BLOCK /* floats a thread */
};

/* What all heads have in common. Strides: floats from one position to the next. */
typedef struct strata__attention_sizes {
    int64_t t, s, h, v; /* queries, keys, features of q and k, features of v */
    int64_t q_stride, k_stride, v_stride, y_stride;
    float scale;
    bool causal;
    int64_t window; /* 0: none */
    float dropout;
    strata__key key;
} strata__attention_sizes;

/* One head of one sample. Masks: 1 where a key may be seen; NULL: everywhere. */
typedef struct strata__attention_head {
    const float *q, *k, *v;
    float *y;                  /* (t, v) */
    float *log_sums;           /* (t) ln Σ e^score, −INFINITY for a query that sees no key */
    const unsigned char *mask; /* (t, s) */
    const unsigned char *query_mask; /* (t) */
    const unsigned char *key_mask;   /* (s) */
    uint64_t first_draw;             /* number of the head's first element for dropout */
    float *scores;                   /* (t, s) receives the softmax, or NULL */
    /* Backward only. Gradients are added to. */
    const float *dy;
    const float *dscores; /* (t, s) or NULL */
    float *dq, *dk, *dv;  /* NULL: not wanted */
} strata__attention_head;

void strata__attention_forward(strata_context *ctx, const strata__attention_sizes *sizes,
                               const strata__attention_head *head, float *scratch);
void strata__attention_backward(strata_context *ctx, const strata__attention_sizes *sizes,
                                const strata__attention_head *head, float *scratch);

#endif
