/* Stages of a softmax over rows of numbers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_SOFTMAX_ROWS_H
#define STRATA_OPS_SOFTMAX_ROWS_H

#include <stdint.h>

/* most[i] = the largest of row i of x (rows, n); −∞ where n is 0. */
void strata__row_maxima(const float *x, int64_t rows, int64_t n, float *most);

/* sums[i] = Σ e^(x − most[i]) over row i; y (rows, n), unless NULL, receives the terms. y may be x.
 */
void strata__row_exponentials(const float *x, int64_t rows, int64_t n, const float *most, float *y,
                              float *sums);

/* Row i of y divided by sums[i]. */
void strata__row_quotients(float *y, int64_t rows, int64_t n, const float *sums);

#endif
