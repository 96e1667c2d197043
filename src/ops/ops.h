/* Operations that layers and losses share; those for users stand in strata/ops.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_OPS_H
#define STRATA_OPS_OPS_H

#include <strata/ops.h>

#include "base/fields.h"
#include "base/random.h"
#include "tensor/tape.h"

/*
 * How an op is written: (1) NULL or failed operands → NULL; (2) check and infer the global shape,
 * error in Keras's words with `who` (a layer's name) in front; (3) strata__tensor_new/like/shaped →
 * return it as it is when symbolic; (4) compute on the local piece (may be empty); (5)
 * strata__record(), fill node->saved. Kernels with loops are separate static functions on plain
 * pointers and sizes. Sums over the batch only through ops/batch.h.
 */

/* --- layout (ops/layout.c) --- */

/* The whole feature axis on every column, gathered over cols; the tensor itself when it is whole.
 * Gradient: the own columns. Collective on cols. */
strata_tensor *strata__whole(strata_tensor *x);
/* The own columns of a whole feature axis. Gradient: gathered. Local / Collective on cols. */
strata_tensor *strata__split(strata_tensor *x);

/* --- activations (ops/activations.c) --- */

extern const strata__family
    strata__activation_family; /* 18 functions, classes with config (negative_slope, …) */
/* Class NULL: linear. Features stay split; softmax and log_softmax over the last axes then sum over
 * cols: Collective there. */
strata_tensor *strata__activate(strata_tensor *x, const strata__object *activation);
/* Whether it treats each element by itself: all but softmax and log_softmax. */
bool strata__activation_elementwise(const strata__object *activation);
/* softmax over several axes with an optional bool mask (masked: −1e9 before, 0 after). Split
 * features are gathered only where the axes are not the last ones. */
strata_tensor *strata__softmax(strata_tensor *x, int axis_count, const int *axes,
                               strata_tensor *mask);
/* relu(x, negative_slope, max_value (NaN: none), threshold); slope and threshold at or above 0. */
strata_tensor *strata__relu(strata_tensor *x, double negative_slope, double max_value,
                            double threshold);

/* --- products (ops/dense.c): y = activation(x · kernel + bias) over the last axis --- */

/*
 * kernel: whole (k × n) or sharded (kernel->matrix): then the products are those of ops/matmul.h, x
 * may be whole or split, and y is split over cols. bias (n) whole or split alike; may be NULL. Bias
 * and an activation of single elements are one pass over the product (ops/activation.h). Gradient:
 * dx = dy·Wᵀ (summed over cols), dW = xᵀ·dy (summed over rows), db = Σ dy.
 */
strata_tensor *strata__dense(const char *who, strata_tensor *x, strata_tensor *kernel,
                             strata_tensor *bias, const strata__object *activation);

/*
 * Rows of the table: indices (any shape, int32 or int64) → (…, d). table whole or sharded (V over
 * rows, d over cols): the result is split over cols, and the members of a column of the mesh
 * exchange the rows they need, each once however often it occurs; gradients go to the owners the
 * same way. An index out of range is deferred (strata__defer) with its sample and the range, and
 * stands for row 0 until then. Collective on rows where the table is sharded.
 */
strata_tensor *strata__embedding(const char *who, strata_tensor *indices, strata_tensor *table);

/* --- convolution and pooling (ops/convolution.c, ops/pooling.c), channels-last inside; rank 1 to 3
 * --- */

typedef struct strata__window {
    int rank; /* spatial axes */
    int64_t size[3], strides[3], dilation[3];
    int64_t before[3], after[3]; /* zero padding */
    bool channels_first;
} strata__window;

/* Output size and padding of one axis by Keras's rule for "valid", "same", "causal". false: no
 * output (size ≤ 0). */
bool strata__window_axis(int64_t n, int64_t size, int64_t stride, int64_t dilation,
                         const char *padding, int64_t *out, int64_t *before, int64_t *after);

/* kernel (k…, c/groups, filters), whole or sharded by filters; bias (filters) or NULL; activation
 * fused where oneDNN can. */
strata_tensor *strata__convolution(const char *who, strata_tensor *x, strata_tensor *kernel,
                                   strata_tensor *bias, const strata__window *window,
                                   int64_t groups, const strata__object *activation);
/* kernel (k…, c, multiplier) → channels c·multiplier + m. */
strata_tensor *strata__depthwise_convolution(const char *who, strata_tensor *x,
                                             strata_tensor *kernel, strata_tensor *bias,
                                             const strata__window *window,
                                             const strata__object *activation);
strata_tensor *strata__max_pooling(const char *who, strata_tensor *x, const strata__window *window);
strata_tensor *strata__average_pooling(const char *who, strata_tensor *x,
                                       const strata__window *window); /* divides by real cells */
strata_tensor *strata__global_average_pooling(const char *who, strata_tensor *x, int rank,
                                              bool channels_first, bool keepdims);

/* --- normalization (ops/normalization.c) --- */

/*
 * Batch normalization over all axes but `axis`, population variance of the whole global batch (sums
 * over the batch axis of the mesh). mask: bool without the feature axis, or NULL. training: moments
 * come out in mean and variance (dim), whole; else they go in.
 */
strata_tensor *strata__batch_normalization(const char *who, strata_tensor *x, int axis,
                                           strata_tensor *gamma, strata_tensor *beta,
                                           strata_tensor *mean, strata_tensor *variance,
                                           double epsilon, strata_tensor *mask, bool training);

/* What becomes of the values x over the axes, with their mean m and variance v. */
typedef enum strata__scaling {
    STRATA__STANDARDIZED,  /* (x − m)/√(v + ε) */
    STRATA__BY_DEVIATION,  /* x/√(v + ε): what Keras's LayerNormalization means by rms_scaling */
    STRATA__BY_MEAN_SQUARE /* x/√(mean of x² + ε) */
} strata__scaling;

/*
 * Each sample by itself over some axes, then ·gamma + beta, of the shape of the axes, whole or
 * split; NULL: neither. Axes at the end stay split, and rows of N samples × positions cost 16·N
 * bytes of a sum over cols each way (8·N by mean square). Others are gathered first. Collective on
 * cols where x is split.
 */
strata_tensor *strata__layer_normalization(const char *who, strata_tensor *x, int axis_count,
                                           const int *axes, strata_tensor *gamma,
                                           strata_tensor *beta, double epsilon,
                                           strata__scaling scaling);

/* --- dropout (ops/dropout.c): x·mask/(1−rate); the mask of element i of the global batch depends
 * on (key, i) only --- */

/* noise_shape: NULL, or one entry an axis, STRATA_NONE = the input's size. */
strata_tensor *strata__dropout(strata_tensor *x, double rate, const strata_shape *noise_shape,
                               strata__key key);

/* --- shapes (ops/shapes.c) --- */

strata_tensor *strata__transpose(strata_tensor *x, const int *permutation);
/*
 * `count` axes as one, and one axis as `count` of these sizes; not the batch axis. With a count
 * below 2 x as it is. Features that are split stay so unless theirs is the axis. Local / Collective
 * on cols.
 */
strata_tensor *strata__fold(strata_tensor *x, int first, int count);
strata_tensor *strata__unfold(strata_tensor *x, int axis, int count, const int64_t *sizes);
/* So many axes of size 1 before axis `at`; not before the axis of a batch, nor behind split
 * features. Local. */
strata_tensor *strata__insert_axes(strata_tensor *x, int at, int count);
/* Keras's merge rule: dims of 1 inserted after the batch axis where ranks differ. */
strata_tensor *strata__expand_like(strata_tensor *x, int rank);

#endif
