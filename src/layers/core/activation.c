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

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    return strata__activate(call->inputs[0], &layer->activation);
}

const strata_layer_class strata_activation_class = {
    .name = "Activation",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .call = call,
};
