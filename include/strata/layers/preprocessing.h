/* Preprocessing layers: Rescaling. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_PREPROCESSING_H
#define STRATA_LAYERS_PREPROCESSING_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** scale · x + offset. */
typedef struct strata_rescaling_config {
    double scale; /**< required */
    double offset;
    STRATA_LAYER_COMMON
} strata_rescaling_config;
#define strata_rescaling_defaults .scale = __builtin_nan(""), STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_rescaling_class;
#define strata_rescaling(x, ...) STRATA_APPLY(rescaling, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
