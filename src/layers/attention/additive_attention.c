/* AdditiveAttention: Bahdanau's.
 * https://keras.io/api/layers/attention_layers/additive_attention */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/attention/one_head.h"

typedef strata_additive_attention_config config;
static const config defaults = {strata_additive_attention_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, use_scale, .help = "whether weights multiply the terms of scores"),
    STRATA_FIELD(config, dropout, .min = 0, .max = 1, .help = "of the weights of values"),
    STRATA_FIELD(config, seed, .help = "of dropout; null: from the context's seed"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata_variable *scale; /* (dim); NULL: none */
} state;

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    const config *c = layer->config;
    if (c->use_scale)
        self->scale =
            strata__add_weight(layer,
                               &(strata_weight){.name = "scale",
                                                .shape = STRATA_SHAPE(strata__last(&inputs[0])),
                                                .initializer = "glorot_uniform",
                                                .trainable = 1},
                               STRATA__WHOLE, 0);
    return layer->ctx->status;
}

static strata_status call(strata_layer *layer, const strata_call *call, strata_tensor **outputs)
{
    const state *self = layer->state;
    const config *c = layer->config;
    strata__one_head how = {.additive = true,
                            .weights = strata_variable_value(self->scale),
                            .dropout = c->dropout,
                            .seed = c->seed};
    return strata__one_head_call(layer, call, &how, outputs);
}

const strata_layer_class strata_additive_attention_class = {
    .name = "AdditiveAttention",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    STRATA__ONE_HEAD_CLASS,
    .build = build,
    .call_many = call,
};
