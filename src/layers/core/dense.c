/* Dense: y = activation(x · kernel + bias) over the last axis.
 * https://keras.io/api/layers/core_layers/dense */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/core.h>

#include "layers/weights.h"

typedef strata_dense_config config;
static const config defaults = {strata_dense_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, units, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "size of the last output axis"),
    STRATA_LAYER_ACTIVATION_FIELD(config),
    STRATA_FIELD(config, use_bias, .help = "whether a bias is added"),
    STRATA__WEIGHT_FIELDS(config, kernel, "the kernel"),
    STRATA__WEIGHT_FIELDS(config, bias, "the bias"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata_variable *kernel; /* (d, units), matrix over the model grid */
    strata_variable *bias;   /* (units), over cols like the kernel's columns */
} state;

static strata_status create(strata_layer *layer)
{
    strata_layer_set_input_spec(
        layer, 0,
        &(strata_input_spec){.ndim = -1, .min_ndim = 2, .max_ndim = -1, .shape.rank = -1});
    return layer->ctx->status;
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    const config *c = layer->config;
    int64_t d = strata__last(inputs);
    self->kernel = strata__add_weight(
        layer, STRATA__WEIGHT("kernel", c, kernel, STRATA_SHAPE(d, c->units)), STRATA__MATRIX, 0);
    if (c->use_bias)
        self->bias = strata__add_weight(
            layer, STRATA__WEIGHT("bias", c, bias, STRATA_SHAPE(c->units)), STRATA__VECTOR, 0);
    strata_layer_set_input_spec(layer, 0,
                                &(strata_input_spec){.ndim = -1,
                                                     .min_ndim = 2,
                                                     .max_ndim = -1,
                                                     .shape.rank = -1,
                                                     .axis_count = 1,
                                                     .axes = {{.axis = -1, .size = d}}});
    return layer->ctx->status;
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    return strata__dense(layer->name, call->inputs[0], strata_variable_value(self->kernel),
                         strata_variable_value(self->bias), &layer->activation);
}

const strata_layer_class strata_dense_class = {
    .name = "Dense",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .create = create,
    .build = build,
    .call = call,
};
