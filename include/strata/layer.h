/* Layers: the base class, its configuration and its weights. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYER_H
#define STRATA_LAYER_H

#include <strata/config.h>
#include <strata/tensor.h>
#include <strata/variable.h>

/* Defaults stand in front of the caller's members and are overridden by them on purpose; shapes are
 * written {28, 28}. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Winitializer-overrides"
#pragma clang diagnostic ignored "-Wmissing-braces"
#elif defined(__GNUC__) && !defined(__cplusplus)
#pragma GCC diagnostic ignored "-Woverride-init"
#pragma GCC diagnostic ignored "-Wmissing-braces"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** What a layer does with a feature (last) axis that is split over the columns of the mesh. */
typedef enum strata_features {
    STRATA_FEATURES_WHOLE,  /**< default: inputs are gathered before `call` */
    STRATA_FEATURES_LOCAL,  /**< works on pieces as they come; inputs are brought to one layout */
    STRATA_FEATURES_SHARDED /**< decides itself */
} strata_features;

/** One call of a layer. */
typedef struct strata_call {
    int count; /**< inputs */
    strata_tensor *const *inputs;
    bool training;
    const void *arguments; /**< of the class's arguments_size, never NULL then */
} strata_call;

/**
 * A class of layers. `call` works on tensors with operations (strata/ops.h) and so has a gradient
 * without more code; on symbolic inputs the same code infers the shape. Built-in layers are made of
 * the same parts. Lives as long as the program.
 */
typedef struct strata_layer_class {
    const char *name;    /**< "Dense"; automatic layer names are its snake_case */
    const char *package; /**< custom classes: files name them "package>name"; NULL: Keras's own */
    const char *aliases; /**< other names in files, "MaxPool2D|…"; NULL: none */
    const char *python_name; /**< of the Python class, for automatic names, if Keras exports it
                                under another; NULL: `name` */
    size_t config_size;
    const void *defaults; /**< a config with every default in place */
    const strata_field *fields;
    int field_count;
    size_t state_size;          /**< private data of an instance, zeroed before `create` */
    int min_inputs, max_inputs; /**< 0, 0: exactly one; max_inputs −1: any number */
    bool takes_list; /**< is called on a list, also of one: strata_layer_call_list(), as merging
                        layers are */
    const char *input_names; /**< "query|value|key": Keras's names of several inputs that are no
                                list; NULL: none */
    int output_count;        /**< 0: one */
    size_t arguments_size;   /**< further arguments of `call`: a struct with a table, as the
                                configuration is; 0: none */
    const void *argument_defaults;
    const strata_field *arguments; /**< a member of type strata_tensor * is an input of the graph
                                      that may be NULL */
    int argument_count;
    /** How many outputs a call with these arguments has. Optional: output_count. */
    int (*count_outputs)(const void *arguments);
    strata_features features;
    bool passes_mask; /**< the mask of the first input is passed on (unless compute_mask says
                         otherwise) */
    bool uses_mask;   /**< the mask is used up: no warning */
    bool bare_dtype;  /**< files hold the dtype as a plain string */
    /** Checks across fields and makes weights that do not depend on the input's shape. Optional. */
    strata_status (*create)(strata_layer *layer);
    /** Makes weights for inputs of these shapes; called once, before the first call. Optional. */
    strata_status (*build)(strata_layer *layer, int count, const strata_shape *inputs);
    /** The result, or NULL after an error. Required, unless call_many is given. */
    strata_tensor *(*call)(strata_layer *layer, const strata_call *call);
    /** Several results. Optional. */
    strata_status (*call_many)(strata_layer *layer, const strata_call *call,
                               strata_tensor **outputs);
    /** Mask of the output (bool tensor, or NULL: none). Optional. */
    strata_tensor *(*compute_mask)(strata_layer *layer, const strata_call *call);
    /** Frees what `state` owns besides weights and sublayers. Optional. */
    void (*destroy)(strata_layer *layer);
} strata_layer_class;

/** Members that every layer's configuration ends with; put this last in the struct. */
#define STRATA_LAYER_COMMON                                                                        \
    const char *name;  /**< NULL: automatic */                                                     \
    bool trainable;    /**< false: weights are frozen */                                           \
    const char *dtype; /**< "float32", "mixed_bfloat16"; NULL: the context's policy */             \
    const char *activity_regularizer; /**< of the output, divided by the batch size */             \
    bool dynamic;                     /**< kept and reported; Strata always runs eagerly */
/** Their defaults; end the list of a class's defaults with them. */
#define STRATA_LAYER_DEFAULTS .trainable = true
/** Their rows of the field table: name, trainable and dtype first, the others where Keras writes
 * them, only when set. */
#define STRATA_LAYER_FIELDS(config)                                                                \
    STRATA_FIELD(config, name, .help = "unique name"),                                             \
        STRATA_FIELD(config, trainable, .help = "whether the weights are updated"),                \
        STRATA_FIELD(config, dtype, .help = "element type of weights and computation"),            \
        STRATA_FIELD(config, dynamic, .omit_default = true, .help = "kept for tf.keras")

#ifndef __cplusplus
/** A configuration with the defaults in front of the caller's members. */
#define STRATA_CONFIG(id, ...) (&(strata_##id##_config){strata_##id##_defaults, ##__VA_ARGS__})
/** A layer object, to be called several times or added to a Sequential: STRATA_NEW_LAYER(ctx,
 * dense, .units = 4). */
#define STRATA_NEW_LAYER(ctx, id, ...)                                                             \
    strata_layer_new(ctx, &strata_##id##_class, STRATA_CONFIG(id, ##__VA_ARGS__))
/** A new layer applied to one tensor. */
#define STRATA_APPLY(id, x, ...)                                                                   \
    strata_layer_apply(&strata_##id##_class, STRATA_CONFIG(id, ##__VA_ARGS__), 1,                  \
                       (strata_tensor *const[]){x})
/** A new layer applied to a list of tensors: STRATA_APPLY_LIST(add, STRATA_LIST(a, b)). */
#define STRATA_APPLY_LIST(id, list, ...)                                                           \
    strata_layer_apply_list(&strata_##id##_class, STRATA_CONFIG(id, ##__VA_ARGS__), list)
#define STRATA_LIST(...)                                                                           \
    ((strata_list){.count =                                                                        \
                       (int)(sizeof((strata_tensor *[]){__VA_ARGS__}) / sizeof(strata_tensor *)),  \
                   .tensors = (strata_tensor *const[]){__VA_ARGS__}})
#endif

/** Several tensors, as merge layers take them. Borrowed. */
typedef struct strata_list {
    int count;
    strata_tensor *const *tensors;
} strata_list;

/**
 * A layer of that class. `config` is copied deeply and checked; NULL takes the defaults. Owned by
 * the context, until strata_finish(). NULL after an error. Local; all ranks make the same layers in
 * the same order.
 */
STRATA_EXPORT strata_layer *strata_layer_new(strata_context *ctx, const strata_layer_class *cls,
                                             const void *config);

/** From Keras's JSON: {"class_name": …, "config": {…}} or notation "Dense(units=3)". Classes:
 * Keras's, and those registered. Local. */
STRATA_EXPORT strata_layer *strata_layer_from_text(strata_context *ctx, const char *text);

/** Makes a custom class known to files as package>name. Local. */
STRATA_EXPORT strata_status strata_register_layer(strata_context *ctx,
                                                  const strata_layer_class *cls);

/** Runs a layer on tensors (symbolic: records the call in the graph). Collective on the mesh. */
STRATA_EXPORT strata_tensor *strata_layer_call(strata_layer *layer, strata_tensor *input);
STRATA_EXPORT strata_tensor *strata_layer_call_list(strata_layer *layer, strata_list inputs);
/** As above with every argument; `outputs` gets the class's output_count tensors. training: 1, 0,
 * −1: as the enclosing call. */
STRATA_EXPORT strata_status strata_layer_call_many(strata_layer *layer, int count,
                                                   strata_tensor *const *inputs, int training,
                                                   strata_tensor **outputs);
/** As above with the class's arguments struct (layers/attention.h has one; NULL: its defaults),
 * copied by a symbolic call. */
STRATA_EXPORT strata_status strata_layer_call_with(strata_layer *layer, const void *arguments,
                                                   int count, strata_tensor *const *inputs,
                                                   int training, strata_tensor **outputs);
/** New layer, called at once; what the constructor macros use. */
STRATA_EXPORT strata_tensor *strata_layer_apply(const strata_layer_class *cls, const void *config,
                                                int count, strata_tensor *const *inputs);
STRATA_EXPORT strata_tensor *strata_layer_apply_list(const strata_layer_class *cls,
                                                     const void *config, strata_list inputs);

/** The layer that made a symbolic tensor. Local. */
STRATA_EXPORT strata_layer *strata_tensor_layer(const strata_tensor *tensor);

/* --- what a layer is --- */

STRATA_EXPORT const char *strata_layer_name(const strata_layer *layer);
STRATA_EXPORT const char *strata_layer_class_name(const strata_layer *layer);
STRATA_EXPORT strata_context *strata_layer_context(const strata_layer *layer);
/** The instance's configuration struct and private state. Owned by the layer. Local. */
STRATA_EXPORT const void *strata_layer_config(const strata_layer *layer);
STRATA_EXPORT void *strata_layer_state(const strata_layer *layer);

/** get_config as JSON text, key by key what Keras writes; free with strata_text_free(). Local. */
STRATA_EXPORT char *strata_layer_get_config(strata_layer *layer);
/** {"module", "class_name", "config", "registered_name"[, "build_config"]}. As above. */
STRATA_EXPORT char *strata_layer_serialize(strata_layer *layer);
STRATA_EXPORT void strata_text_free(strata_context *ctx, char *text);

/** Builds for one input shape, if not built yet. Collective on the mesh. */
STRATA_EXPORT strata_status strata_layer_build(strata_layer *layer, strata_shape input);
STRATA_EXPORT bool strata_layer_built(const strata_layer *layer);

/** trainable of the layer, its variables and sublayers. Takes effect in training with the next
 * strata_compile(). Local. */
STRATA_EXPORT bool strata_layer_trainable(const strata_layer *layer);
STRATA_EXPORT void strata_layer_set_trainable(strata_layer *layer, bool trainable);

/** tf.keras's flag: true if the layer or a sublayer has it. Strata always runs eagerly. Local. */
STRATA_EXPORT bool strata_layer_dynamic(const strata_layer *layer);

/* --- weights --- */

/** Arguments of add_weight, with Keras's defaults. */
typedef struct strata_weight {
    const char *name;
    strata_shape shape;      /**< default: scalar */
    const char *dtype;       /**< default "float32" */
    const char *initializer; /**< default glorot_uniform, zeros for whole numbers and bool */
    const char *regularizer;
    int trainable; /**< 1, 0; default: true, but false for ON_READ */
    const char *constraint;
    strata_synchronization synchronization;
    strata_aggregation aggregation;
} strata_weight;

#ifndef __cplusplus
/** strata_layer_add_weight(layer, .name = "kernel", .shape = STRATA_SHAPE(4, 3)) in create or
 * build. NULL after an error. */
#define strata_layer_add_weight(layer, ...)                                                        \
    strata_layer_add_weight_from(                                                                  \
        layer, &(strata_weight){.dtype = "float32", .trainable = -1, ##__VA_ARGS__})
#endif
/** The function behind it. The layer owns the variable. Collective on the mesh. */
STRATA_EXPORT strata_variable *strata_layer_add_weight_from(strata_layer *layer,
                                                            const strata_weight *weight);

/** A sublayer, tracked under an attribute name (group name in weight files). Its weights count as
 * the layer's. Local. */
STRATA_EXPORT strata_status strata_layer_track(strata_layer *layer, const char *attribute,
                                               strata_layer *sublayer);

/**
 * Variables in Keras's order: own trainable store, own non-trainable store, then sublayers'.
 * strata_layer_weights returns how many there are and stores at most `size` of them. Local.
 */
STRATA_EXPORT int strata_layer_weights(const strata_layer *layer, strata_variable **weights,
                                       int size);
STRATA_EXPORT int strata_layer_trainable_weights(const strata_layer *layer,
                                                 strata_variable **weights, int size);
STRATA_EXPORT int strata_layer_non_trainable_weights(const strata_layer *layer,
                                                     strata_variable **weights, int size);
/** Elements of all weights. Error when not built. Local. */
STRATA_EXPORT int64_t strata_layer_count_params(const strata_layer *layer);

/** Whole values into arrays[i], in the order of weights, each in its dtype. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_layer_get_weights(strata_layer *layer, int count,
                                                     void *const *arrays);
/** Sets all weights from whole arrays of those shapes, equal on every rank. Errors in Keras's
 * words. Collective on the mesh. */
STRATA_EXPORT strata_status strata_layer_set_weights(strata_layer *layer, int count,
                                                     const void *const *arrays,
                                                     const strata_shape *shapes);

/* --- losses and metrics of a layer --- */

/** Adds a loss in `call`: float32, summed over its elements (a batch: over all samples) when the
 * total is formed. */
STRATA_EXPORT strata_status strata_layer_add_loss(strata_layer *layer, strata_tensor *loss);
/** Losses of the last outermost call (the layer's and its sublayers'), then one for each
 * regularized trainable weight; count returned. */
STRATA_EXPORT int strata_layer_losses(strata_layer *layer, strata_tensor **losses, int size);

/**
 * tf.keras's add_metric in `call`: the mean of the value over calls and samples, under that name.
 * aggregation "mean". Collective on the columns of the mesh where the value is split.
 */
STRATA_EXPORT strata_status strata_layer_add_metric(strata_layer *layer, strata_tensor *value,
                                                    const char *name);
/** Number of metrics of the layer and its sublayers; name and value of one of them. Value:
 * Collective on the mesh. */
STRATA_EXPORT int strata_layer_metric_count(const strata_layer *layer);
STRATA_EXPORT const char *strata_layer_metric_name(const strata_layer *layer, int index);
STRATA_EXPORT double strata_layer_metric_value(strata_layer *layer, int index);
STRATA_EXPORT void strata_layer_reset_metrics(strata_layer *layer);

/* --- input_spec --- */

/** What a layer demands of an input; −1 or NULL: anything. */
typedef struct strata_input_spec {
    int ndim, min_ndim, max_ndim;
    const char *dtype;
    int axis_count;
    struct {
        int axis; /**< negative counts from the end */
        int64_t size;
    } axes[STRATA_MAX_RANK];
    strata_shape shape; /**< rank −1: anything; STRATA_NONE entries are free */
} strata_input_spec;

/** Sets the spec of input `index`; checked before and after build. Errors in Keras's words. Local.
 */
STRATA_EXPORT void strata_layer_set_input_spec(strata_layer *layer, int index,
                                               const strata_input_spec *spec);

/** Mask of a tensor: bool, shape without the feature axis; NULL: none. Local. */
STRATA_EXPORT strata_tensor *strata_tensor_mask(const strata_tensor *tensor);
STRATA_EXPORT void strata_tensor_set_mask(strata_tensor *tensor, strata_tensor *mask);

#ifdef __cplusplus
}
#endif
#endif
