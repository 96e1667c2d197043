/* Scaled dot-product attention in blocks: the softmax of T × S scores never lies in memory as a
 * whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ATTENTION_H
#define STRATA_OPS_ATTENTION_H

#include "ops/ops.h"

/*
 * y = softmax(scale·q·kᵀ)·v for each sample and head. Which keys j a query i sees: causal: j ≤ i;
 * window > 0: |i − j| < window; mask, query_mask and key_mask true. A query that sees none gets the
 * mean of all v, as Keras's fused attention does.
 */
typedef struct strata__attention {
    int64_t heads;  /* of q and y: N */
    int64_t groups; /* of k and v: M, a divisor of N; head n uses group n / (N / M) */
    double scale;   /* of q·kᵀ */
    bool causal;
    int64_t window;            /* 0: none */
    strata_tensor *mask;       /* bool (B or 1, 1 or N, T, S), or NULL */
    strata_tensor *query_mask; /* bool (B, T), or NULL */
    strata_tensor *key_mask;   /* bool (B, S), or NULL */
    double dropout; /* of the softmax; element ((b·N + n)·T + i)·S + j draws by its number */
    strata__key key;
} strata__attention;

/*
 * q (B, T, N·H), k (B, S, M·H), v (B, S, M·V) → (B, T, N·V). Features may be split over cols where
 * each piece is so many whole heads with the groups they need; they are gathered otherwise. scores:
 * not NULL: receives the softmax before dropout, (B, N, T, S), differentiable; it is formed then,
 * and features are gathered. Products are float32 whatever the precision. Collective on cols where
 * it gathers, else Local.
 */
strata_tensor *strata__attend(const char *who, strata_tensor *q, strata_tensor *k, strata_tensor *v,
                              const strata__attention *options, strata_tensor **scores);

/* Whether pieces of the features over `cols` columns are whole heads with their groups, so that
 * nothing is gathered. */
bool strata__attention_splits(int64_t heads, int64_t groups, int64_t cols);

#endif
