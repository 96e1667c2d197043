/* Normalization layers: BatchNormalization, LayerNormalization, RMSNormalization. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_NORMALIZATION_H
#define STRATA_LAYERS_NORMALIZATION_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * y = (x − mean)/√(variance + epsilon)·gamma + beta for each feature of `axis`. In training, and
 * while the layer is trainable, mean and variance are those of the whole global batch, over every
 * rank and every axis but `axis`; positions that a mask excludes do not count. They update moving =
 * moving·momentum + batch·(1 − momentum), which is used otherwise. Weights: gamma, beta
 * (trainable), moving_mean, moving_variance; (features) each.
 *
 * renorm: batch renormalization (Ioffe 2017): in training the result is corrected as if it had been
 * normalized by the moving statistics. More weights: moving_stddev, renorm_mean, renorm_stddev.
 */
typedef struct strata_batch_normalization_config {
    int64_t axis; /**< of the features: −1 */
    double momentum, epsilon;
    bool center; /**< with beta */
    bool scale;  /**< with gamma */
    const char *beta_initializer;
    const char *gamma_initializer;
    const char *moving_mean_initializer;
    const char *moving_variance_initializer;
    const char *beta_regularizer;
    const char *gamma_regularizer;
    const char *beta_constraint;
    const char *gamma_constraint;
    bool synchronized; /**< kept for files: statistics are always those of all ranks */
    bool renorm;
    const char *renorm_clipping; /**< JSON, bounds of the corrections: {"rmin": …, "rmax": …,
                                    "dmax": …} */
    double renorm_momentum;      /**< of renorm_mean and renorm_stddev */
    STRATA_LAYER_COMMON
} strata_batch_normalization_config;
#define strata_batch_normalization_defaults                                                        \
    .axis = -1, .momentum = 0.99, .epsilon = 1e-3, .center = true, .scale = true,                  \
    .beta_initializer = "zeros", .gamma_initializer = "ones", .moving_mean_initializer = "zeros",  \
    .moving_variance_initializer = "ones", .renorm_momentum = 0.99, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_batch_normalization_class;
#define strata_batch_normalization(x, ...) STRATA_APPLY(batch_normalization, x, __VA_ARGS__)

/**
 * Each sample by its own mean and variance over `axis`: y = (x − mean)/√(variance + epsilon)·gamma
 * + beta. rms_scaling: y = x/√(variance + epsilon)·gamma, as Keras has it. Weights: gamma, beta, of
 * the shape of the axes. Features that are split over the columns of the mesh stay so, here and in
 * RMSNormalization, and the weights are split like them.
 */
typedef struct strata_layer_normalization_config {
    const char *axis; /**< JSON: "-1", or a list "[1, 2]" */
    double epsilon;
    bool center; /**< with beta */
    bool scale;  /**< with gamma */
    bool rms_scaling;
    const char *beta_initializer;
    const char *gamma_initializer;
    const char *beta_regularizer;
    const char *gamma_regularizer;
    const char *beta_constraint;
    const char *gamma_constraint;
    STRATA_LAYER_COMMON
} strata_layer_normalization_config;
#define strata_layer_normalization_defaults                                                        \
    .axis = "-1", .epsilon = 1e-3, .center = true, .scale = true, .beta_initializer = "zeros",     \
    .gamma_initializer = "ones", STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_layer_normalization_class;
#define strata_layer_normalization(x, ...) STRATA_APPLY(layer_normalization, x, __VA_ARGS__)

/**
 * Each sample divided by the root of its mean square over `axis`: y = x/√(mean of x² +
 * epsilon)·scale. Weights: scale, of the shape of the axes; as in Keras it is laid against the last
 * axes of the input, so that other axes work only where sizes happen to fit.
 */
typedef struct strata_rms_normalization_config {
    const char *axis; /**< JSON: "-1", or a list "[1, 2]" */
    double epsilon;
    STRATA_LAYER_COMMON
} strata_rms_normalization_config;
#define strata_rms_normalization_defaults .axis = "-1", .epsilon = 1e-6, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_rms_normalization_class;
#define strata_rms_normalization(x, ...) STRATA_APPLY(rms_normalization, x, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
