/* BatchNormalization. https://keras.io/api/layers/normalization_layers/batch_normalization */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/normalization/moving.h"
#include "state/initializer.h"

typedef strata_batch_normalization_config config;
static const config defaults = {strata_batch_normalization_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .help = "of the features"),
    STRATA_FIELD(config, momentum, .help = "of the moving averages"),
    STRATA_FIELD(config, epsilon, .help = "added to the variance"),
    STRATA_FIELD(config, center, .help = "whether beta is added"),
    STRATA_FIELD(config, scale, .help = "whether gamma multiplies"),
    STRATA_FIELD(config, beta_initializer, .family = &strata__initializer_family,
                 .help = "of beta"),
    STRATA_FIELD(config, gamma_initializer, .family = &strata__initializer_family,
                 .help = "of gamma"),
    STRATA_FIELD(config, moving_mean_initializer, .family = &strata__initializer_family,
                 .help = "of the moving mean"),
    STRATA_FIELD(config, moving_variance_initializer, .family = &strata__initializer_family,
                 .help = "of the moving variance"),
    STRATA_FIELD(config, beta_regularizer, .family = &strata__regularizer_family,
                 .help = "of beta"),
    STRATA_FIELD(config, gamma_regularizer, .family = &strata__regularizer_family,
                 .help = "of gamma"),
    STRATA_FIELD(config, beta_constraint, .family = &strata__constraint_family, .help = "of beta"),
    STRATA_FIELD(config, gamma_constraint, .family = &strata__constraint_family,
                 .help = "of gamma"),
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

static strata_variable *add_trainable(strata_layer *layer, const char *name, int64_t n,
                                      const char *initializer, const char *regularizer,
                                      const char *constraint)
{
    return strata_layer_add_weight(layer, .name = name, .shape = STRATA_SHAPE(n),
                                   .initializer = initializer, .regularizer = regularizer,
                                   .constraint = constraint, .trainable = 1);
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
        self->gamma = add_trainable(layer, "gamma", n, c->gamma_initializer, c->gamma_regularizer,
                                    c->gamma_constraint);
    if (c->center)
        self->beta = add_trainable(layer, "beta", n, c->beta_initializer, c->beta_regularizer,
                                   c->beta_constraint);
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

static strata_tensor *optional_value(strata_variable *variable)
{
    return variable ? strata_variable_value(variable) : NULL;
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
    strata_tensor *x = call->inputs[0], *gamma = optional_value(self->gamma),
                  *beta = optional_value(self->beta);
    if (call->training && layer->trainable && !x->symbolic)
        return train(layer, x, gamma, beta);
    return normalize(layer, x, gamma, beta, strata_variable_value(self->moving.mean),
                     strata_variable_value(self->moving.variance), false);
}

const strata_layer_class strata_batch_normalization_class = {
    .name = "BatchNormalization",
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
};
