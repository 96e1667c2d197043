/* Convolution layers: Conv2D, DepthwiseConv2D. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_CONVOLUTIONAL_H
#define STRATA_LAYERS_CONVOLUTIONAL_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sizes along the spatial axes: {3} stands for {3, 3}, 0 for the default. padding "valid": windows
 * stay inside; "same": ceil(n / stride) places, the odd cell of padding behind. data_format
 * "channels_last" (batch, rows, columns, channels) or "channels_first" (batch, channels, rows,
 * columns); NULL: channels_last. The kernel is not flipped.
 */

/**
 * y = activation(x ∗ kernel + bias): (batch, rows, columns, channels) → (batch, rows', columns',
 * filters). Output channels of group g see input channels of group g. Weights: kernel (size₀,
 * size₁, channels/groups, filters), bias (filters). Without groups the filters are spread over the
 * model grid.
 */
typedef struct strata_conv2d_config {
    int64_t filters;        /**< output channels; required */
    int64_t kernel_size[2]; /**< required */
    int64_t strides[2];     /**< 1; above 1 only without dilation */
    const char *padding;    /**< "valid" or "same" */
    const char *data_format;
    int64_t dilation_rate[2]; /**< distance between the kernel's cells: 1 */
    int64_t groups;
    const char *activation; /**< NULL: none */
    bool use_bias;
    const char *kernel_initializer; /**< notation, or the JSON object Keras writes */
    const char *bias_initializer;
    const char *kernel_regularizer;
    const char *bias_regularizer;
    const char *kernel_constraint;
    const char *bias_constraint;
    STRATA_LAYER_COMMON
} strata_conv2d_config;
#define strata_conv2d_defaults                                                                     \
    .padding = "valid", .groups = 1, .use_bias = true, .kernel_initializer = "glorot_uniform",     \
    .bias_initializer = "zeros", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_conv2d_class;
#define strata_conv2d(x, ...) STRATA_APPLY(conv2d, x, __VA_ARGS__)

/**
 * Each channel by itself: channel c gives output channels c·depth_multiplier + m. Weights: kernel
 * (size₀, size₁, channels, depth_multiplier), bias (channels·depth_multiplier).
 */
typedef struct strata_depthwise_conv2d_config {
    int64_t kernel_size[2]; /**< required */
    int64_t strides[2];
    const char *padding;
    int64_t depth_multiplier; /**< outputs of each channel: 1 */
    const char *data_format;
    int64_t dilation_rate[2];
    const char *activation;
    bool use_bias;
    const char *depthwise_initializer;
    const char *bias_initializer;
    const char *depthwise_regularizer;
    const char *bias_regularizer;
    const char *depthwise_constraint;
    const char *bias_constraint;
    STRATA_LAYER_COMMON
} strata_depthwise_conv2d_config;
#define strata_depthwise_conv2d_defaults                                                           \
    .padding = "valid", .depth_multiplier = 1, .use_bias = true,                                   \
    .depthwise_initializer = "glorot_uniform", .bias_initializer = "zeros", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_depthwise_conv2d_class;
#define strata_depthwise_conv2d(x, ...) STRATA_APPLY(depthwise_conv2d, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
