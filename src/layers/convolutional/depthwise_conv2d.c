/* DepthwiseConv2D: each channel by itself.
 * https://keras.io/api/layers/convolution_layers/depthwise_convolution2d */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/convolutional.h>

#include "layers/sliding.h"
#include "layers/weights.h"

typedef strata_depthwise_conv2d_config config;
static const config defaults = {strata_depthwise_conv2d_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, depth_multiplier, .min = 1, .max = INT32_MAX,
                 .help = "outputs of each channel"),
    STRATA__KERNEL_FIELDS(config),
    STRATA_LAYER_ACTIVATION_FIELD(config),
    STRATA_FIELD(config, use_bias, .help = "whether a bias is added"),
    STRATA__WEIGHT_FIELDS(config, depthwise, "the kernel"),
    STRATA__WEIGHT_FIELDS(config, bias, "the bias"),
    STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,
                 .help = "of the output"),
};

enum { RANK = 2 };

typedef struct state {
    strata_variable *kernel; /* (k…, channels, depth_multiplier) */
    strata_variable *bias;   /* (channels·depth_multiplier) */
} state;

static strata_status create(strata_layer *layer)
{
    const config *c = layer->config;
    STRATA_TRY(strata__set_data_format(layer));
    strata__require_channels(layer, RANK, c->data_format, STRATA_NONE);
    return layer->ctx->status;
}

static void add_weights(strata_layer *layer, int64_t channels)
{
    state *self = layer->state;
    const config *c = layer->config;
    self->kernel =
        strata__add_weight(layer,
                           STRATA__WEIGHT("kernel", c, depthwise,
                                          STRATA_SHAPE(c->kernel_size[0], c->kernel_size[1],
                                                       channels, c->depth_multiplier)),
                           STRATA__WHOLE, 0);
    if (c->use_bias)
        self->bias = strata__add_weight(
            layer, STRATA__WEIGHT("bias", c, bias, STRATA_SHAPE(channels * c->depth_multiplier)),
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
        strata_variable_value(self->bias), &window, &layer->activation);
}

const strata_layer_class strata_depthwise_conv2d_class = {
    .name = "DepthwiseConv2D",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .create = create,
    .build = build,
    .call = call,
};
