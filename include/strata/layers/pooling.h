/* Pooling layers: MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_POOLING_H
#define STRATA_LAYERS_POOLING_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sizes, padding and data_format as in strata/layers/convolutional.h. */
typedef struct strata_pool2d_config {
    int64_t pool_size[2]; /**< 2 */
    int64_t strides[2];   /**< as pool_size */
    const char *padding;
    const char *data_format;
    STRATA_LAYER_COMMON
} strata_pool2d_config;
#define strata_pool2d_defaults .padding = "valid", STRATA_LAYER_DEFAULTS

/** The largest value of each window, channel by channel. */
typedef strata_pool2d_config strata_max_pooling2d_config;
#define strata_max_pooling2d_defaults strata_pool2d_defaults
extern STRATA_EXPORT const strata_layer_class strata_max_pooling2d_class;
#define strata_max_pooling2d(x, ...) STRATA_APPLY(max_pooling2d, x, __VA_ARGS__)

/** The mean over the cells of each window that are not padding. */
typedef strata_pool2d_config strata_average_pooling2d_config;
#define strata_average_pooling2d_defaults strata_pool2d_defaults
extern STRATA_EXPORT const strata_layer_class strata_average_pooling2d_class;
#define strata_average_pooling2d(x, ...) STRATA_APPLY(average_pooling2d, x, __VA_ARGS__)

/** The mean over both spatial axes: → (batch, channels), or with them as axes of size 1. */
typedef struct strata_global_average_pooling2d_config {
    const char *data_format;
    bool keepdims;
    STRATA_LAYER_COMMON
} strata_global_average_pooling2d_config;
#define strata_global_average_pooling2d_defaults STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_global_average_pooling2d_class;
#define strata_global_average_pooling2d(x, ...)                                                    \
    STRATA_APPLY(global_average_pooling2d, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
