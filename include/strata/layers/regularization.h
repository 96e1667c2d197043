/* Regularization layers: Dropout. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_REGULARIZATION_H
#define STRATA_LAYERS_REGULARIZATION_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** In training: zeroes elements with probability rate and scales the rest by 1/(1 − rate). The mask
 * depends on seed, layer, step and element. */
typedef struct strata_dropout_config {
    double rate;              /**< 0 … 1; required */
    int64_t seed;             /**< STRATA_NONE: from the context's seed and the layer's name */
    strata_shape noise_shape; /**< with the batch axis; 1: one draw along that axis, STRATA_NONE:
                                 the input's size */
    STRATA_LAYER_COMMON
} strata_dropout_config;
#define strata_dropout_defaults                                                                    \
    .rate = __builtin_nan(""), .seed = STRATA_NONE, .noise_shape = STRATA_NO_SHAPE,                \
    STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_dropout_class;
#define strata_dropout(x, ...) STRATA_APPLY(dropout, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
