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

#ifdef __cplusplus
}
#endif
#endif
