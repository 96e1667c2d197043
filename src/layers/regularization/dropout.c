/* Dropout. https://keras.io/api/layers/regularization_layers/dropout */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/regularization.h>

#include "layers/layer.h"

typedef strata_dropout_config config;
static const config defaults = {strata_dropout_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, rate, .required = true, .min = 0, .max = 1, .help = "probability of zero"),
    STRATA_FIELD(config, seed, .help = "of the masks; null: from the context's seed"),
    STRATA_FIELD(config, noise_shape, .help = "shape of the mask, with the batch axis"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    strata_tensor *x = call->inputs[0];
    if (!call->training || c->rate == 0 || x->symbolic)
        return x;
    strata__key key = {.seed =
                           c->seed == STRATA_NONE ? layer->ctx->settings.seed : (uint64_t)c->seed,
                       .stream = strata__layer_draw(layer)};
    return strata__dropout(x, c->rate, c->noise_shape.rank < 0 ? NULL : &c->noise_shape, key);
}

const strata_layer_class strata_dropout_class = {
    .name = "Dropout",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_LOCAL,
    .passes_mask = true,
    .call = call,
};
