/* Attention layers: Attention, AdditiveAttention, MultiHeadAttention, GroupQueryAttention. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_ATTENTION_H
#define STRATA_LAYERS_ATTENTION_H

#include <strata/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A position of the query, of which there are T, attends to positions of key and value, of which
 * there are S, that all masks allow: true allows. Masks that are not given are those attached to
 * the inputs. Scores, T × S, are in memory only where they are asked for.
 */
#define STRATA_ATTENTION_ARGUMENTS                                                                 \
    strata_tensor *query_mask;     /**< bool (B, T); NULL: the mask attached to the query.         \
                                      MultiHeadAttention uses that one only */                     \
    strata_tensor *value_mask;     /**< bool (B, S) */                                             \
    strata_tensor *key_mask;       /**< bool (B, S) */                                             \
    strata_tensor *attention_mask; /**< bool (B or 1, T, S), or with an axis of heads: (B or 1,    \
                                      heads or 1, T, S) */                                         \
    bool return_attention_scores;  /**< a second output: the weights of the positions, (B, heads,  \
                                      T, S) */                                                     \
    bool use_causal_mask;          /**< position t attends to positions up to t */

/** Arguments of the calls of attention layers, for strata_layer_call_with(). */
typedef struct strata_attention_arguments {
    STRATA_ATTENTION_ARGUMENTS
} strata_attention_arguments;

/*
 * Attention and AdditiveAttention take a list: query (B, T, dim), value (B, S, v) and, if it is not
 * the value, key (B, S, dim). Each query gets the values weighted by the softmax of its scores with
 * all keys: (B, T, v). Dropout is of these weights, in training. Of strata_attention_arguments they
 * take query_mask, which zeroes results and is passed on as their mask, value_mask, which hides
 * keys and values, return_attention_scores and use_causal_mask; scores are (B, T, S), after
 * dropout. If one of the two masks is given those attached to the inputs are not used.
 */

/**
 * Luong's attention. Scores are scale · (query · key), or with score_mode "concat"
 * concat_score_weight · Σ tanh(scale · (query + key)); scale is a weight if use_scale, else 1.
 *
 *     y = strata_attention(STRATA_LIST(query, value), .use_scale = true);
 */
typedef struct strata_attention_config {
    bool use_scale;
    const char *score_mode; /**< "dot" or "concat" */
    double dropout;
    int64_t seed; /**< of dropout; STRATA_NONE: from the context's seed and the layer's name */
    STRATA_LAYER_COMMON
} strata_attention_config;
#define strata_attention_defaults .score_mode = "dot", .seed = STRATA_NONE, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_attention_class;
#define strata_attention(list, ...) STRATA_APPLY_LIST(attention, list, ##__VA_ARGS__)

/** Bahdanau's attention: scores are Σ scale · tanh(query + key); scale (dim) is a weight if
 * use_scale, else 1. */
typedef struct strata_additive_attention_config {
    bool use_scale;
    double dropout;
    int64_t seed; /**< of dropout; STRATA_NONE: from the context's seed and the layer's name */
    STRATA_LAYER_COMMON
} strata_additive_attention_config;
#define strata_additive_attention_defaults                                                         \
    .use_scale = true, .seed = STRATA_NONE, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_additive_attention_class;
#define strata_additive_attention(list, ...)                                                       \
    STRATA_APPLY_LIST(additive_attention, list, ##__VA_ARGS__)

/**
 * What the constructor macros of attention layers pass on to the one call that they make, as
 * members of the configuration. Layers that are made by themselves take none of it.
 */
#define STRATA_ATTENTION_CALL                                                                      \
    strata_tensor *key;               /**< NULL: the value */                                      \
    strata_tensor **attention_scores; /**< receives the scores; NULL: they are not asked for */    \
    __extension__ union {                                                                          \
        strata_attention_arguments arguments;                                                      \
        __extension__ struct {                                                                     \
            STRATA_ATTENTION_ARGUMENTS                                                             \
        };                                                                                         \
    };

/**
 * Attention by heads: query (B, T, d), value and key (B, S, …) → (B, T, d), or (B, T,
 * output_shape…). Each head projects query and key to key_dim features and value to value_dim,
 * weights the values by softmax(q · k / √key_dim), and all heads are projected to the output.
 * Inputs are called in the order query, value, key.
 *
 * A query that sees no key gets the mean of all values where Keras's fused attention is used: with
 * 3 axes, no dropout and no scores. Else it gets zeros. The output carries the mask of the query.
 * As in Keras, MultiHeadAttention takes the masks off its inputs, so that layers which are called
 * on them later, such as the sum of a residual block, find none; GroupQueryAttention leaves them.
 *
 * With more axes, (B, …, d), the positions are those of attention_axes, and the other axes are as
 * many batches; use_causal_mask then counts positions in row-major order.
 *
 * Weights are EinsumDense's of the sublayers query, key, gate, value and attention_output, on the
 * model grid. Heads are split over its columns; where they cannot be, their features are gathered.
 *
 *     y = strata_multi_head_attention(x, x, .num_heads = 4, .key_dim = 64, .use_causal_mask =
 * true);
 */
typedef struct strata_multi_head_attention_config {
    int64_t num_heads, key_dim; /**< required */
    int64_t value_dim;          /**< STRATA_NONE: key_dim */
    double dropout;             /**< of the scores, in training */
    bool use_bias;
    bool use_gate;             /**< heads are multiplied by a projection of the query to 0 … 1 */
    strata_shape output_shape; /**< without batch and positions; default: features of the query */
    strata_shape attention_axes; /**< {1}; default: all axes between batch and features */
    int64_t sliding_window;      /**< positions less than so far apart attend; STRATA_NONE: all */
    bool flash_attention;        /**< refuses what Keras's kernel cannot do; scores never need it */
    const char *kernel_initializer;
    const char *bias_initializer;
    const char *kernel_regularizer;
    const char *bias_regularizer;
    const char *kernel_constraint;
    const char *bias_constraint;
    int64_t seed; /**< of dropout; STRATA_NONE: from the context's seed and the layer's name */
    STRATA_LAYER_COMMON /**< activity_regularizer: of each projection */
        STRATA_ATTENTION_CALL
} strata_multi_head_attention_config;
#define strata_multi_head_attention_defaults                                                       \
    .value_dim = STRATA_NONE, .use_bias = true, .output_shape = STRATA_NO_SHAPE,                   \
    .attention_axes = STRATA_NO_SHAPE, .sliding_window = STRATA_NONE,                              \
    .kernel_initializer = "glorot_uniform", .bias_initializer = "zeros", .seed = STRATA_NONE,      \
    STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_multi_head_attention_class;
#define strata_multi_head_attention(query, value, ...)                                             \
    strata_multi_head_attention_from(query, value, STRATA_CONFIG(multi_head_attention, __VA_ARGS__))
STRATA_EXPORT strata_tensor *
strata_multi_head_attention_from(strata_tensor *query, strata_tensor *value,
                                 const strata_multi_head_attention_config *config);

/**
 * The same with fewer heads of key and value: so many heads of the query share one, in order.
 * query (B, T, d), value and key (B, S, …) → (B, T, d).
 */
typedef struct strata_group_query_attention_config {
    int64_t head_dim;            /**< features of each head; required */
    int64_t num_query_heads;     /**< required */
    int64_t num_key_value_heads; /**< a divisor of num_query_heads; required */
    double dropout;
    bool use_bias, use_gate;
    int64_t sliding_window;
    bool flash_attention;
    const char *kernel_initializer;
    const char *bias_initializer;
    const char *kernel_regularizer;
    const char *bias_regularizer;
    const char *kernel_constraint;
    const char *bias_constraint;
    int64_t seed;
    STRATA_LAYER_COMMON
    STRATA_ATTENTION_CALL
} strata_group_query_attention_config;
#define strata_group_query_attention_defaults                                                      \
    .use_bias = true, .sliding_window = STRATA_NONE, .kernel_initializer = "glorot_uniform",       \
    .bias_initializer = "zeros", .seed = STRATA_NONE, STRATA_LAYER_DEFAULTS
extern STRATA_EXPORT const strata_layer_class strata_group_query_attention_class;
#define strata_group_query_attention(query, value, ...)                                            \
    strata_group_query_attention_from(query, value,                                                \
                                      STRATA_CONFIG(group_query_attention, __VA_ARGS__))
STRATA_EXPORT strata_tensor *
strata_group_query_attention_from(strata_tensor *query, strata_tensor *value,
                                  const strata_group_query_attention_config *config);

#ifdef __cplusplus
}
#endif
#endif
