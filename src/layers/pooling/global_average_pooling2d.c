/* GlobalAveragePooling2D: the mean over all cells.
 * https://keras.io/api/layers/pooling_layers/global_average_pooling2d */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/pooling.h>

#include "layers/sliding.h"

typedef strata_global_average_pooling2d_config config;
static const config defaults = {strata_global_average_pooling2d_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, data_format, .choices = "channels_last|channels_first",
                 .help = "order of axes"),
    STRATA_FIELD(config, keepdims, .help = "whether the spatial axes stay, with size 1"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

enum { RANK = 2 };

static strata_status create(strata_layer *layer)
{
    strata_layer_set_input_spec(
        layer, 0,
        &(strata_input_spec){.ndim = RANK + 2, .min_ndim = -1, .max_ndim = -1, .shape.rank = -1});
    return strata__set_data_format(layer);
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    return strata__global_average_pooling(layer->name, call->inputs[0], RANK,
                                          strata__is_channels_first(c->data_format), c->keepdims);
}

const strata_layer_class strata_global_average_pooling2d_class = {
    .name = "GlobalAveragePooling2D",
    .aliases = "GlobalAvgPool2D",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_LOCAL,
    .create = create,
    .call = call,
};
