/* RMSNormalization. https://keras.io/api/layers/normalization_layers/rms_normalization */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/normalization.h>

#include "layers/normalization/sample_axes.h"

typedef strata_rms_normalization_config config;
static const config defaults = {strata_rms_normalization_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .json = true, .help = "the axis, or a list of axes"),
    STRATA_FIELD(config, epsilon, .help = "added to the mean square"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata_variable *scale; /* of the shape of the axes */
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
    self->scale = strata__add_weight(
        layer,
        &(strata_weight){
            .name = "scale", .shape = self->axes.shape, .initializer = "ones", .trainable = 1},
        self->axes.placement, 0);
    return layer->ctx->status;
}

/* Keras lays the scale against the last axes of the input, whichever axes it was made for. */
static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    const config *c = layer->config;
    const strata__sample_axes *axes = &self->axes;
    strata_tensor *scale = strata_variable_value(self->scale);
    strata_tensor *y = strata__layer_normalization(layer->name, call->inputs[0], axes->count,
                                                   axes->axes, axes->last ? scale : NULL, NULL,
                                                   c->epsilon, STRATA__BY_MEAN_SQUARE);
    return axes->last ? y : strata_ops_multiply(y, scale);
}

const strata_layer_class strata_rms_normalization_class = {
    .name = "RMSNormalization",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .create = create,
    .build = build,
    .call = call,
};
