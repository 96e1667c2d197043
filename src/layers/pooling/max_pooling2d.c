/* MaxPooling2D: the largest value of each window.
 * https://keras.io/api/layers/pooling_layers/max_pooling2d */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/pooling/pool.h"

typedef strata_max_pooling2d_config config;
static const config defaults = {strata_max_pooling2d_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA__POOL_FIELDS(config),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    return strata__call_pool2d(layer, call->inputs[0], strata__max_pooling);
}

const strata_layer_class strata_max_pooling2d_class = {
    .name = "MaxPooling2D",
    .aliases = "MaxPool2D",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_LOCAL,
    .create = strata__create_pool2d,
    .call = call,
};
