/* Rows of attention scores: softmax and its gradient, on whole vectors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ATTENTION_KERNELS_H
#define STRATA_OPS_ATTENTION_KERNELS_H

#include <stdint.h>

/* Rows are made of so many floats at a time: the functions below take multiples of it. */
enum { STRATA__LANES = 16 };

/* What the softmax of a query is made with: p = e^(scale·x − most)·inverse. */
typedef struct strata__softmax_row {
    float most, inverse;
} strata__softmax_row;

/*
 * One more part x (n) of a row: most ← the largest of it and all scale·x, x ← e^(scale·x − most),
 * sum ← sum·factor + Σ x. Returns the factor, e^(most before − most). −∞ in x stands for what is
 * hidden; most begins as −∞.
 */
float strata__softmax_part(float *x, int64_t n, float scale, float *most, float *sum);

/* x ← p */
void strata__softmax_again(float *x, int64_t n, float scale, strata__softmax_row row);
/* slopes ← p·(slopes − mean)·scale; `mean` as exact as two floats */
void strata__softmax_slopes(const float *p, float *slopes, int64_t n, double mean, float scale);

/* The following take any n. */

/* x ← factor·x */
void strata__scale_row(float *x, int64_t n, float factor);
/* x ← x·factors */
void strata__multiply_rows(float *x, const float *factors, int64_t n);
/* x ← x + y */
void strata__add_row(float *x, const float *y, int64_t n);
/* factors of dropout from uniform draws: 1 / (1 − rate), or 0 */
void strata__keep_factors(float *draws, int64_t n, float rate);
float strata__dot_row(const float *a, const float *b, int64_t n);
/* Σ p·x / Σ p; 0 if all p are. Rounding leaves Σ p of a softmax at not quite 1, which gradients
 * that cancel, such as that of the keys' bias, would keep. */
double strata__weighted_mean(const float *p, const float *x, int64_t n);

/* x[j] ← Σ weights·tanh(scale·q + k[j]) for `count` keys of h features, `stride` apart. */
void strata__additive_row(const float *q, float scale, const float *k, int64_t stride,
                          const float *weights, int64_t h, float *x, int64_t count);

/* What a row of additive scores adds to by its slopes. */
typedef struct strata__additive_targets {
    float *dq, *dk, *dweights; /* (h), as k, (h) */
} strata__additive_targets;
void strata__additive_slopes(const float *q, float scale, const float *k, int64_t stride,
                             const float *weights, int64_t h, const float *slopes, int64_t count,
                             strata__additive_targets targets);

#endif
