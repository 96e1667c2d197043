/* Activation functions as classes and as an op. https://keras.io/api/layers/activations */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ops/activation.h"
#include "ops/activation_kernels.h"
#include "tensor/axes.h"

/* --- classes: the eighteen functions --- */

typedef struct axis_arguments {
    const char *axis; /* JSON: a number, or for softmax a list */
} axis_arguments;

static const strata__relu_arguments relu_defaults = {.max_value = NAN};
static const strata_field relu_fields[] = {
    STRATA_FIELD(strata__relu_arguments, negative_slope, .min = 0, .max = INFINITY,
                 .help = "slope below the threshold"),
    STRATA_FIELD(strata__relu_arguments, max_value, .help = "upper bound; null: none"),
    STRATA_FIELD(strata__relu_arguments, threshold, .min = 0, .max = INFINITY,
                 .help = "where the identity begins"),
};
static const strata__leaky_relu_arguments leaky_relu_defaults = {.negative_slope = 0.2};
static const strata_field leaky_relu_fields[] = {
    STRATA_FIELD(strata__leaky_relu_arguments, negative_slope, .min = 0, .max = INFINITY,
                 .help = "slope below 0"),
};
static const strata__elu_arguments elu_defaults = {.alpha = 1.0};
static const strata_field elu_fields[] = {
    STRATA_FIELD(strata__elu_arguments, alpha, .help = "−y at −∞"),
};
static const strata__gelu_arguments gelu_defaults = {0};
static const strata_field gelu_fields[] = {
    STRATA_FIELD(strata__gelu_arguments, approximate, .help = "by tanh instead of erf"),
};
static const axis_arguments axis_defaults = {.axis = "-1"};
static const strata_field axis_fields[] = {
    STRATA_FIELD(axis_arguments, axis, .json = true, .help = "axis of the sum, or a list of them"),
};

/* A function of one element, or of whole axes. */
typedef struct methods {
    const strata__pointwise *pointwise;
    strata_tensor *(*over_axes)(strata_tensor *x, int count, const int *axes);
    const char *logits; /* results remember their input under this name */
} methods;

static strata_tensor *softmax_over(strata_tensor *x, int count, const int *axes)
{
    return strata__softmax(x, count, axes, NULL);
}

#define FUNCTION(id, ...)                                                                          \
    static const strata__class id##_class = {                                                      \
        .name = #id, .module = "keras.activations", .is_function = true, __VA_ARGS__}
#define METHODS(...)                                                                               \
    .methods = &(const methods)                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define ARGUMENTS(id) STRATA_CLASS_CONFIG(id##_defaults, id##_defaults, id##_fields)

FUNCTION(elu, ARGUMENTS(elu), METHODS(.pointwise = &strata__elu));
FUNCTION(exponential, METHODS(.pointwise = &strata__exponential));
FUNCTION(gelu, ARGUMENTS(gelu), METHODS(.pointwise = &strata__gelu));
FUNCTION(hard_sigmoid, METHODS(.pointwise = &strata__hard_sigmoid));
FUNCTION(hard_silu, .aliases = "hard_swish", METHODS(.pointwise = &strata__hard_silu));
FUNCTION(leaky_relu, ARGUMENTS(leaky_relu), METHODS(.pointwise = &strata__leaky_relu));
FUNCTION(linear, METHODS(.pointwise = NULL));
FUNCTION(log_softmax, ARGUMENTS(axis), METHODS(.over_axes = strata__log_softmax));
FUNCTION(mish, METHODS(.pointwise = &strata__mish));
FUNCTION(relu, ARGUMENTS(relu), METHODS(.pointwise = &strata__relu_function));
FUNCTION(relu6, METHODS(.pointwise = &strata__relu6));
FUNCTION(selu, METHODS(.pointwise = &strata__selu));
FUNCTION(sigmoid, METHODS(.pointwise = &strata__sigmoid_function, .logits = "sigmoid"));
FUNCTION(silu, .aliases = "swish", METHODS(.pointwise = &strata__silu));
FUNCTION(softmax, ARGUMENTS(axis), METHODS(.over_axes = softmax_over, .logits = "softmax"));
FUNCTION(softplus, METHODS(.pointwise = &strata__softplus_function));
FUNCTION(softsign, METHODS(.pointwise = &strata__softsign));
FUNCTION(tanh, METHODS(.pointwise = &strata__tanh_function));

static const strata__class *const classes[] = {
    &elu_class,       &exponential_class, &gelu_class,    &hard_sigmoid_class,
    &hard_silu_class, &leaky_relu_class,  &linear_class,  &log_softmax_class,
    &mish_class,      &relu_class,        &relu6_class,   &selu_class,
    &sigmoid_class,   &silu_class,        &softmax_class, &softplus_class,
    &softsign_class,  &tanh_class,
};

const strata__family strata__activation_family = {
    .kind = "activation",
    .classes = classes,
    .class_count = sizeof classes / sizeof *classes,
    .none_name = "linear",
};

/* --- the op --- */

static strata_tensor *apply_over_axes(strata_tensor *x, const strata__object *activation)
{
    const methods *m = activation->class->methods;
    const axis_arguments *arguments = activation->config;
    int axes[STRATA_MAX_RANK], count;
    if (strata__axes_read(arguments->axis, x->shape.rank, axes, &count))
        return m->over_axes(x, count, axes);
    strata__fail(x->ctx, STRATA_INVALID, "%s: axis=%.100s of a tensor with %d axes",
                 activation->class->name, arguments->axis, x->shape.rank);
    return NULL;
}

strata_tensor *strata__activate(strata_tensor *x, const strata__object *activation)
{
    if (!x || !activation->class || activation->class == &linear_class)
        return x;
    const strata__class *class = activation->class;
    const methods *m = class->methods;
    strata_tensor *y = m->over_axes
                           ? apply_over_axes(x, activation)
                           : strata__pointwise_apply(class->name, x, m->pointwise,
                                                     activation->config, class->config_size);
    if (y && m->logits) {
        y->logits = strata__tensor_share(x);
        y->logits_function = m->logits;
    }
    return y;
}

bool strata__activation_elementwise(const strata__object *activation)
{
    return !activation->class || !((const methods *)activation->class->methods)->over_axes;
}

/* Where a relu is cut off from above, its slope at the very bound follows from its input only. */
static bool has_bound(const strata__object *activation)
{
    return activation->class == &relu_class &&
           !isnan(((const strata__relu_arguments *)activation->config)->max_value);
}

const strata__pointwise *strata__activation_fused(const strata__object *activation)
{
    const methods *m = activation->class ? activation->class->methods : NULL;
    return m && !m->logits ? m->pointwise : NULL;
}

bool strata__activation_in_place(const strata__object *activation)
{
    const methods *m = activation->class->methods;
    return m->pointwise->from_result && !has_bound(activation);
}

bool strata__activation_is_relu(const strata__object *activation)
{
    if (!activation || activation->class != &relu_class)
        return false;
    const strata__relu_arguments *c = activation->config;
    return c->negative_slope == 0 && c->threshold == 0 && isnan(c->max_value);
}

strata_tensor *strata__relu(strata_tensor *x, double negative_slope, double max_value,
                            double threshold)
{
    strata__relu_arguments arguments = {negative_slope, max_value, threshold};
    return strata__pointwise_apply("relu", x, &strata__relu_function, &arguments, sizeof arguments);
}

strata_tensor *strata_ops_activation(strata_tensor *x, const char *activation)
{
    strata__object object;
    strata_context *ctx = x ? x->ctx : NULL;
    if (!x ||
        strata__object_parse(ctx, &strata__activation_family, activation, &object) != STRATA_OK)
        return NULL;
    strata_tensor *y = strata__activate(x, &object);
    strata__object_free(ctx, &object);
    return y;
}
