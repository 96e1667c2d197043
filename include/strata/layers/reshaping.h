/* Reshaping layers: Flatten, Reshape. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_RESHAPING_H
#define STRATA_LAYERS_RESHAPING_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** (batch, …) → (batch, product of the rest); (batch,) → (batch, 1). */
typedef struct strata_flatten_config {
    const char *data_format; /**< "channels_last"; "channels_first": channels are moved last */
    STRATA_LAYER_COMMON
} strata_flatten_config;
#define strata_flatten_defaults .data_format = "channels_last", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_flatten_class;
#define strata_flatten(x, ...) STRATA_APPLY(flatten, x, __VA_ARGS__)

/** Another shape for the axes after the batch, in the same order of elements. */
typedef struct strata_reshape_config {
    strata_shape target_shape; /**< without the batch axis; one size may be −1; required */
    STRATA_LAYER_COMMON
} strata_reshape_config;
#define strata_reshape_defaults .target_shape = STRATA_NO_SHAPE, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_reshape_class;
#define strata_reshape(x, ...) STRATA_APPLY(reshape, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
