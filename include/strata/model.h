/* Models: graphs of layers; their configuration and files. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MODEL_H
#define STRATA_MODEL_H

#include <stdio.h>

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct strata_functional_options {
    strata_list inputs, outputs;
    const char *name;
} strata_functional_options;
#ifndef __cplusplus
/** keras.Model(input, output) of one input and one output; further options by name: .name = "mlp".
 */
#define strata_functional(input, output, ...)                                                      \
    strata_functional_from(&(strata_functional_options){                                           \
        .inputs = STRATA_LIST(input), .outputs = STRATA_LIST(output), ##__VA_ARGS__})
/** Several inputs and outputs: strata_functional_list(STRATA_LIST(a, b), STRATA_LIST(y, z)). */
#define strata_functional_list(inputs_, outputs_, ...)                                             \
    strata_functional_from(                                                                        \
        &(strata_functional_options){.inputs = inputs_, .outputs = outputs_, ##__VA_ARGS__})
#endif
/** The graph between symbolic tensors. Owned by the context. NULL after an error (disconnected
 * graph, repeated names). Local. */
STRATA_EXPORT strata_model *strata_functional_from(const strata_functional_options *options);

/** An empty stack of layers; name NULL: automatic. Owned by the context. Local. */
STRATA_EXPORT strata_model *strata_sequential(strata_context *ctx, const char *name);
/** Puts a layer (or strata_model_layer() of a model) on top. Local. */
STRATA_EXPORT strata_status strata_sequential_add(strata_model *model, strata_layer *layer);
/** Builds a Sequential without InputLayer for inputs of this shape (batch axis first, STRATA_NONE).
 * Collective on the mesh. */
STRATA_EXPORT strata_status strata_model_build(strata_model *model, strata_shape input);

/** The model as a layer: to call it, nest it, read its weights, trainable, losses and metrics.
 * Owned by the model. Local. */
STRATA_EXPORT strata_layer *strata_model_layer(strata_model *model);
STRATA_EXPORT const char *strata_model_name(const strata_model *model);
STRATA_EXPORT strata_context *strata_model_context(const strata_model *model);

/** Keras's model.layers: NULL past the end; by name: NULL if there is none. Local. */
STRATA_EXPORT strata_layer *strata_model_get_layer(const strata_model *model, int index);
STRATA_EXPORT strata_layer *strata_model_find_layer(const strata_model *model, const char *name);

/** Keras's model.inputs and model.outputs, symbolic: NULL past the end, and before the model is
 * built. Local. */
STRATA_EXPORT strata_tensor *strata_model_input(const strata_model *model, int index);
STRATA_EXPORT strata_tensor *strata_model_output(const strata_model *model, int index);

/** Frees the model; its layers stay until strata_finish(). NULL is fine. Collective on the mesh. */
STRATA_EXPORT void strata_model_free(strata_model *model);

/** Keras's table of layers, shapes and parameter counts, on rank 0; line_length 0: 80 columns.
 * Local. */
STRATA_EXPORT void strata_model_summary(strata_model *model, FILE *stream, int line_length);

/** model.to_json() and its inverse. Text: strata_text_free(). Local; from_json Collective on the
 * mesh. */
STRATA_EXPORT char *strata_model_to_json(strata_model *model);
STRATA_EXPORT strata_model *strata_model_from_json(strata_context *ctx, const char *json);

/**
 * Writes `path`: ".keras" (configuration, weights, and when compiled the compile configuration and
 * optimizer state; Keras opens it) or
 * ".weights.h5" (weights and optimizer state). The old file stays until the new one is complete.
 * Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_save(strata_model *model, const char *path);

/** A model from a ".keras" file, compiled if it was, with its optimizer state. Files are checked,
 * code in them is never run. Collective. */
STRATA_EXPORT strata_model *strata_load(strata_context *ctx, const char *path);

/** Weights from ".weights.h5" or ".keras" into a built model of the same architecture. Collective
 * on the mesh. */
STRATA_EXPORT strata_status strata_load_weights(strata_model *model, const char *path);

#ifdef __cplusplus
}
#endif
#endif
