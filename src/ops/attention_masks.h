/* Which keys a query of attention sees. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ATTENTION_MASKS_H
#define STRATA_OPS_ATTENTION_MASKS_H

#include "ops/attention.h"

enum { STRATA__ATTENTION_MASKS = 4 };

/* A mask as the work sees it: strides of 0 where it repeats. */
typedef struct strata__mask_view {
    const unsigned char *data;      /* of this rank's first sequence */
    int axes;                       /* before heads: batch, … */
    int64_t sizes[STRATA_MAX_RANK]; /* of those axes, this rank's */
    int64_t strides[STRATA_MAX_RANK];
    int64_t head, row, column; /* strides */
} strata__mask_view;

/* All that hides keys, for all heads. */
typedef struct strata__attention_masks {
    int64_t t, s;
    bool causal;
    int64_t window; /* 0: none */
    strata__blind blind;
    int count;
    strata__mask_view views[STRATA__ATTENTION_MASKS];
    strata_tensor *tensors[STRATA__ATTENTION_MASKS]; /* that the views look at */
} strata__attention_masks;

/* Whether the masks of a call fit its operands; symbolic ones as far as sizes are known. */
bool strata__attention_masks_fit(const char *who, const strata_tensor *q, const strata_tensor *k,
                                 const strata__attention *options);
/*
 * Masks that fit operands which are not symbolic. False: no memory. Tensors that had to be made
 * belong to the scope. Collective on the batch axis for a mask that is a batch of one, on cols for
 * one that is split.
 */
bool strata__attention_masks_make(const strata_tensor *q, const strata_tensor *k,
                                  const strata__attention *options, strata__attention_masks *masks);

/* Keys first … end − 1: none is seen outside. */
typedef struct strata__keys {
    int64_t first, end;
} strata__keys;

/* Of one head of one sequence. */
typedef struct strata__head_masks {
    const strata__attention_masks *all;
    const unsigned char *data[STRATA__ATTENTION_MASKS];
    strata__keys keys; /* what masks leave that are the same for all queries */
} strata__head_masks;
strata__head_masks strata__head_masks_of(const strata__attention_masks *masks, int64_t sequence,
                                         int64_t head);

/* What a query sees. */
typedef struct strata__sight {
    strata__keys keys; /* the first and the last of them are seen */
    bool masked;       /* of those between only some: strata__hide_keys() tells which */
    bool blind;        /* it sees none; `keys` are those that it gets instead */
} strata__sight;
strata__sight strata__sight_of(const strata__head_masks *masks, int64_t query);

/* row[j − key] ← −∞ for those of the keys that masks hide from the query. */
void strata__hide_keys(const strata__head_masks *masks, int64_t query, strata__keys keys,
                       int64_t key, float *row);

#endif
