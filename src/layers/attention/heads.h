/* Attention by heads: what MultiHeadAttention and GroupQueryAttention are made of. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_ATTENTION_HEADS_H
#define STRATA_LAYERS_ATTENTION_HEADS_H

#include <strata/layers/core.h>

#include "layers/attention/call.h"
#include "layers/weights.h"

/* Members that both configurations have; the texts are borrowed. */
typedef struct strata__heads_config {
    int64_t heads, groups;       /* of query; of key and value */
    int64_t key_dim, value_dim;  /* features of a head */
    strata_shape output_shape;   /* rank -1: features of the query */
    strata_shape attention_axes; /* rank -1: all axes between batch and features */
    bool use_bias, use_gate, flash_attention;
    double dropout;
    int64_t seed, sliding_window;       /* STRATA_NONE: none */
    const char *prefix;                 /* of the projections' attributes in weight files */
    strata_einsum_dense_config project; /* what the projections have in common */
} strata__heads_config;

#define STRATA__HEADS_CONFIG(c)                                                                    \
    .use_bias = (c)->use_bias, .use_gate = (c)->use_gate, .flash_attention = (c)->flash_attention, \
    .dropout = (c)->dropout, .seed = (c)->seed, .sliding_window = (c)->sliding_window,             \
    .project = {.kernel_initializer = (c)->kernel_initializer,                                     \
                .bias_initializer = (c)->bias_initializer,                                         \
                .kernel_regularizer = (c)->kernel_regularizer,                                     \
                .bias_regularizer = (c)->bias_regularizer,                                         \
                .kernel_constraint = (c)->kernel_constraint,                                       \
                .bias_constraint = (c)->bias_constraint,                                           \
                .activity_regularizer = (c)->activity_regularizer,                                 \
                .trainable = (c)->trainable,                                                       \
                .dtype = (c)->dtype}

/* Their rows after those of the sizes. */
#define STRATA__HEADS_FIELDS(config)                                                               \
    STRATA_FIELD(config, dropout, .min = 0, .max = 1, .help = "of the scores, in training"),       \
        STRATA_FIELD(config, use_bias, .help = "whether projections have biases"),                 \
        STRATA_FIELD(config, use_gate, .omit_default = true,                                       \
                     .help = "whether heads are multiplied by a gate of the query"),               \
        STRATA_FIELD(config, sliding_window, .min = 1, .omit_default = true,                       \
                     .help = "positions less than so far apart attend"),                           \
        STRATA_FIELD(config, flash_attention, .omit_default = true,                                \
                     .help = "refuses what Keras's fused kernel cannot do"),                       \
        STRATA__WEIGHT_FIELDS(config, kernel, "the kernels"),                                      \
        STRATA__WEIGHT_FIELDS(config, bias, "the biases"),                                         \
        STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,          \
                     .help = "of the projections"),                                                \
        STRATA_FIELD(config, seed, .help = "of dropout; null: from the context's seed")

/* The members of a class that are the same for both. */
#define STRATA__HEADS_CLASS                                                                        \
    .state_size = sizeof(strata__heads), .min_inputs = 2, .max_inputs = 3,                         \
    .input_names = "query|value|key", .arguments_size = sizeof(strata_attention_arguments),        \
    .argument_defaults = &strata__attention_argument_defaults,                                     \
    .arguments = strata__attention_arguments, .argument_count = STRATA__ATTENTION_ARGUMENTS,       \
    .count_outputs = strata__attention_outputs, .features = STRATA_FEATURES_SHARDED,               \
    .uses_mask = true

/* State of a layer. */
typedef struct strata__heads {
    int64_t heads, groups;
    double scale; /* of the scores */
    int64_t window;
    double dropout_rate;
    int64_t seed;
    bool flash;
    int rank;                   /* of query, value and key */
    int batches, positions;     /* axes between batch and features, of both kinds */
    int order[STRATA_MAX_RANK]; /* axes with those of positions right before the features */
    int output_axes;
    int64_t output_sizes[STRATA_MAX_RANK];
    strata_layer *query, *key, *gate, *value, *output; /* EinsumDense; gate NULL: none */
    strata_layer *dropout;                             /* draws for the scores; never called */
} strata__heads;

/* Checks across arguments. The regularizer of activities is taken from the layer: the projections
 * have it. */
strata_status strata__heads_create(strata_layer *layer, const strata__heads_config *config);

/* Makes and builds the projections for query, value and key (of count 2: the value). */
strata_status strata__heads_build(strata_layer *layer, const strata__heads_config *config,
                                  int count, const strata_shape *inputs);

/* call_many of a class whose state is a strata__heads. */
strata_status strata__heads_call(strata_layer *layer, const strata_call *call,
                                 strata_tensor **outputs);

#endif
