/* Attention layers: what their calls take besides query, value and key. */
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
 * the inputs.
 */
#define STRATA_ATTENTION_ARGUMENTS                                                                 \
    strata_tensor *query_mask;     /**< bool (B, T); NULL: the mask attached to the query */       \
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

#ifdef __cplusplus
}
#endif
#endif
