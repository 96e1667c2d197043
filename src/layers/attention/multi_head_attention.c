/* MultiHeadAttention. https://keras.io/api/layers/attention_layers/multi_head_attention */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/attention/heads.h"

typedef strata_multi_head_attention_config config;
static const config defaults = {strata_multi_head_attention_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, num_heads, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "heads of query, key and value"),
    STRATA_FIELD(config, key_dim, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "features of each head of query and key"),
    STRATA_FIELD(config, value_dim, .min = 1, .max = INT32_MAX,
                 .help = "features of each head of value; null: key_dim"),
    STRATA_FIELD(config, output_shape, .or_number = true, .min = 1, .max = INT32_MAX,
                 .help = "sizes of the output in place of the features; null: the query's"),
    STRATA_FIELD(config, attention_axes, .or_number = true,
                 .help = "axes of positions; null: all between batch and features"),
    STRATA__HEADS_FIELDS(config),
};

static strata__heads_config heads_of(const config *c)
{
    return (strata__heads_config){.heads = c->num_heads,
                                  .groups = c->num_heads,
                                  .key_dim = c->key_dim,
                                  .value_dim = c->value_dim,
                                  .output_shape = c->output_shape,
                                  .attention_axes = c->attention_axes,
                                  .prefix = "",
                                  STRATA__HEADS_CONFIG(c)};
}

static strata_status create(strata_layer *layer)
{
    config *c = layer->config;
    c->key = NULL;
    c->attention_scores = NULL;
    c->arguments = strata__attention_argument_defaults;
    if (c->value_dim == STRATA_NONE)
        c->value_dim = c->key_dim;
    strata__heads_config heads = heads_of(c);
    return strata__heads_create(layer, &heads);
}

/* The axes are written back into the configuration, as in Keras. */
static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    config *c = layer->config;
    strata__heads_config heads = heads_of(c);
    STRATA_TRY(strata__heads_build(layer, &heads, count, inputs));
    const strata__heads *h = layer->state;
    c->attention_axes.rank = h->positions;
    for (int i = 0; i < h->positions; i++)
        c->attention_axes.dims[i] = h->order[1 + h->batches + i];
    return STRATA_OK;
}

static void warn_of_query_mask(strata_layer *layer)
{
    if (!layer->mask_warned)
        strata__warn(layer->ctx,
                     "layer '%s': MultiHeadAttention does not use the argument query_mask, as in "
                     "Keras; attach the mask to the query with strata_tensor_set_mask()",
                     layer->name);
    layer->mask_warned = true;
}

/*
 * Keras's call reads the mask that the query carries, whatever query_mask is, and takes the masks
 * off its inputs: layers that are called on the same tensors later find none. In a residual block,
 * x + attention(x), the sum has no mask therefore. Symbolic inputs keep theirs.
 */
static strata_status call(strata_layer *layer, const strata_call *given, strata_tensor **outputs)
{
    strata_attention_arguments arguments = *(const strata_attention_arguments *)given->arguments;
    strata_call own = *given;
    if (arguments.query_mask)
        warn_of_query_mask(layer);
    arguments.query_mask = NULL;
    own.arguments = &arguments;
    STRATA_TRY(strata__heads_call(layer, &own, outputs));
    for (int i = 0; i < own.count; i++) {
        if (!own.inputs[i]->symbolic)
            strata_tensor_set_mask(own.inputs[i], NULL);
    }
    return layer->ctx->status;
}

const strata_layer_class strata_multi_head_attention_class = {
    .name = "MultiHeadAttention",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    STRATA__HEADS_CLASS,
    .create = create,
    .build = build,
    .call_many = call,
};

strata_tensor *strata_multi_head_attention_from(strata_tensor *query, strata_tensor *value,
                                                const config *c)
{
    return strata__attention_apply(&strata_multi_head_attention_class, c,
                                   (strata_tensor *const[]){query, value, c->key}, &c->arguments,
                                   c->attention_scores);
}
