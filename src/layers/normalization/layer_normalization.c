/* LayerNormalization. https://keras.io/api/layers/normalization_layers/layer_normalization */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/normalization.h>

#include "layers/normalization/sample_axes.h"
#include "layers/weights.h"

typedef strata_layer_normalization_config config;
static const config defaults = {strata_layer_normalization_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .json = true, .help = "the axis, or a list of axes"),
    STRATA_FIELD(config, epsilon, .help = "added to the variance"),
    STRATA_FIELD(config, center, .help = "whether beta is added"),
    STRATA_FIELD(config, scale, .help = "whether gamma multiplies"),
    STRATA_FIELD(config, rms_scaling, .help = "whether the input is only divided, not centred"),
    STRATA__WEIGHT_FIELDS(config, beta, "beta"),
    STRATA__WEIGHT_FIELDS(config, gamma, "gamma"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

/* Both of the shape of the axes; NULL: not wanted. */
typedef struct state {
    strata_variable *gamma, *beta;
    strata__sample_axes axes;
} state;

static strata_status create(strata_layer *layer)
{
    return strata__sample_axes_check(layer, ((const config *)layer->config)->axis);
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    config *c = layer->config;
    STRATA_TRY(strata__sample_axes_build(layer, &c->axis, inputs, &self->axes));
    if (c->scale || c->rms_scaling)
        self->gamma = strata__add_weight(layer, STRATA__WEIGHT("gamma", c, gamma, self->axes.shape),
                                         self->axes.placement, 0);
    if (c->center && !c->rms_scaling)
        self->beta = strata__add_weight(layer, STRATA__WEIGHT("beta", c, beta, self->axes.shape),
                                        self->axes.placement, 0);
    return layer->ctx->status;
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    const config *c = layer->config;
    return strata__layer_normalization(
        layer->name, call->inputs[0], self->axes.count, self->axes.axes,
        strata_variable_value(self->gamma), strata_variable_value(self->beta), c->epsilon,
        c->rms_scaling ? STRATA__BY_DEVIATION : STRATA__STANDARDIZED);
}

const strata_layer_class strata_layer_normalization_class = {
    .name = "LayerNormalization",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .create = create,
    .build = build,
    .call = call,
};
