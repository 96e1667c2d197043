/* Initializers, regularizers and constraints: the three families of a variable. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_INITIALIZER_H
#define STRATA_STATE_INITIALIZER_H

#include "state/variable.h"

extern const strata__family strata__initializer_family;
extern const strata__family strata__regularizer_family;
extern const strata__family strata__constraint_family;

/* Methods (strata__class.methods) of an initializer. Values of elements first … first+count−1 (row-major, global) of a float32
 * variable of that shape: the same on every mesh. `whole` instead when an element depends on all others (Orthogonal). */
typedef struct strata__initializer_methods {
    strata_status (*check)(strata_context *ctx, const void *config, const strata_shape *shape, const char *path);
    void (*fill)(const void *config, strata__key key, const strata_shape *shape, int64_t first, int64_t count, float *out);
    strata_status (*whole)(strata_context *ctx, const void *config, strata__key key, const strata_shape *shape, float *out);
} strata__initializer_methods;

/* Methods of a regularizer, on this rank's piece seen as rows × columns of a global shape. value: the local part of the sum (added
 * over the grid by the caller unless `whole`); gradient: out += scale · d value / d w. */
typedef struct strata__regularizer_methods {
    double (*value)(const void *config, const float *w, const strata_shape *shape);
    void (*gradient)(const void *config, const float *w, const strata_shape *shape, float scale, float *out);
    bool whole; /* needs the whole matrix (OrthogonalRegularizer): the caller gathers it */
} strata__regularizer_methods;

/* reg(x) divided by the global batch size, as a float32 scalar part (local samples only when x is a batch), differentiable:
 * activity regularization. */
strata_tensor *strata__activity_penalty(const strata__object *regularizer, strata_tensor *x);

/* Methods of a constraint: w → w in place on the whole variable. */
typedef struct strata__constraint_methods {
    strata_status (*check)(strata_context *ctx, const void *config, const strata_shape *shape, const char *path);
    void (*apply)(strata_context *ctx, const void *config, const strata_shape *shape, float *w);
    bool elementwise; /* works on pieces (NonNeg) */
} strata__constraint_methods;

#endif
