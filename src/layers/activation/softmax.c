/* Softmax as a layer. https://keras.io/api/layers/activation_layers/softmax */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/activation.h>

#include "layers/axes.h"
#include "layers/layer.h"

typedef strata_softmax_config config;
static const config defaults = {strata_softmax_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .json = true, .help = "the axis, or a list of axes"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    strata_tensor *x = call->inputs[0];
    int axes[STRATA_MAX_RANK], count;
    if (strata__axes_parse(layer, "axis", c->axis, x->shape.rank, axes, &count) != STRATA_OK)
        return NULL;
    return strata__softmax(x, count, axes, x->mask);
}

const strata_layer_class strata_softmax_class = {
    .name = "Softmax",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .call = call,
};
