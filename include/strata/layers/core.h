/* Core layers: Input, Dense, EinsumDense, Activation, Embedding, Lambda. */
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
/** strata_input(ctx, .shape = {28, 28}): keras.Input. Collective on the mesh. */
#define strata_input(ctx, ...) strata_input_from(ctx, STRATA_CONFIG(input_layer, __VA_ARGS__))
STRATA_EXPORT strata_tensor *strata_input_from(strata_context *ctx,
                                               const strata_input_layer_config *config);

/** y = activation(x · kernel + bias): (…, d) → (…, units). Weights: kernel (d, units), bias
 * (units). */
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

/**
 * y = activation(einsum(equation, x, kernel) + bias). The equation names the axes of x, kernel and
 * y by letters, the batch first: "ab,bc->ac", "abc,cd->abd", "abc,cde->abde", "...x,xy->...y",
 * "ab...,bc->ac...". output_shape has the sizes of y's letters after the batch, STRATA_NONE where
 * they are those of x. Weights: kernel; bias with the axes of y from the first of bias_axes on, of
 * size 1 along those that are not among them. A kernel whose first axes meet the last of x lies on
 * the model grid, as Dense's does; others are whole.
 */
typedef struct strata_einsum_dense_config {
    const char *equation;      /**< required */
    strata_shape output_shape; /**< required */
    const char *activation;    /**< NULL: none */
    const char *bias_axes;     /**< letters of y; NULL: no bias */
    const char *kernel_initializer;
    const char *bias_initializer;
    const char *kernel_regularizer;
    const char *bias_regularizer;
    const char *kernel_constraint;
    const char *bias_constraint;
    STRATA_LAYER_COMMON
} strata_einsum_dense_config;
#define strata_einsum_dense_defaults                                                               \
    .output_shape = STRATA_NO_SHAPE, .kernel_initializer = "glorot_uniform",                       \
    .bias_initializer = "zeros", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_einsum_dense_class;
#define strata_einsum_dense(x, ...) STRATA_APPLY(einsum_dense, x, __VA_ARGS__)

/** An activation function as a layer. */
typedef struct strata_activation_config {
    const char *activation; /**< notation; required */
    STRATA_LAYER_COMMON
} strata_activation_config;
#define strata_activation_defaults STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_activation_class;
#define strata_activation(x, ...) STRATA_APPLY(activation, x, __VA_ARGS__)

/**
 * Rows of a table: whole numbers (…) → (…, output_dim). Floats are truncated. A number outside 0 …
 * input_dim−1 is an error that names the sample. Weight: embeddings (input_dim, output_dim).
 */
typedef struct strata_embedding_config {
    int64_t input_dim, output_dim; /**< required */
    const char *embeddings_initializer;
    const char *embeddings_regularizer;
    const char *embeddings_constraint;
    bool mask_zero; /**< 0 is padding: the output carries a mask */
    STRATA_LAYER_COMMON
} strata_embedding_config;
#define strata_embedding_defaults .embeddings_initializer = "uniform", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_embedding_class;
#define strata_embedding(x, ...) STRATA_APPLY(embedding, x, __VA_ARGS__)

/** A function of one tensor made of operations (strata/ops.h); gradients and shapes follow from
 * them. */
typedef strata_tensor *strata_lambda_function(strata_tensor *x, void *user);

/**
 * Wraps such a function as a layer. Files hold its registered name (strata_register_function),
 * never code; a Lambda without one cannot be saved.
 */
typedef struct strata_lambda_config {
    strata_lambda_function *function; /**< or give its registered name */
    void *user;                       /**< passed on; must outlive the layer */
    const char *function_name;        /**< "package>name" of a registered function */
    strata_shape output_shape; /**< without the batch axis: checked against the result; default: not
                                  checked */
    strata_lambda_function *mask; /**< mask of the output from the input's mask; default: none */
    const char *arguments; /**< JSON object, kept for files; must be {} or NULL: use `user` */
    STRATA_LAYER_COMMON
} strata_lambda_config;
#define strata_lambda_defaults .output_shape = STRATA_NO_SHAPE, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_lambda_class;
#define strata_lambda(x, ...) STRATA_APPLY(lambda, x, __VA_ARGS__)
/** Makes a function known to files as "package>name". The name is copied. Local. */
STRATA_EXPORT strata_status strata_register_function(strata_context *ctx, const char *name,
                                                     strata_lambda_function *function, void *user);

#ifdef __cplusplus
}
#endif
#endif
