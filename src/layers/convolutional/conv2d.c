/* Conv2D: windows times filters. https://keras.io/api/layers/convolution_layers/convolution2d */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/convolutional.h>

#include "layers/sliding.h"
#include "layers/weights.h"

typedef strata_conv2d_config config;
static const config defaults = {strata_conv2d_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, filters, .required = true, .min = 1, .max = INT32_MAX,
                 .help = "output channels"),
    STRATA__KERNEL_FIELDS(config),
    STRATA_FIELD(config, groups, .min = 1, .max = INT32_MAX,
                 .help = "parts of the channels that do not mix"),
    STRATA_LAYER_ACTIVATION_FIELD(config),
    STRATA_FIELD(config, use_bias, .help = "whether a bias is added"),
    STRATA__WEIGHT_FIELDS(config, kernel, "the kernel"),
    STRATA__WEIGHT_FIELDS(config, bias, "the bias"),
    STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,
                 .help = "of the output"),
};

enum { RANK = 2 };

typedef struct state {
    strata_variable *kernel; /* (k…, channels/groups, filters), matrix over the model grid unless
                                there are groups */
    strata_variable *bias;   /* (filters), over cols like the kernel's columns */
} state;

static strata_status check(const strata_layer *layer, const config *c)
{
    bool strided = c->strides[0] > 1 || c->strides[1] > 1;
    bool dilated = c->dilation_rate[0] > 1 || c->dilation_rate[1] > 1;
    if (strided && dilated)
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': `strides > 1` not supported in conjunction with `dilation_rate > 1`. "
            "Received: strides=(%lld, %lld) and dilation_rate=(%lld, %lld)",
            layer->name, (long long)c->strides[0], (long long)c->strides[1],
            (long long)c->dilation_rate[0], (long long)c->dilation_rate[1]);
    if (c->filters % c->groups != 0)
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': The number of filters must be evenly divisible by the number of groups. "
            "Received: groups=%lld, filters=%lld.",
            layer->name, (long long)c->groups, (long long)c->filters);
    return STRATA_OK;
}

static strata_status create(strata_layer *layer)
{
    const config *c = layer->config;
    STRATA_TRY(check(layer, c));
    STRATA_TRY(strata__set_data_format(layer));
    strata__require_channels(layer, RANK, c->data_format, STRATA_NONE);
    return layer->ctx->status;
}

static strata_status check_channels(const strata_layer *layer, int64_t groups, int64_t channels,
                                    const strata_shape *input)
{
    char text[STRATA__SHAPE_TEXT];
    if (channels % groups != 0)
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': The number of input channels must be evenly divisible by the number of "
            "groups. Received groups=%lld, but the input has %lld channels (full input shape is "
            "%s).",
            layer->name, (long long)groups, (long long)channels, strata__shape_text(input, text));
    return STRATA_OK;
}

static void add_weights(strata_layer *layer, int64_t channels)
{
    state *self = layer->state;
    const config *c = layer->config;
    bool sharded = c->groups == 1;
    self->kernel =
        strata__add_weight(layer,
                           STRATA__WEIGHT("kernel", c, kernel,
                                          STRATA_SHAPE(c->kernel_size[0], c->kernel_size[1],
                                                       channels / c->groups, c->filters)),
                           sharded ? STRATA__MATRIX : STRATA__WHOLE, 0);
    if (c->use_bias)
        self->bias =
            strata__add_weight(layer, STRATA__WEIGHT("bias", c, bias, STRATA_SHAPE(c->filters)),
                               sharded ? STRATA__VECTOR : STRATA__WHOLE, 0);
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    const config *c = layer->config;
    int64_t channels;
    if (!strata__channels_of(layer, inputs, RANK, c->data_format, &channels))
        return STRATA_INVALID;
    STRATA_TRY(check_channels(layer, c->groups, channels, inputs));
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
    return strata__convolution(layer->name, call->inputs[0], strata_variable_value(self->kernel),
                               strata_variable_value(self->bias), &window, c->groups,
                               &layer->activation);
}

const strata_layer_class strata_conv2d_class = {
    .name = "Conv2D",
    .aliases = "Convolution2D",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .create = create,
    .build = build,
    .call = call,
};
