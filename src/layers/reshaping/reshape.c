/* Reshape: another shape after the batch axis. https://keras.io/api/layers/reshaping_layers/reshape
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/reshaping.h>

#include "layers/layer.h"

typedef strata_reshape_config config;
static const config defaults = {strata_reshape_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, target_shape, .required = true, .help = "sizes after the batch axis"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    return strata_ops_reshape(call->inputs[0], c->target_shape);
}

const strata_layer_class strata_reshape_class = {
    .name = "Reshape",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .call = call,
};
