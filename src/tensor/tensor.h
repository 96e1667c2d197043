/* Tensors from the inside: shape, layout on the mesh, buffer, scope. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TENSOR_TENSOR_H
#define STRATA_TENSOR_TENSOR_H

#include <strata/tensor.h>

#include "mesh/descriptor.h"
#include "mesh/mesh.h"

/* Memory with a count of its users: reshapes and gradients share it. */
typedef struct strata__buffer {
    int references;
    bool borrowed; /* somebody else owns `data` */
    void *data;
} strata__buffer;

/* How a tensor lies on the mesh. Both false: whole, the same on every rank that uses it. */
typedef struct strata__layout {
    bool batch; /* axis 0 over data × rows, in blocks of ceil(n / (data·rows)) */
    bool split; /* last axis over cols, in blocks of ceil(n / cols) */
} strata__layout;

struct strata_tensor {
    strata_context *ctx;
    int references;
    strata_tensor *previous, *next; /* in the scope's list; both NULL and `scope` NULL when kept */
    struct strata__scope *scope;
    strata_dtype dtype;
    strata_shape shape; /* global; dims[0] is STRATA_NONE in a symbolic batch */
    strata_shape local; /* this rank's piece */
    strata__layout layout;
    int64_t first_sample;         /* global number, within the batch, of local sample 0 */
    int64_t first_feature;        /* global number of local feature 0 */
    const strata__matrix *matrix; /* kernel of a sharded layer: (prod(shape[:-1]) × shape[-1]) over
                                     rows × cols; else NULL */
    strata__buffer *buffer;
    void *data; /* row-major; NULL when symbolic */
    bool symbolic;
    bool part; /* a scalar whose values on the ranks of the batch axis add up to the number it
                  stands for (a loss) */

    /* Gradient; see tape.h */
    bool divides_gradient; /* whole, and its gradient function divides what arrives among the
                              replicas */
    bool wants_gradient;
    bool watched; /* its gradient stays after the walk */
    strata_tensor *gradient;
    float *sink;      /* a variable's gradient goes here, instead of into `gradient` */
    bool sink_filled; /* something has been written there in this pass: add */
    int uses;         /* nodes of the tape that have this variable as input and have not run yet */
    strata_variable *variable;

    strata_tensor *mask; /* Keras mask, bool, shape without the feature axis; or NULL */
    strata_tensor *
        logits; /* result of softmax or sigmoid: its input, so that losses can be computed stably */
    const char *logits_function; /* "softmax" or "sigmoid" */

    void *origin; /* symbolic: the call that made it (layers/graph.h) */
    int origin_index;
};

/* strata_scope_begin() for what is no step: memory that is short is an error like others. False
 * then. Local. */
bool strata__scope_open(strata_context *ctx);

/* New tensor in the current scope; contents undefined. Symbolic when the batch size is STRATA_NONE:
 * then no memory. */
strata_tensor *strata__tensor_new(strata_context *ctx, strata_dtype dtype,
                                  const strata_shape *shape, strata__layout layout);
/* Without values whatever the shape is: an input of a graph. */
strata_tensor *strata__tensor_symbolic(strata_context *ctx, strata_dtype dtype,
                                       const strata_shape *shape, strata__layout layout);
/* As `like`: same shape and layout, float32 unless said otherwise by the second form. */
strata_tensor *strata__tensor_like(const strata_tensor *like);
strata_tensor *strata__tensor_shaped(const strata_tensor *like, strata_dtype dtype,
                                     const strata_shape *shape);
/* Same memory, another global shape; the split axis and the batch axis must keep their sizes. */
strata_tensor *strata__tensor_view(strata_tensor *tensor, const strata_shape *shape);
/* Around somebody else's memory, which must live as long as the tensor. */
strata_tensor *strata__tensor_borrow(strata_context *ctx, strata_dtype dtype,
                                     const strata_shape *shape, strata__layout layout, void *data);

/* One more user of the tensor; strata_tensor_release() gives it up. Scope membership stays. */
strata_tensor *strata__tensor_share(strata_tensor *tensor);

/* Product of local, or global, sizes of axes first … last−1. */
int64_t strata__product(const strata_shape *shape, int first, int last);
int64_t strata__local_count(const strata_tensor *tensor);
static inline int64_t strata__last(const strata_shape *shape)
{
    return shape->rank ? shape->dims[shape->rank - 1] : 1;
}
/* Rows and columns of the local piece seen as a matrix: prod(dims[:-1]) × dims[-1]. */
static inline int64_t strata__local_rows(const strata_tensor *tensor)
{
    return strata__product(&tensor->local, 0, tensor->local.rank - 1);
}

bool strata__shape_equal(const strata_shape *a, const strata_shape *b);
/* "(None, 28, 28)" for messages; writes into `text` and returns it. */
#define STRATA__SHAPE_TEXT 192
const char *strata__shape_text(const strata_shape *shape, char text[STRATA__SHAPE_TEXT]);

/*
 * Of `from`, the piece that `like` has, in like's layout: from itself with one more user, or a
 * copy. An error if the shapes differ, from is not float32, or this rank lacks a part of the piece.
 * The caller releases it. Local.
 */
strata_tensor *strata__tensor_piece(strata_tensor *from, const strata_tensor *like);

/* Global element number of local element 0, and whether local elements are consecutive from there
 * (no split axis). */
int64_t strata__first_element(const strata_tensor *tensor);

#endif
