/* Activation: an activation function as a layer. https://keras.io/api/layers/core_layers/activation
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/core.h>

#include "layers/layer.h"

typedef strata_activation_config config;
static const config defaults = {strata_activation_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, activation, .required = true, .family = &strata__activation_family,
                 .help = "the function"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata__object activation;
} state;

static strata_status create(strata_layer *layer)
{
    state *self = layer->state;
    const config *c = layer->config;
    return strata__object_parse(layer->ctx, &strata__activation_family, c->activation,
                                &self->activation);
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    return strata__activate(call->inputs[0], &self->activation);
}

static void destroy(strata_layer *layer)
{
    strata__object_free(layer->ctx, &((state *)layer->state)->activation);
}

const strata_layer_class strata_activation_class = {
    .name = "Activation",
    .config_size = sizeof(config),
    .defaults = &defaults,
    .fields = fields,
    .field_count = sizeof fields / sizeof *fields,
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .create = create,
    .call = call,
    .destroy = destroy,
};
