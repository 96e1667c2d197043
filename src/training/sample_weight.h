/* Sample weights, class weights and masks, brought to the shape of the values they weigh. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_SAMPLE_WEIGHT_H
#define STRATA_TRAINING_SAMPLE_WEIGHT_H

#include "tensor/tensor.h"

/*
 * out[i] (one a local value of `values`, row-major) = scale · weight of value i. A trailing axis of
 * size 1 too many is dropped; axes that are missing at the end, or have size 1, are repeated: (B),
 * (B, 1), (B, T), (B, T, 1) and () all weigh (B, T). Any dtype. Errors name both shapes. Local.
 */
strata_status strata__spread_weights(const strata_tensor *weight, const strata_tensor *values,
                                     const char *what, float *out);

typedef struct strata__class_weight {
    int64_t label;
    double weight;
} strata__class_weight;

/*
 * A weight for each sample (B) by its class, which is y_true rounded, or the place of its largest
 * entry when the last axis has several; classes that are not listed weigh 1. y_true has at most two
 * axes. In the current scope. Local.
 */
strata_tensor *strata__class_sample_weight(strata_tensor *y_true, int count,
                                           const strata__class_weight *weights);

#endif
