/* ReLU as a layer. https://keras.io/api/layers/activation_layers/relu */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/activation.h>

#include <math.h>

#include "layers/layer.h"

typedef strata_re_lu_config config;
static const config defaults = {strata_re_lu_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, max_value, .min = 0, .max = INFINITY, .help = "upper bound; null: none"),
    STRATA_FIELD(config, negative_slope, .min = 0, .max = INFINITY,
                 .help = "slope below threshold"),
    STRATA_FIELD(config, threshold, .min = 0, .max = INFINITY, .help = "where the identity begins"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    return strata__relu(call->inputs[0], c->negative_slope, c->max_value, c->threshold);
}

const strata_layer_class strata_re_lu_class = {
    .name = "ReLU",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_LOCAL,
    .passes_mask = true,
    .call = call,
};
