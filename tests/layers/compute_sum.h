/* ComputeSum of the Keras guide: a custom layer for tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_LAYERS_COMPUTE_SUM_H
#define STRATA_TESTS_LAYERS_COMPUTE_SUM_H

#include <strata/layer.h>

/* (batch, input_dim) → the sum (input_dim) of all samples of all calls so far, kept in the
 * non-trainable weight `total` that the constructor makes. Registered name: "Guide>ComputeSum". */
typedef struct compute_sum_config {
    int64_t input_dim;
    STRATA_LAYER_COMMON
} compute_sum_config;
#define strata_compute_sum_defaults STRATA_LAYER_DEFAULTS
typedef compute_sum_config strata_compute_sum_config;
extern const strata_layer_class strata_compute_sum_class;

#endif
