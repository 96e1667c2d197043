/* Activation functions element by element: values and slopes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ACTIVATION_KERNELS_H
#define STRATA_OPS_ACTIVATION_KERNELS_H

#include "ops/activation.h"

/* As strata__activation_methods says; formulas at https://keras.io/api/layers/activations. */
void strata__relu_forward(const strata__activation_config *c, const float *x, float *y,
                          int64_t count);
void strata__relu_gradient(const strata__activation_config *c, const float *x, const float *dy,
                           float *dx, int64_t count);
void strata__relu_gradient_from_result(const float *y, const float *dy, float *dx, int64_t count);
void strata__relu6_forward(const strata__activation_config *c, const float *x, float *y,
                           int64_t count);
void strata__relu6_gradient(const strata__activation_config *c, const float *x, const float *dy,
                            float *dx, int64_t count);
void strata__leaky_relu_forward(const strata__activation_config *c, const float *x, float *y,
                                int64_t count);
void strata__leaky_relu_gradient(const strata__activation_config *c, const float *x,
                                 const float *dy, float *dx, int64_t count);
void strata__elu_forward(const strata__activation_config *c, const float *x, float *y,
                         int64_t count);
void strata__elu_gradient(const strata__activation_config *c, const float *x, const float *dy,
                          float *dx, int64_t count);
void strata__selu_forward(const strata__activation_config *c, const float *x, float *y,
                          int64_t count);
void strata__selu_gradient(const strata__activation_config *c, const float *x, const float *dy,
                           float *dx, int64_t count);
void strata__sigmoid_forward(const strata__activation_config *c, const float *x, float *y,
                             int64_t count);
void strata__sigmoid_gradient(const strata__activation_config *c, const float *x, const float *dy,
                              float *dx, int64_t count);
void strata__sigmoid_gradient_from_result(const float *y, const float *dy, float *dx,
                                          int64_t count);
void strata__tanh_forward(const strata__activation_config *c, const float *x, float *y,
                          int64_t count);
void strata__tanh_gradient(const strata__activation_config *c, const float *x, const float *dy,
                           float *dx, int64_t count);
void strata__tanh_gradient_from_result(const float *y, const float *dy, float *dx, int64_t count);
void strata__hard_sigmoid_forward(const strata__activation_config *c, const float *x, float *y,
                                  int64_t count);
void strata__hard_sigmoid_gradient(const strata__activation_config *c, const float *x,
                                   const float *dy, float *dx, int64_t count);
void strata__softsign_forward(const strata__activation_config *c, const float *x, float *y,
                              int64_t count);
void strata__softsign_gradient(const strata__activation_config *c, const float *x, const float *dy,
                               float *dx, int64_t count);
void strata__silu_forward(const strata__activation_config *c, const float *x, float *y,
                          int64_t count);
void strata__silu_gradient(const strata__activation_config *c, const float *x, const float *dy,
                           float *dx, int64_t count);
void strata__hard_silu_forward(const strata__activation_config *c, const float *x, float *y,
                               int64_t count);
void strata__hard_silu_gradient(const strata__activation_config *c, const float *x, const float *dy,
                                float *dx, int64_t count);
void strata__gelu_forward(const strata__activation_config *c, const float *x, float *y,
                          int64_t count);
void strata__gelu_gradient(const strata__activation_config *c, const float *x, const float *dy,
                           float *dx, int64_t count);
void strata__softplus_forward(const strata__activation_config *c, const float *x, float *y,
                              int64_t count);
void strata__softplus_gradient(const strata__activation_config *c, const float *x, const float *dy,
                               float *dx, int64_t count);
void strata__mish_forward(const strata__activation_config *c, const float *x, float *y,
                          int64_t count);
void strata__mish_gradient(const strata__activation_config *c, const float *x, const float *dy,
                           float *dx, int64_t count);
void strata__exponential_forward(const strata__activation_config *c, const float *x, float *y,
                                 int64_t count);
void strata__exponential_gradient(const strata__activation_config *c, const float *x,
                                  const float *dy, float *dx, int64_t count);
void strata__exponential_gradient_from_result(const float *y, const float *dy, float *dx,
                                              int64_t count);

#endif
