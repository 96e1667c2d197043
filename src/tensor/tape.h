/* The tape: what was computed, and how gradients go back through it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TENSOR_TAPE_H
#define STRATA_TENSOR_TAPE_H

#include "tensor/tensor.h"

typedef struct strata__node strata__node;

/*
 * The gradient function of an op. Gradients of a rank's piece are sums over the local samples only;
 * what sums over the batch is reduced later (arenas) or by the op itself. Gradients with respect to
 * a tensor that is whole on cols are equal on all cols.
 */
typedef void strata__gradient_function(strata_context *ctx, strata__node *node);

#define STRATA__NODE_TENSORS 4

struct strata__node {
    strata__node *previous;
    const char *op;
    const char *layer;           /* in whose call, or NULL */
    strata__precision precision; /* of that call */
    strata__gradient_function *gradient;
    int input_count, output_count;
    strata_tensor **inputs;                       /* [input_count] */
    strata_tensor *outputs[STRATA__NODE_TENSORS]; /* [output_count] */
    void *saved; /* what the op asked for, zeroed; freed with the tape. Tensors of the scope live as
                    long */
};

/*
 * Records an op that has just been computed. NULL when nothing records, no input wants a gradient,
 * or an output is symbolic: then there is nothing to save. Otherwise the outputs want gradients
 * from now on. inputs may hold NULLs (optional operands).
 */
strata__node *strata__record(strata_context *ctx, const char *op,
                             strata__gradient_function *gradient, int input_count,
                             strata_tensor *const *inputs, int output_count,
                             strata_tensor *const *outputs, size_t saved_size);

/* --- for gradient functions --- */

/* Gradient that arrived at an output, or NULL: none did. */
static inline const strata_tensor *strata__gradient_at(const strata__node *node, int output)
{
    return node->outputs[output]->gradient;
}
static inline bool strata__wants(const strata_tensor *tensor)
{
    return tensor && tensor->wants_gradient;
}

/*
 * Where to write the gradient with respect to a float32 input, shaped as its local piece: *beta 0,
 * overwrite; 1, add to what is there. NULL when no gradient is wanted.
 */
float *strata__gradient_into(strata_tensor *input, float *beta);
/* The same for what is added up bit by bit: zeros where there is nothing yet. */
float *strata__gradient_to_add(strata_tensor *input);

/* Hands over a finished gradient tensor (a new one, or the one that arrived at an output): kept
 * without a copy when it is the first, added otherwise. Does nothing when no gradient is wanted. */
void strata__gradient_give(strata_tensor *input, strata_tensor *gradient);

/* --- for the training loop --- */

/* Called when the last node that uses a variable has run: its gradient of this pass is complete. */
typedef void strata__complete(void *user, strata_variable *variable);

typedef struct strata__tape {
    strata__node *last;
    struct strata__scope *scope; /* in which it began: inner ones hand their tensors over to it */
    strata__complete *complete;
    void *user;
} strata__tape;

/*
 * Walks back from the targets; upstream[i] NULL: ones. What arrives at a target that is the same on
 * all ranks must be this rank's part: strata_tape_gradient() divides it, here the caller has.
 * Gradients of intermediate results are released as soon as they are used; those of watched tensors
 * stay.
 */
strata_status strata__tape_backward(strata_context *ctx, int count, strata_tensor *const *targets,
                                    strata_tensor *const *upstream);
strata_status strata__tape_begin(strata_context *ctx, strata__complete *complete, void *user);
void strata__tape_free(strata_context *ctx);

/* Recording is off between these two (they nest): what is computed there has no gradient. */
strata__tape *strata__tape_pause(strata_context *ctx);
void strata__tape_resume(strata_context *ctx, strata__tape *paused);

#endif
