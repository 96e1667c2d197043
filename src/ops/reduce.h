/* Sums along an axis of local memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_REDUCE_H
#define STRATA_OPS_REDUCE_H

#include <stdint.h>

/* y (outer, inner) = beta·y + Σ over the middle axis of x (outer, n, inner), summed in double. y
 * may be x where beta is 0. */
void strata__sum_axis(const float *x, int64_t outer, int64_t n, int64_t inner, float beta,
                      float *y);

/* sums (n) += Σ over the rows of x (rows, n). */
void strata__sum_rows(const float *x, int64_t rows, int64_t n, double *sums);

/* y (n) = beta·y + sums. */
void strata__store_sums(float *y, float beta, const double *sums, int64_t n);

#endif
