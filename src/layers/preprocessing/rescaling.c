/* Rescaling: scale · x + offset.
 * https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/preprocessing.h>

#include "layers/layer.h"

typedef strata_rescaling_config config;
static const config defaults = {strata_rescaling_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, scale, .required = true, .one_number = true, .help = "factor"),
    STRATA_FIELD(config, offset, .one_number = true, .help = "added after"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    return strata_ops_affine(strata_ops_cast(call->inputs[0], STRATA_FLOAT32), c->scale, c->offset);
}

const strata_layer_class strata_rescaling_class = {
    .name = "Rescaling",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_LOCAL,
    .passes_mask = true,
    .call = call,
};
