/* Tensors: values on the mesh, and gradients of what was computed with them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TENSOR_H
#define STRATA_TENSOR_H

#include <strata/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A tensor has a global shape and, on each rank, a local piece: axis 0 of a batch is split over
 * data × rows of the mesh, the last axis may be split over cols. A tensor made by strata_input() is
 * symbolic: it has a shape but no values. Results of operations belong to the current scope (a
 * training step, a call of predict) and are released with it. Errors are sticky: NULL in gives NULL
 * out, and the context keeps the first error.
 */

/** A tensor with the same values on every rank, copied from `data` (row-major). Caller:
 * strata_tensor_release(). Local. */
STRATA_EXPORT strata_tensor *strata_tensor_from(strata_context *ctx, strata_dtype dtype,
                                                strata_shape shape, const void *data);

/** A batch from `data`, the whole of it on every rank (row-major): each rank keeps its samples.
 * Otherwise as above. Local. */
STRATA_EXPORT strata_tensor *strata_tensor_batch_from(strata_context *ctx, strata_dtype dtype,
                                                      strata_shape shape, const void *data);

/** Global shape. Local. */
STRATA_EXPORT strata_shape strata_tensor_shape(const strata_tensor *tensor);

/** Shape of this rank's piece. Local. */
STRATA_EXPORT strata_shape strata_tensor_local_shape(const strata_tensor *tensor);

STRATA_EXPORT strata_dtype strata_tensor_dtype(const strata_tensor *tensor);

/** This rank's values, row-major, owned by the tensor; NULL when symbolic. Local. */
STRATA_EXPORT const void *strata_tensor_data(const strata_tensor *tensor);

/** Copies the whole tensor to `data` on every rank. Collective on the mesh. */
STRATA_EXPORT strata_status strata_tensor_gather(const strata_tensor *tensor, void *data);

/** Takes a result out of its scope; the caller then owns it. Returns the tensor. Local. */
STRATA_EXPORT strata_tensor *strata_tensor_keep(strata_tensor *tensor);

/** Gives back a tensor that the caller owns. NULL is fine. Local. */
STRATA_EXPORT void strata_tensor_release(strata_tensor *tensor);

/**
 * Opens and closes a scope: results made in between, and not kept, are released by the close.
 * Scopes nest. Within one, as in every step, ranks wait for each other's results: memory that is
 * short on one of several ends the job with one message and exit code 71. Local.
 */
STRATA_EXPORT void strata_scope_begin(strata_context *ctx);
STRATA_EXPORT void strata_scope_end(strata_context *ctx);

/** Starts recording operations for gradients, inside a scope. Ended by strata_tape_gradient().
 * Local. */
STRATA_EXPORT strata_status strata_tape_begin(strata_context *ctx);

/** From now on gradients with respect to this tensor are wanted (tf.GradientTape.watch). Local. */
STRATA_EXPORT void strata_tape_watch(strata_tensor *tensor);

/**
 * Gradients of Σ targets[i]·upstream[i] with respect to what was watched and to trainable
 * variables; upstream NULL, or an entry of it, means ones; it has its target's shape and is whole
 * or lies as the target does. A target that is the same on all ranks, as a sum over the batch is,
 * counts once. Ends the recording. Read them with strata_tensor_gradient(). Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_tape_gradient(strata_context *ctx, int count,
                                                 strata_tensor *const *targets,
                                                 strata_tensor *const *upstream);

/**
 * Gradient that the last strata_tape_gradient() whose recording used it left on a watched tensor:
 * this rank's piece for a batch; of a whole tensor, such as a weight, this rank's part, and the sum
 * over data × rows is the gradient. NULL when the targets do not depend on it. Owned by the tensor,
 * valid until the scope ends. Local.
 */
STRATA_EXPORT strata_tensor *strata_tensor_gradient(const strata_tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
