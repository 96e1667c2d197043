/* Activation functions of one element: their arguments, values and slopes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ACTIVATION_KERNELS_H
#define STRATA_OPS_ACTIVATION_KERNELS_H

#include "ops/activation.h"

typedef struct strata__relu_arguments {
    double negative_slope;
    double max_value; /* NaN: none */
    double threshold;
} strata__relu_arguments;

typedef struct strata__leaky_relu_arguments {
    double negative_slope;
} strata__leaky_relu_arguments;

typedef struct strata__elu_arguments {
    double alpha;
} strata__elu_arguments;

typedef struct strata__gelu_arguments {
    bool approximate;
} strata__gelu_arguments;

/* Those with arguments take the struct of their name. relu and leaky_relu want them at or above 0.
 */
extern const strata__pointwise strata__relu_function, strata__leaky_relu, strata__relu6,
    strata__elu, strata__selu, strata__tanh_function, strata__sigmoid_function,
    strata__softplus_function, strata__softsign, strata__silu, strata__hard_sigmoid,
    strata__hard_silu, strata__mish, strata__gelu;

/* Of a plain relu: dx = dy where y > 0, else 0. dx may be dy. */
void strata__relu_gradient_from_result(const float *y, const float *dy, float *dx, int64_t count);

#endif
