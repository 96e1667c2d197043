/* What a class of activation functions is. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ACTIVATION_H
#define STRATA_OPS_ACTIVATION_H

#include "ops/ops.h"

/* Arguments of all activations; the table of a class has the rows that it takes. */
typedef struct strata__activation_config {
    double negative_slope, max_value, threshold; /* relu, leaky_relu; max_value NaN: none */
    double alpha;                                /* elu */
    bool approximate;                            /* gelu */
    int64_t axis;                                /* softmax, log_softmax */
} strata__activation_config;

/* Methods (strata__class.methods) of an activation. */
typedef struct strata__activation_methods {
    /* y = f(x); dx = dy·f'(x), element by element. x may be y in forward. */
    void (*forward)(const strata__activation_config *config, const float *x, float *y,
                    int64_t count);
    void (*gradient)(const strata__activation_config *config, const float *x, const float *dy,
                     float *dx, int64_t count);
    /* dx = dy·f'(x) from y = f(x) alone, or NULL: then products can be fused with it. dx may be dy.
     */
    void (*gradient_from_result)(const float *y, const float *dy, float *dx, int64_t count);
    /* Functions of a whole axis instead. */
    strata_tensor *(*over_axis)(strata_tensor *x, int axis);
    const char *logits; /* results remember their input under this name */
} strata__activation_methods;

/* relu without arguments in either form: max(x, 0), the case that kernels fuse. */
bool strata__activation_is_relu(const strata__object *activation);

strata_tensor *strata__log_softmax(strata_tensor *x, int axis);
strata_tensor *strata__softmax_axis(strata_tensor *x, int axis);

#endif
