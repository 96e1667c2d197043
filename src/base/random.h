/* Counter-based random numbers: the same value for the same (key, index) on every rank and mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_RANDOM_H
#define STRATA_BASE_RANDOM_H

#include "base/context.h"

/* (seed, stream) select a sequence; the index of a value in it is the *global* element number. */
typedef struct strata__key {
    uint64_t seed;   /* the user's, or the context's */
    uint64_t stream; /* what it is for: a hash of a path, mixed with the step where each step draws
                        anew */
} strata__key;

/* FNV-1a of the text, mixed with `number` (0, the step, …). */
uint64_t strata__stream(const char *text, uint64_t number);

/* Philox 4×32-10 (Salmon et al. 2011): four words from a 128-bit counter and a 64-bit key. */
void strata__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Values first … first+count−1 of the sequence. Uniform: [0, 1) with 24 bits. Normal: Box-Muller on
 * pairs of one block. */
void strata__random_words(strata__key key, uint64_t first, int64_t count, uint32_t *out);
void strata__random_uniform(strata__key key, uint64_t first, int64_t count, float *out);
void strata__random_normal(strata__key key, uint64_t first, int64_t count, float *out);
/* Normal values resampled outside two standard deviations: value i depends on (key, i) only. */
void strata__random_truncated_normal(strata__key key, uint64_t first, int64_t count, float *out);

/* Permutation of 0 … count−1 by a keyed Feistel network with cycle walking: image of `index`. No
 * table. */
uint64_t strata__permute(strata__key key, uint64_t count, uint64_t index);

#endif
