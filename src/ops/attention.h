/* Attention in blocks: the softmax of T × S scores never lies in memory as a whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ATTENTION_H
#define STRATA_OPS_ATTENTION_H

#include "ops/ops.h"

/* What a query gets that sees no key. */
typedef enum strata__blind {
    STRATA__BLIND_MEAN,    /* the mean of all values, as from Keras's fused attention */
    STRATA__BLIND_ZERO,    /* zeros, as from Keras's Softmax with a mask */
    STRATA__BLIND_UNMASKED /* as though nothing were masked: what is left by a constant that is
                              subtracted from all scores, as Keras's Attention does */
} strata__blind;

/*
 * y = softmax(scores)·v for each sequence and head. Which keys j a query i sees: causal: j ≤ i;
 * window > 0: |i − j| < window; and all masks true. Axes of a mask may be 1 where it repeats.
 */
typedef struct strata__attention {
    int64_t heads;          /* of q and y: N */
    int64_t groups;         /* of k and v: M, a divisor of N; head n uses group n / (N / M) */
    double scale;           /* of q; positive */
    bool additive;          /* the score is Σ weights·tanh(scale·q + k), not scale·q·k */
    strata_tensor *weights; /* (H), or one number (), of additive scores; NULL: ones */
    bool causal;
    int64_t window;            /* 0: none */
    strata_tensor *mask;       /* bool (B, …, N, T, S), or NULL */
    strata_tensor *query_mask; /* bool (B, …, T), or NULL */
    strata_tensor *key_mask;   /* bool (B, …, S), or NULL */
    strata_tensor *value_mask; /* bool (B, …, S), or NULL: hides keys as well */
    strata__blind blind;
    double dropout; /* of the softmax; element ((b·N + n)·T + i)·S + j draws by its number */
    strata__key key;
    bool dropped_scores; /* scores are handed out after dropout, not before */
} strata__attention;

/*
 * q (B, …, T, N·H), k (B, …, S, M·H), v (B, …, S, M·V) → (B, …, T, N·V). Features may be split over
 * cols: where each piece of q is so many whole heads the result is split too, and k and v are
 * gathered unless their pieces are the groups of these heads. Else, and for additive scores, all
 * are gathered. scores: not NULL: receives the softmax, (B, …, N, T, S), differentiable; it is
 * formed then, and features are gathered. Products are float32 whatever the precision. Collective
 * on cols where features are split, on the batch axis where a mask is a batch of one, else Local.
 */
strata_tensor *strata__attend(const char *who, strata_tensor *q, strata_tensor *k, strata_tensor *v,
                              const strata__attention *options, strata_tensor **scores);

/* What of split features is gathered over `cols` columns, if nothing else asks for all. */
strata__attention_gathers strata__attention_gathers_of(int64_t heads, int64_t groups, int64_t cols);

#endif
