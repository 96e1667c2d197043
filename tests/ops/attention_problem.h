/* Problems of attention with their solutions by plain loops. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_OPS_ATTENTION_PROBLEM_H
#define STRATA_TESTS_OPS_ATTENTION_PROBLEM_H

#include "numbers.h"
#include "ops/attention.h"

typedef enum masking {
    NO_MASK,
    MASK_OF_HEADS,  /* (b, x, heads, t, s) */
    MASK_OF_ALL,    /* (1, 1, 1, t, s), the same on all ranks */
    MASK_OF_ONE,    /* the same, as a batch of one sample */
    MASK_OF_KEYS,   /* (1, 1, heads, 1, s) */
    MASK_OF_QUERIES /* (b, 1, 1, t, 1), whole on all ranks */
} masking;

/* q (b, x, t, heads·h), k (b, x, s, groups·h), v (b, x, s, groups·v); x 0: no such axis. */
typedef struct problem {
    int64_t b, x, t, s, heads, groups, h, v;
    bool causal;
    int64_t window;
    masking mask;
    bool query_mask, key_mask, value_mask;
    strata__blind blind;
    bool additive;
    int weights; /* of additive scores: 0: none, 1: one number, h: as many */
    double dropout;
    bool split, scores, dropped_scores, whole;
} problem;

/* Solves the problems, and computes and compares each on every mesh of this many ranks. */
void check_on_every_mesh(const problem *problems, size_t count);

#endif
