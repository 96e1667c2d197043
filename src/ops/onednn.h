/* oneDNN in the context: engine, stream, and primitives cached by what they compute; freed with the
 * context. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ONEDNN_H
#define STRATA_OPS_ONEDNN_H

#include <dnnl.h>

#include "ops/ops.h"

typedef enum strata__primitive_kind {
    STRATA__CONVOLUTION,
    STRATA__CONVOLUTION_DATA,    /* gradient of the input */
    STRATA__CONVOLUTION_WEIGHTS, /* gradients of kernel and bias */
    STRATA__MAX_POOLING,
    STRATA__MAX_POOLING_DATA,
    STRATA__AVERAGE_POOLING,
    STRATA__AVERAGE_POOLING_DATA,
    STRATA__PRODUCT /* of matrices in bfloat16 */
} strata__primitive_kind;

/*
 * All that the making of a primitive depends on: local sizes, channels-last. Compared byte by byte,
 * hence members of one size. Unused spatial axes are zero.
 */
typedef struct strata__primitive_key {
    int64_t kind;
    int64_t rank;
    int64_t batch, channels, filters, groups; /* pooling: filters = channels, groups = 1 */
    int64_t input[3], output[3];
    int64_t size[3], strides[3], dilation[3], before[3], after[3];
    int64_t bias;      /* convolution: whether there is one */
    int64_t relu;      /* convolution: whether a relu follows */
    int64_t workspace; /* max pooling: whether places of maxima are kept for the gradient */
} strata__primitive_key;

#define STRATA__OPERANDS 4

/* An operand as the caller holds it. Where the primitive prefers another layout, it is converted at
 * each run. */
typedef struct strata__operand {
    int argument; /* DNNL_ARG_SRC, … */
    bool result;
    dnnl_memory_desc_t layout;
} strata__operand;

typedef struct strata__primitive_plan {
    dnnl_primitive_desc_t descriptor;
    int count;
    strata__operand operands[STRATA__OPERANDS];
} strata__primitive_plan;

/* Fills in descriptor (handed over) and operands. Scratchpads are the caller's, so `attributes`
 * must be passed on. */
typedef dnnl_status_t strata__primitive_make(dnnl_engine_t engine, const strata__primitive_key *key,
                                             dnnl_primitive_attr_t attributes,
                                             strata__primitive_plan *plan);

typedef struct strata__primitive strata__primitive;

/*
 * The primitive of the key, made on first use; NULL after an error. Valid until the next call: the
 * cache has a bound, and drops what has not been used for the longest time. Local.
 */
strata__primitive *strata__primitive_for(strata_context *ctx, const strata__primitive_key *key,
                                         strata__primitive_make *make);

/* Runs it; data[i] is the memory of operand i of the plan. Local. */
void strata__primitive_run(strata_context *ctx, strata__primitive *primitive, void *const *data);

/* Bytes of an operand as the caller holds it. */
size_t strata__primitive_bytes(const strata__primitive *primitive, int operand);

/* --- for those who make primitives --- */

/* float32 activations (batch, channels, axes…) in channels-last order; axes are spatial sizes. */
dnnl_memory_desc_t strata__channels_last(int64_t rank, int64_t batch, int64_t channels,
                                         const int64_t *axes);

#endif
