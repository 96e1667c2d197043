/* Initializers, regularizers and constraints: the three families of a variable. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_INITIALIZER_H
#define STRATA_STATE_INITIALIZER_H

#include "state/variable.h"

extern const strata__family strata__initializer_family;
extern const strata__family strata__regularizer_family;
extern const strata__family strata__constraint_family;

/*
 * Methods (strata__class.methods). `check`, where there is one, refuses shapes in Keras's words;
 * `path` names the variable. The shape is the global one unless said otherwise.
 */
typedef strata_status strata__shape_check(strata_context *ctx, const void *config,
                                          const strata_shape *shape, const char *path);

/*
 * An initializer has one of the three: `value`, when all elements are equal; `fill`, elements first
 * … first+count−1 (row-major, global), the same on every mesh; `whole`, all of them, when an
 * element depends on the others (Orthogonal).
 */
typedef struct strata__initializer_methods {
    strata__shape_check *check;
    double (*value)(const void *config);
    void (*fill)(const void *config, strata__key key, const strata_shape *shape, int64_t first,
                 int64_t count, float *out);
    strata_status (*whole)(strata_context *ctx, const void *config, strata__key key,
                           const strata_shape *shape, float *out);
} strata__initializer_methods;

/*
 * A regularizer is a sum over elements, so that it can be given pieces of any shape (the caller
 * adds them up), or `whole`: then it is given all of the variable. gradient: out += scale · d value
 * / d w.
 */
typedef struct strata__regularizer_methods {
    strata__shape_check *check;
    double (*value)(strata_context *ctx, const void *config, const float *w,
                    const strata_shape *shape);
    void (*gradient)(strata_context *ctx, const void *config, const float *w,
                     const strata_shape *shape, double scale, float *out);
    bool whole;
} strata__regularizer_methods;

/* A constraint changes w in place: all of the variable, or pieces of any shape when it is
 * `elementwise`. */
typedef struct strata__constraint_methods {
    strata__shape_check *check;
    void (*apply)(strata_context *ctx, const void *config, const strata_shape *shape, float *w);
    bool elementwise;
} strata__constraint_methods;

/*
 * Activity regularization: reg(x) / global batch size, differentiable, as one float32 part a
 * sample, so that the sum over the samples of all ranks is the loss. NULL after an error.
 * Collective on the model grid where features are split.
 */
strata_tensor *strata__activity_penalty(const strata__object *regularizer, strata_tensor *x);

#endif
