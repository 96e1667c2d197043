/* BatchNormalization. https://keras.io/api/layers/normalization_layers/batch_normalization */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/normalization/moving.h"
#include "layers/weights.h"

typedef strata_batch_normalization_config config;
static const config defaults = {strata_batch_normalization_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .help = "of the features"),
    STRATA_FIELD(config, momentum, .help = "of the moving averages"),
    STRATA_FIELD(config, epsilon, .help = "added to the variance"),
    STRATA_FIELD(config, center, .help = "whether beta is added"),
    STRATA_FIELD(config, scale, .help = "whether gamma multiplies"),
    STRATA__WEIGHT_FIELDS(config, beta, "beta"),
    STRATA__WEIGHT_FIELDS(config, gamma, "gamma"),
    STRATA_FIELD(config, moving_mean_initializer, .family = &strata__initializer_family,
                 .help = "of the moving mean"),
    STRATA_FIELD(config, moving_variance_initializer, .family = &strata__initializer_family,
                 .help = "of the moving variance"),
    STRATA_FIELD(config, synchronized, .help = "kept: statistics are always those of all ranks"),
    STRATA_FIELD(config, renorm, .help = "batch renormalization"),
    STRATA_FIELD(config, renorm_clipping, .json = true, .help = "bounds rmin, rmax, dmax"),
    STRATA_FIELD(config, renorm_momentum, .help = "of what renormalization compares with"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

typedef struct state {
    strata_variable *gamma, *beta; /* (features); NULL: not wanted */
    strata__moving moving;
} state;

static strata_status create(strata_layer *layer)
{
    state *self = layer->state;
    return strata__moving_create(layer, &self->moving);
}

/* Positive axis, or −1 and an error. */
static int axis_of(strata_layer *layer, const strata_shape *input)
{
    const config *c = layer->config;
    int64_t axis = c->axis < 0 ? c->axis + input->rank : c->axis;
    char text[STRATA__SHAPE_TEXT];
    if (axis >= 1 && axis < input->rank && input->dims[axis] != STRATA_NONE)
        return (int)axis;
    strata__fail(layer->ctx, STRATA_INVALID,
                 "layer '%s': axis %lld must name an axis of known size, other than the batch "
                 "axis, of the input %s",
                 layer->name, (long long)c->axis, strata__shape_text(input, text));
    return -1;
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    const config *c = layer->config;
    int axis = axis_of(layer, inputs);
    if (axis < 0)
        return STRATA_INVALID;
    int64_t n = inputs->dims[axis];
    if (c->scale)
        self->gamma = strata__add_weight(layer, STRATA__WEIGHT("gamma", c, gamma, STRATA_SHAPE(n)),
                                         STRATA__WHOLE, 0);
    if (c->center)
        self->beta = strata__add_weight(layer, STRATA__WEIGHT("beta", c, beta, STRATA_SHAPE(n)),
                                        STRATA__WHOLE, 0);
    strata__moving_build(layer, &self->moving, n);
    strata_layer_set_input_spec(layer, 0,
                                &(strata_input_spec){.ndim = inputs->rank,
                                                     .min_ndim = -1,
                                                     .max_ndim = -1,
                                                     .shape.rank = -1,
                                                     .axis_count = 1,
                                                     .axes = {{.axis = axis, .size = n}}});
    return layer->ctx->status;
}

static strata_tensor *normalize(strata_layer *layer, strata_tensor *x, strata_tensor *gamma,
                                strata_tensor *beta, strata_tensor *mean, strata_tensor *variance,
                                bool training)
{
    const config *c = layer->config;
    return strata__batch_normalization(layer->name, x, axis_of(layer, &x->shape), gamma, beta, mean,
                                       variance, c->epsilon, x->mask, training);
}

/* The corrections are made of the batch's moments, which are therefore had beforehand. */
static strata_status correct(strata_layer *layer, strata_tensor *x, strata_tensor *mean,
                             strata_tensor *variance, strata_tensor **gamma, strata_tensor **beta)
{
    const state *self = layer->state;
    const config *c = layer->config;
    strata__tape *tape = strata__tape_pause(layer->ctx);
    strata_tensor *unused = normalize(layer, x, NULL, NULL, mean, variance, true);
    strata__tape_resume(layer->ctx, tape);
    return unused ? strata__moving_correct(&self->moving, c->epsilon, mean, variance, gamma, beta)
                  : layer->ctx->status;
}

static strata_tensor *train(strata_layer *layer, strata_tensor *x, strata_tensor *gamma,
                            strata_tensor *beta)
{
    const state *self = layer->state;
    const config *c = layer->config;
    strata_tensor *mean = strata__tensor_like(strata_variable_value(self->moving.mean));
    strata_tensor *variance = strata__tensor_like(strata_variable_value(self->moving.variance));
    if (!mean || !variance)
        return NULL;
    if (c->renorm && correct(layer, x, mean, variance, &gamma, &beta) != STRATA_OK)
        return NULL;
    strata_tensor *y = normalize(layer, x, gamma, beta, mean, variance, true);
    if (!y || strata__moving_update(&self->moving, c, mean, variance) != STRATA_OK)
        return NULL;
    return y;
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const state *self = layer->state;
    strata_tensor *x = call->inputs[0], *gamma = strata_variable_value(self->gamma),
                  *beta = strata_variable_value(self->beta);
    if (call->training && layer->trainable && !x->symbolic)
        return train(layer, x, gamma, beta);
    return normalize(layer, x, gamma, beta, strata_variable_value(self->moving.mean),
                     strata_variable_value(self->moving.variance), false);
}

const strata_layer_class strata_batch_normalization_class = {
    .name = "BatchNormalization",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .passes_mask = true,
    .create = create,
    .build = build,
    .call = call,
};
