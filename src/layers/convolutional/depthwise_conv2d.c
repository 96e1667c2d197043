/* DepthwiseConv2D: each channel by itself.
 * https://keras.io/api/layers/convolution_layers/depthwise_convolution2d */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/convolutional.h>

#include "layers/sliding.h"
#include "state/initializer.h"

typedef strata_depthwise_conv2d_config config;
static const config defaults = {strata_depthwise_conv2d_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, depth_multiplier, .min = 1, .max = INT32_MAX,
                 .help = "outputs of each channel"),
    STRATA__KERNEL_FIELDS(config),
    STRATA_FIELD(config, activation, .family = &strata__activation_family, .help = "of the result"),
    STRATA_FIELD(config, use_bias, .help = "whether a bias is added"),
    STRATA_FIELD(config, depthwise_initializer, .family = &strata__initializer_family,
                 .help = "of the kernel"),
    STRATA_FIELD(config, bias_initializer, .family = &strata__initializer_family,
                 .help = "of the bias"),
    STRATA_FIELD(config, depthwise_regularizer, .family = &strata__regularizer_family,
                 .help = "of the kernel"),
    STRATA_FIELD(config, bias_regularizer, .family = &strata__regularizer_family,
                 .help = "of the bias"),
    STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,
                 .help = "of the output"),
    STRATA_FIELD(config, depthwise_constraint, .family = &strata__constraint_family,
                 .help = "of the kernel"),
    STRATA_FIELD(config, bias_constraint, .family = &strata__constraint_family,
                 .help = "of the bias"),
};

enum { RANK = 2 };

typedef struct state {
    strata_variable *kernel; /* (k…, channels, depth_multiplier) */
    strata_variable *bias;   /* (channels·depth_multiplier) */
    strata__object activation;
} state;

static strata_status create(strata_layer *layer)
{
    state *self = layer->state;
    const config *c = layer->config;
    STRATA_TRY(strata__set_data_format(layer));
    strata__require_channels(layer, RANK, c->data_format, STRATA_NONE);
    return strata__object_parse(layer->ctx, &strata__activation_family, c->activation,
                                &self->activation);
}

static void add_weights(strata_layer *layer, int64_t channels)
{
    state *self = layer->state;
    const config *c = layer->config;
    self->kernel = strata__add_weight(
        layer,
        &(strata_weight){.name = "kernel",
                         .shape = STRATA_SHAPE(c->kernel_size[0], c->kernel_size[1], channels,
                                               c->depth_multiplier),
                         .initializer = c->depthwise_initializer,
                         .regularizer = c->depthwise_regularizer,
                         .constraint = c->depthwise_constraint,
                         .trainable = 1},
        STRATA__WHOLE, 0);
    if (c->use_bias)
        self->bias = strata__add_weight(
            layer,
            &(strata_weight){.name = "bias",
                             .shape = STRATA_SHAPE(channels * c->depth_multiplier),
                             .initializer = c->bias_initializer,
                             .regularizer = c->bias_regularizer,
                             .constraint = c->bias_constraint,
                             .trainable = 1},
            STRATA__WHOLE, 0);
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    const config *c = layer->config;
    int64_t channels;
    if (!strata__channels_of(layer, inputs, RANK, c->data_format, &channels))
        return STRATA_INVALID;
    add_weights(layer, channels);
    strata__require_channels(layer, RANK, c->data_format, channels);
    return layer->ctx->status;
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    const config *c = layer->config;
    strata__sliding sliding = {RANK,       c->kernel_size, c->strides, c->dilation_rate,
                               c->padding, c->data_format};
    strata__window window;
    if (!strata__sliding_window(layer, &sliding, call->inputs[0], &window))
        return NULL;
    return strata__depthwise_convolution(
        layer->name, call->inputs[0], strata_variable_value(self->kernel),
        self->bias ? strata_variable_value(self->bias) : NULL, &window, &self->activation);
}

static void destroy(strata_layer *layer)
{
    state *self = layer->state;
    strata__object_free(layer->ctx, &self->activation);
}

const strata_layer_class strata_depthwise_conv2d_class = {
    .name = "DepthwiseConv2D",
    .config_size = sizeof(config),
    .defaults = &defaults,
    .fields = fields,
    .field_count = sizeof fields / sizeof *fields,
    .state_size = sizeof(state),
    .create = create,
    .build = build,
    .call = call,
    .destroy = destroy,
};
