/* Core layers: Input, Dense, Activation, Embedding, Lambda. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_CORE_H
#define STRATA_LAYERS_CORE_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A symbolic tensor: the place where a model's input enters. shape is without the batch axis. */
typedef struct strata_input_layer_config {
    strata_shape shape;       /**< {28, 28}; or give batch_shape */
    strata_shape batch_shape; /**< with the batch axis first, STRATA_NONE: any size */
    int64_t batch_size;       /**< a fixed batch size; STRATA_NONE: any */
    const char *dtype;        /**< "float32" */
    bool sparse;              /**< must be false: sparse tensors are not supported */
    bool ragged;              /**< must be false */
    bool optional;            /**< must be false */
    const char *name;
    bool trainable, dynamic;
    const char *activity_regularizer;
} strata_input_layer_config;
#define strata_input_layer_defaults                                                                \
    .shape = STRATA_NO_SHAPE, .batch_shape = STRATA_NO_SHAPE, .batch_size = STRATA_NONE,           \
    .dtype = "float32", .trainable = true
extern STRATA_EXPORT const strata_layer_class strata_input_layer_class;
/** strata_input(ctx, .shape = {28, 28}): keras.Input. */
#define strata_input(ctx, ...) strata_input_from(ctx, STRATA_CONFIG(input_layer, __VA_ARGS__))
STRATA_EXPORT strata_tensor *strata_input_from(strata_context *ctx, const strata_input_layer_config *config);

/** y = activation(x · kernel + bias): (…, d) → (…, units). Weights: kernel (d, units), bias (units). */
typedef struct strata_dense_config {
    int64_t units;          /**< size of the last output axis; required */
    const char *activation; /**< NULL: none */
    bool use_bias;
    const char *kernel_initializer; /**< notation, or the JSON object Keras writes */
    const char *bias_initializer;
    const char *kernel_regularizer;
    const char *bias_regularizer;
    const char *kernel_constraint;
    const char *bias_constraint;
    STRATA_LAYER_COMMON
} strata_dense_config;
#define strata_dense_defaults                                                                      \
    .use_bias = true, .kernel_initializer = "glorot_uniform", .bias_initializer = "zeros",         \
    STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_dense_class;
#define strata_dense(x, ...) STRATA_APPLY(dense, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
