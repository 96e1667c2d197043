/* Embedding: rows of a table picked by number. https://keras.io/api/layers/core_layers/embedding */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/core.h>

#include "layers/weights.h"

typedef strata_embedding_config config;
static const config defaults = {strata_embedding_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, input_dim, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "rows of the table"),
    STRATA_FIELD(config, output_dim, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "columns of the table"),
    STRATA__WEIGHT_FIELDS(config, embeddings, "the table"),
    STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,
                 .help = "of the output"),
    STRATA_FIELD(config, mask_zero, .help = "whether 0 is padding"),
};

typedef struct state {
    strata_variable *embeddings; /* (input_dim, output_dim), matrix over the model grid */
} state;

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    (void)inputs;
    state *self = layer->state;
    const config *c = layer->config;
    self->embeddings = strata__add_weight(
        layer,
        STRATA__WEIGHT("embeddings", c, embeddings, STRATA_SHAPE(c->input_dim, c->output_dim)),
        STRATA__MATRIX, 0);
    return layer->ctx->status;
}

static strata_tensor *whole_numbers(strata_tensor *x)
{
    bool integer = x->dtype == STRATA_INT32 || x->dtype == STRATA_INT64;
    return integer ? x : strata_ops_cast(x, STRATA_INT32);
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    return strata__embedding(layer->name, whole_numbers(strata__whole(call->inputs[0])),
                             strata_variable_value(self->embeddings));
}

static strata_tensor *compute_mask(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    return c->mask_zero ? strata_ops_cast(strata__whole(call->inputs[0]), STRATA_BOOL) : NULL;
}

const strata_layer_class strata_embedding_class = {
    .name = "Embedding",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .uses_mask = true,
    .build = build,
    .call = call,
    .compute_mask = compute_mask,
};
