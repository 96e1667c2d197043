/* GroupQueryAttention. https://keras.io/api/layers/attention_layers/group_query_attention */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/attention/heads.h"

typedef strata_group_query_attention_config config;
static const config defaults = {strata_group_query_attention_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, head_dim, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "features of each head"),
    STRATA_FIELD(config, num_query_heads, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "heads of the query"),
    STRATA_FIELD(config, num_key_value_heads, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "heads of key and value"),
    STRATA__HEADS_FIELDS(config),
};

static strata__heads_config heads_of(const config *c)
{
    return (strata__heads_config){.heads = c->num_query_heads,
                                  .groups = c->num_key_value_heads,
                                  .key_dim = c->head_dim,
                                  .value_dim = c->head_dim,
                                  .output_shape = STRATA_NO_SHAPE,
                                  .attention_axes = STRATA_NO_SHAPE,
                                  .prefix = "_",
                                  STRATA__HEADS_CONFIG(c)};
}

static strata_status create(strata_layer *layer)
{
    config *c = layer->config;
    c->key = NULL;
    c->attention_scores = NULL;
    c->arguments = strata__attention_argument_defaults;
    if (c->num_query_heads % c->num_key_value_heads != 0)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': `num_query_heads` must be divisible by "
                            "`num_key_value_heads`. Received: %lld and %lld",
                            layer->name, (long long)c->num_query_heads,
                            (long long)c->num_key_value_heads);
    strata__heads_config heads = heads_of(c);
    return strata__heads_create(layer, &heads);
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    strata__heads_config heads = heads_of(layer->config);
    if (inputs[0].rank != 3) {
        char text[STRATA__SHAPE_TEXT];
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': the query must have 3 axes: batch, positions, features. "
                            "Received: query_shape=%s",
                            layer->name, strata__shape_text(&inputs[0], text));
    }
    return strata__heads_build(layer, &heads, count, inputs);
}

const strata_layer_class strata_group_query_attention_class = {
    .name = "GroupQueryAttention",
    .aliases = "GroupedQueryAttention",
    .python_name = "GroupedQueryAttention",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    STRATA__HEADS_CLASS,
    .create = create,
    .build = build,
    .call_many = strata__heads_call,
};

strata_tensor *strata_group_query_attention_from(strata_tensor *query, strata_tensor *value,
                                                 const config *c)
{
    return strata__attention_apply(&strata_group_query_attention_class, c,
                                   (strata_tensor *const[]){query, value, c->key}, &c->arguments,
                                   c->attention_scores);
}
