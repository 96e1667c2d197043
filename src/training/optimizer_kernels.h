/* Vectorised loops that all optimizers share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_OPTIMIZER_KERNELS_H
#define STRATA_TRAINING_OPTIMIZER_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* x ← x·factor. */
void strata__scale(int64_t count, float *x, float factor);

/* x ← min(max(x, −bound), bound); NaN stays. */
void strata__bound(int64_t count, float *x, float bound);

/* sum ← sum + x. */
void strata__accumulate(int64_t count, float *sum, const float *x);

/* x ← (sum + x) / n, sum ← 0. */
void strata__take_mean(int64_t count, float *x, float *sum, float n);

/* average ← keep·average + (1 − keep)·w, and w ← average if it overwrites. */
void strata__average(int64_t count, float *average, float *w, float keep, bool overwrites);

/* Σ x². */
double strata__squares(int64_t count, const float *x);

#endif
