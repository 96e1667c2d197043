/* Attention: Luong's, of one head. https://keras.io/api/layers/attention_layers/attention */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "layers/attention/one_head.h"

typedef strata_attention_config config;
static const config defaults = {strata_attention_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, use_scale, .help = "whether a weight multiplies the scores"),
    STRATA_FIELD(config, score_mode, .choices = "dot|concat", .help = "how scores are formed"),
    STRATA_FIELD(config, dropout, .min = 0, .max = 1, .help = "of the weights of values"),
    STRATA_FIELD(config, seed, .help = "of dropout; null: from the context's seed"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata_variable *scale, *concat_score_weight; /* (); NULL: none */
} state;

static bool concatenates(const config *c)
{
    return strcmp(c->score_mode, "concat") == 0;
}

static strata_variable *add_number(strata_layer *layer, const char *name)
{
    return strata__add_weight(layer,
                              &(strata_weight){.name = name, .initializer = "ones", .trainable = 1},
                              STRATA__WHOLE, 0);
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    (void)inputs;
    state *self = layer->state;
    const config *c = layer->config;
    if (c->use_scale)
        self->scale = add_number(layer, "scale");
    if (concatenates(c))
        self->concat_score_weight = add_number(layer, "concat_score_weight");
    return layer->ctx->status;
}

static strata_status call(strata_layer *layer, const strata_call *call, strata_tensor **outputs)
{
    const state *self = layer->state;
    const config *c = layer->config;
    strata__one_head how = {.additive = concatenates(c),
                            .scale = strata_variable_value(self->scale),
                            .weights = strata_variable_value(self->concat_score_weight),
                            .dropout = c->dropout,
                            .seed = c->seed};
    return strata__one_head_call(layer, call, &how, outputs);
}

const strata_layer_class strata_attention_class = {
    .name = "Attention",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    STRATA__ONE_HEAD_CLASS,
    .build = build,
    .call_many = call,
};
