/* Contractions over the batch axis: all of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_BATCH_H
#define STRATA_OPS_BATCH_H

#include "tensor/tensor.h"

/*
 * Weight and bias gradients, batch statistics, sums of losses and metrics all pass here, so that a
 * reproducible mode has one place to live. "Part": the sum over this rank's samples only, reduced
 * later by the arenas. "Total": summed over the batch axis of the mesh, Collective there. Rows are
 * samples × inner positions.
 */

/* c (k × n) = beta·c + aᵀ·b, a (rows × k), b (rows × n): gradient of a kernel; and, unless it is
 * NULL, sum (n) = sum_beta·sum + Σ_rows b: gradient of a bias. Part. */
void strata__batch_product_part(strata_context *ctx, const float *a, const float *b, int64_t rows,
                                int64_t k, int64_t n, float beta, float *c, float sum_beta,
                                float *sum);

/* out (n) = beta·out + Σ_rows a (rows × n): gradient of a bias. Part. */
void strata__batch_sum_part(const float *a, int64_t rows, int64_t n, float beta, float *out);

/* out (n) = Σ over rows of all ranks, in double. Total. */
void strata__batch_sum_total(strata_context *ctx, const float *a, int64_t rows, int64_t n,
                             double *out);

/* values[i] ← Σ over ranks. Short; for sums and counts that the caller formed over local samples
 * with strata__batch_dot. Total. */
void strata__batch_total(strata_context *ctx, double *values, int count);

/* Σ a[i]·b[i] in double over local samples; b NULL: Σ a[i]. Part. */
double strata__batch_dot_part(const float *a, const float *b, int64_t count);

/*
 * sum[j] += Σ_rows w·a[., j] and dot[j] += Σ_rows w·a[., j]·b[., j] in double, a and b (rows × n),
 * w (rows) or NULL: ones. Rows of weight 0 may hold anything, NaN too. Moments of a batch (b = a),
 * gradients of scales and offsets. Part.
 */
void strata__batch_moments_part(const float *a, const float *b, const float *w, int64_t rows,
                                int64_t n, double *sum, double *dot);

/*
 * Adds such sums to the gradient of a vector, if it wants one. x split: the sums are those of its
 * own columns, and for a whole vector they are gathered. Collective on cols then.
 */
void strata__batch_gradient_part(strata_tensor *vector, const strata_tensor *x, const double *sums);

#endif
