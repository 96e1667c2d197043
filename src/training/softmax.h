/* Softmax of a row together with its log-sum-exp: the heart of the cross-entropies. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_SOFTMAX_H
#define STRATA_TRAINING_SOFTMAX_H

#include <stdint.h>

/* log Σ e^x of x (n); p (n), unless NULL, receives e^x / Σ e^x. Neither overflows. */
float strata__softmax_row(int64_t n, const float *x, float *p);

#endif
