/* Activation functions as classes and as an op. https://keras.io/api/layers/activations */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "ops/activation_kernels.h"

typedef strata__activation_config config;
typedef strata__activation_methods methods;

static const strata_field relu_fields[] = {
    STRATA_FIELD(config, negative_slope, .help = "slope below threshold"),
    STRATA_FIELD(config, max_value, .help = "upper bound; null: none"),
    STRATA_FIELD(config, threshold, .help = "where the identity begins"),
};
static const strata_field slope_fields[] = {
    STRATA_FIELD(config, negative_slope, .help = "slope below 0")};
static const strata_field elu_fields[] = {STRATA_FIELD(config, alpha, .help = "−y at −∞")};
static const strata_field gelu_fields[] = {
    STRATA_FIELD(config, approximate, .help = "by tanh instead of erf")};
static const strata_field axis_fields[] = {STRATA_FIELD(config, axis, .help = "axis of the sum")};

static const config plain_defaults = {.max_value = NAN, .alpha = 1, .axis = -1};
static const config leaky_defaults = {.negative_slope = 0.2, .max_value = NAN};

#define FUNCTION(keras_name, ...)                                                                  \
    {                                                                                              \
        .name = keras_name, .module = "keras.activations", .is_function = true,                    \
        .config_size = sizeof(config), .defaults = &plain_defaults, __VA_ARGS__                    \
    }
#define FIELDS(table) .fields = table, .field_count = sizeof table / sizeof *table

static const methods linear_methods = {0};
static const methods relu_methods = {.forward = strata__relu_forward,
                                     .gradient = strata__relu_gradient};
static const methods relu6_methods = {.forward = strata__relu6_forward,
                                      .gradient = strata__relu6_gradient};
static const methods leaky_methods = {.forward = strata__leaky_relu_forward,
                                      .gradient = strata__leaky_relu_gradient};
static const methods elu_methods = {.forward = strata__elu_forward,
                                    .gradient = strata__elu_gradient};
static const methods selu_methods = {.forward = strata__selu_forward,
                                     .gradient = strata__selu_gradient};
static const methods sigmoid_methods = {.forward = strata__sigmoid_forward,
                                        .gradient = strata__sigmoid_gradient,
                                        .gradient_from_result =
                                            strata__sigmoid_gradient_from_result,
                                        .logits = "sigmoid"};
static const methods tanh_methods = {.forward = strata__tanh_forward,
                                     .gradient = strata__tanh_gradient,
                                     .gradient_from_result = strata__tanh_gradient_from_result};
static const methods hard_sigmoid_methods = {.forward = strata__hard_sigmoid_forward,
                                             .gradient = strata__hard_sigmoid_gradient};
static const methods softsign_methods = {.forward = strata__softsign_forward,
                                         .gradient = strata__softsign_gradient};
static const methods silu_methods = {.forward = strata__silu_forward,
                                     .gradient = strata__silu_gradient};
static const methods hard_silu_methods = {.forward = strata__hard_silu_forward,
                                          .gradient = strata__hard_silu_gradient};
static const methods gelu_methods = {.forward = strata__gelu_forward,
                                     .gradient = strata__gelu_gradient};
static const methods softplus_methods = {.forward = strata__softplus_forward,
                                         .gradient = strata__softplus_gradient};
static const methods mish_methods = {.forward = strata__mish_forward,
                                     .gradient = strata__mish_gradient};
static const methods exponential_methods = {.forward = strata__exponential_forward,
                                            .gradient = strata__exponential_gradient,
                                            .gradient_from_result =
                                                strata__exponential_gradient_from_result};
static const methods softmax_methods = {.over_axis = strata__softmax_axis, .logits = "softmax"};
static const methods log_softmax_methods = {.over_axis = strata__log_softmax};

static const strata__class elu = FUNCTION("elu", FIELDS(elu_fields), .methods = &elu_methods);
static const strata__class exponential = FUNCTION("exponential", .methods = &exponential_methods);
static const strata__class gelu = FUNCTION("gelu", FIELDS(gelu_fields), .methods = &gelu_methods);
static const strata__class hard_sigmoid =
    FUNCTION("hard_sigmoid", .methods = &hard_sigmoid_methods);
static const strata__class hard_silu =
    FUNCTION("hard_silu", .aliases = "hard_swish", .methods = &hard_silu_methods);
static const strata__class leaky_relu = {.name = "leaky_relu",
                                         .module = "keras.activations",
                                         .is_function = true,
                                         .config_size = sizeof(config),
                                         .defaults = &leaky_defaults,
                                         FIELDS(slope_fields),
                                         .methods = &leaky_methods};
static const strata__class linear = FUNCTION("linear", .methods = &linear_methods);
static const strata__class log_softmax =
    FUNCTION("log_softmax", FIELDS(axis_fields), .methods = &log_softmax_methods);
static const strata__class mish = FUNCTION("mish", .methods = &mish_methods);
static const strata__class relu = FUNCTION("relu", FIELDS(relu_fields), .methods = &relu_methods);
static const strata__class relu6 = FUNCTION("relu6", .methods = &relu6_methods);
static const strata__class selu = FUNCTION("selu", .methods = &selu_methods);
static const strata__class sigmoid = FUNCTION("sigmoid", .methods = &sigmoid_methods);
static const strata__class silu = FUNCTION("silu", .aliases = "swish", .methods = &silu_methods);
static const strata__class softmax =
    FUNCTION("softmax", FIELDS(axis_fields), .methods = &softmax_methods);
static const strata__class softplus = FUNCTION("softplus", .methods = &softplus_methods);
static const strata__class softsign = FUNCTION("softsign", .methods = &softsign_methods);
static const strata__class tanh_class = FUNCTION("tanh", .methods = &tanh_methods);

static const strata__class *const classes[] = {
    &elu,     &exponential, &gelu,    &hard_sigmoid, &hard_silu, &leaky_relu,
    &linear,  &log_softmax, &mish,    &relu,         &relu6,     &selu,
    &sigmoid, &silu,        &softmax, &softplus,     &softsign,  &tanh_class,
};

const strata__family strata__activation_family = {
    .kind = "activation",
    .classes = classes,
    .class_count = sizeof classes / sizeof *classes,
    .none_name = "linear",
};

/* --- the op --- */

/* What the gradient needs. */
typedef struct saved {
    const methods *methods;
    config config;
} saved;

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0];
    const float *dy = strata__gradient_at(node, 0)->data;
    strata_tensor *dx = strata__tensor_like(x);
    if (!dx)
        return;
    int64_t count = strata__local_count(x);
    if (s->methods->gradient_from_result)
        s->methods->gradient_from_result(node->outputs[0]->data, dy, dx->data, count);
    else
        s->methods->gradient(&s->config, x->data, dy, dx->data, count);
    strata__gradient_give(x, dx);
}

static strata_tensor *apply(strata_tensor *x, const methods *m, const config *c)
{
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    m->forward(c, x->data, y->data, strata__local_count(x));
    strata__node *node =
        strata__record(x->ctx, "activation", gradient, 1, &x, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){m, *c};
    return y;
}

static strata_tensor *apply_over_axis(strata_tensor *x, const methods *m, int64_t axis)
{
    int rank = x->shape.rank;
    if (axis < -rank || axis >= rank) {
        strata__fail(x->ctx, STRATA_INVALID, "axis %lld of a tensor with %d axes", (long long)axis,
                     rank);
        return NULL;
    }
    return m->over_axis(x, (int)(axis < 0 ? axis + rank : axis));
}

strata_tensor *strata__activate(strata_tensor *x, const strata__object *activation)
{
    if (!x || !activation->class || activation->class->methods == &linear_methods)
        return x;
    const methods *m = activation->class->methods;
    const config *c = activation->config;
    strata_tensor *y = m->over_axis ? apply_over_axis(x, m, c->axis) : apply(x, m, c);
    if (y && m->logits && !y->logits) {
        y->logits = strata__tensor_share(x);
        y->logits_function = m->logits;
    }
    return y;
}

bool strata__activation_local(const strata__object *activation, int rank)
{
    if (!activation->class)
        return true;
    const methods *m = activation->class->methods;
    const config *c = activation->config;
    return !m->over_axis || (c->axis != -1 && c->axis != rank - 1);
}

bool strata__activation_is_relu(const strata__object *activation)
{
    if (activation->class != &relu)
        return false;
    const config *c = activation->config;
    return c->negative_slope == 0 && c->threshold == 0 && isnan(c->max_value);
}

strata_tensor *strata__relu(strata_tensor *x, double negative_slope, double max_value,
                            double threshold)
{
    config c = {.negative_slope = negative_slope, .max_value = max_value, .threshold = threshold};
    return x ? apply(x, &relu_methods, &c) : NULL;
}

strata_tensor *strata_ops_activation(strata_tensor *x, const char *activation)
{
    strata__object object;
    if (!x ||
        strata__object_parse(x->ctx, &strata__activation_family, activation, &object) != STRATA_OK)
        return NULL;
    if (!strata__activation_local(&object, x->shape.rank))
        x = strata__whole(x);
    strata_tensor *y = strata__activate(x, &object);
    strata__object_free(x->ctx, &object);
    return y;
}
