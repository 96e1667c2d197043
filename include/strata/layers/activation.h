/* Activation layers: ReLU, Softmax. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_ACTIVATION_H
#define STRATA_LAYERS_ACTIVATION_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** x where x > threshold, negative_slope·(x − threshold) below; at most max_value. */
typedef struct strata_re_lu_config {
    double max_value; /**< NaN: none */
    double negative_slope;
    double threshold;
    STRATA_LAYER_COMMON
} strata_re_lu_config;
#define strata_re_lu_defaults .max_value = __builtin_nan(""), STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_re_lu_class;
#define strata_re_lu(x, ...) STRATA_APPLY(re_lu, x, __VA_ARGS__)

/** exp(x − max) / Σ exp(x − max) over an axis or several. A mask on the input excludes elements. */
typedef struct strata_softmax_config {
    const char *axis; /**< JSON: "-1", or a list "[1, 2]" */
    STRATA_LAYER_COMMON
} strata_softmax_config;
#define strata_softmax_defaults .axis = "-1", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_softmax_class;
#define strata_softmax(x, ...) STRATA_APPLY(softmax, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
