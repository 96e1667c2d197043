/* Dense: y = activation(x · kernel + bias) over the last axis.
 * https://keras.io/api/layers/core_layers/dense */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/core.h>

#include "layers/layer.h"
#include "state/initializer.h"

typedef strata_dense_config config;
static const config defaults = {strata_dense_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, units, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "size of the last output axis"),
    STRATA_FIELD(config, activation, .family = &strata__activation_family, .help = "of the result"),
    STRATA_FIELD(config, use_bias, .help = "whether a bias is added"),
    STRATA_FIELD(config, kernel_initializer, .family = &strata__initializer_family,
                 .help = "of the kernel"),
    STRATA_FIELD(config, bias_initializer, .family = &strata__initializer_family,
                 .help = "of the bias"),
    STRATA_FIELD(config, kernel_regularizer, .family = &strata__regularizer_family,
                 .help = "of the kernel"),
    STRATA_FIELD(config, bias_regularizer, .family = &strata__regularizer_family,
                 .help = "of the bias"),
    STRATA_FIELD(config, kernel_constraint, .family = &strata__constraint_family,
                 .help = "of the kernel"),
    STRATA_FIELD(config, bias_constraint, .family = &strata__constraint_family,
                 .help = "of the bias"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata_variable *kernel; /* (d, units), matrix over the model grid */
    strata_variable *bias;   /* (units), over cols like the kernel's columns */
    strata__object activation;
} state;

static strata_status create(strata_layer *layer)
{
    state *self = layer->state;
    const config *c = layer->config;
    strata_layer_set_input_spec(
        layer, 0,
        &(strata_input_spec){.ndim = -1, .min_ndim = 2, .max_ndim = -1, .shape.rank = -1});
    return strata__object_parse(layer->ctx, &strata__activation_family, c->activation,
                                &self->activation);
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    const config *c = layer->config;
    int64_t d = strata__last(inputs);
    self->kernel = strata__add_weight(layer,
                                      &(strata_weight){.name = "kernel",
                                                       .shape = STRATA_SHAPE(d, c->units),
                                                       .initializer = c->kernel_initializer,
                                                       .regularizer = c->kernel_regularizer,
                                                       .constraint = c->kernel_constraint,
                                                       .trainable = 1},
                                      STRATA__MATRIX, 0);
    if (c->use_bias)
        self->bias = strata__add_weight(layer,
                                        &(strata_weight){.name = "bias",
                                                         .shape = STRATA_SHAPE(c->units),
                                                         .initializer = c->bias_initializer,
                                                         .regularizer = c->bias_regularizer,
                                                         .constraint = c->bias_constraint,
                                                         .trainable = 1},
                                        STRATA__VECTOR, 0);
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
                         self->bias ? strata_variable_value(self->bias) : NULL, &self->activation);
}

static void destroy(strata_layer *layer)
{
    state *self = layer->state;
    strata__object_free(layer->ctx, &self->activation);
}

const strata_layer_class strata_dense_class = {
    .name = "Dense",
    .config_size = sizeof(config),
    .defaults = &defaults,
    .fields = fields,
    .field_count = sizeof fields / sizeof *fields,
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .create = create,
    .build = build,
    .call = call,
    .destroy = destroy,
};
