/* Operations on tensors, for custom layers, Lambda and training loops; named as in keras.ops. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_H
#define STRATA_OPS_H

#include <strata/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Each computes at once and, while a tape records, can be differentiated. On symbolic tensors only
 * the shape is inferred. Operands are float32 unless said otherwise; NULL in gives NULL out.
 * Results belong to the current scope. Local unless said otherwise.
 */

/** a + b, a − b, a · b, a / b, max, min with NumPy broadcasting; ranks may differ. */
STRATA_EXPORT strata_tensor *strata_ops_add(strata_tensor *a, strata_tensor *b);
STRATA_EXPORT strata_tensor *strata_ops_subtract(strata_tensor *a, strata_tensor *b);
STRATA_EXPORT strata_tensor *strata_ops_multiply(strata_tensor *a, strata_tensor *b);
STRATA_EXPORT strata_tensor *strata_ops_divide(strata_tensor *a, strata_tensor *b);
STRATA_EXPORT strata_tensor *strata_ops_maximum(strata_tensor *a, strata_tensor *b);
STRATA_EXPORT strata_tensor *strata_ops_minimum(strata_tensor *a, strata_tensor *b);

/** scale · x + offset. */
STRATA_EXPORT strata_tensor *strata_ops_affine(strata_tensor *x, double scale, double offset);

/** Element by element: x², √x, eˣ, ln x, |x|, −x. */
STRATA_EXPORT strata_tensor *strata_ops_square(strata_tensor *x);
STRATA_EXPORT strata_tensor *strata_ops_sqrt(strata_tensor *x);
STRATA_EXPORT strata_tensor *strata_ops_exp(strata_tensor *x);
STRATA_EXPORT strata_tensor *strata_ops_log(strata_tensor *x);
STRATA_EXPORT strata_tensor *strata_ops_abs(strata_tensor *x);
STRATA_EXPORT strata_tensor *strata_ops_negative(strata_tensor *x);

/** Any activation by its Keras name or notation: "relu", "LeakyReLU(negative_slope=0.1)" is a layer
 * and is refused. */
STRATA_EXPORT strata_tensor *strata_ops_activation(strata_tensor *x, const char *activation);

/**
 * Σ or mean over an axis (negative counts from the end; STRATA_NONE: over all), keeping it with
 * size 1 if asked. Over axis 0 of a batch the sum runs over all ranks and the result is whole: then
 * Collective on the mesh's batch axis.
 */
STRATA_EXPORT strata_tensor *strata_ops_sum(strata_tensor *x, int64_t axis, bool keepdims);
STRATA_EXPORT strata_tensor *strata_ops_mean(strata_tensor *x, int64_t axis, bool keepdims);

/** x · w over the last axis of x and the first of w: (…, k) · (k, n) → (…, n). w is whole. */
STRATA_EXPORT strata_tensor *strata_ops_matmul(strata_tensor *x, strata_tensor *w);

/** Another shape for the axes after the batch; one entry may be −1. */
STRATA_EXPORT strata_tensor *strata_ops_reshape(strata_tensor *x, strata_shape target);

/** Joined along an axis that is not the batch axis. */
STRATA_EXPORT strata_tensor *strata_ops_concatenate(int count, strata_tensor *const *x,
                                                    int64_t axis);

/** Converted to another element type; gradients pass only between floats. */
STRATA_EXPORT strata_tensor *strata_ops_cast(strata_tensor *x, strata_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
