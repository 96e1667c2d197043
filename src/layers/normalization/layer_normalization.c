/* LayerNormalization. https://keras.io/api/layers/normalization_layers/layer_normalization */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/normalization.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "layers/axes.h"
#include "layers/layer.h"
#include "state/initializer.h"
#include "tensor/axes.h"

typedef strata_layer_normalization_config config;
static const config defaults = {strata_layer_normalization_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .json = true, .help = "the axis, or a list of axes"),
    STRATA_FIELD(config, epsilon, .help = "added to the variance"),
    STRATA_FIELD(config, center, .help = "whether beta is added"),
    STRATA_FIELD(config, scale, .help = "whether gamma multiplies"),
    STRATA_FIELD(config, rms_scaling, .help = "whether the input is only divided, not centred"),
    STRATA_FIELD(config, beta_initializer, .family = &strata__initializer_family,
                 .help = "of beta"),
    STRATA_FIELD(config, gamma_initializer, .family = &strata__initializer_family,
                 .help = "of gamma"),
    STRATA_FIELD(config, beta_regularizer, .family = &strata__regularizer_family,
                 .help = "of beta"),
    STRATA_FIELD(config, gamma_regularizer, .family = &strata__regularizer_family,
                 .help = "of gamma"),
    STRATA_FIELD(config, beta_constraint, .family = &strata__constraint_family, .help = "of beta"),
    STRATA_FIELD(config, gamma_constraint, .family = &strata__constraint_family,
                 .help = "of gamma"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

/* Both of the shape of the axes; NULL: not wanted. */
typedef struct state {
    strata_variable *gamma, *beta;
    int axis_count, axes[STRATA_MAX_RANK]; /* positive */
} state;

static strata_status create(strata_layer *layer)
{
    const config *c = layer->config;
    int axes[STRATA_MAX_RANK], count;
    if (!strata__axes_read(c->axis, STRATA_MAX_RANK, axes, &count))
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "layer '%s': Expected an int or a list/tuple of ints for the argument 'axis', but "
            "received: %s",
            layer->name, c->axis);
    return STRATA_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

/* Keras sorts the axes as they were given when it builds, and from then on writes them as a list.
 */
static strata_status sort_axes(strata_layer *layer, long long sorted[STRATA_MAX_RANK])
{
    config *c = layer->config;
    const state *self = layer->state;
    const char *at = c->axis;
    for (int i = 0; i < self->axis_count; i++) {
        char *end;
        at += strcspn(at, "-0123456789");
        sorted[i] = strtoll(at, &end, 10);
        at = end;
    }
    qsort(sorted, (size_t)self->axis_count, sizeof *sorted, compare_numbers);
    strata__text text = {.ctx = layer->ctx};
    for (int i = 0; i < self->axis_count; i++)
        strata__text_format(&text, "%s%lld", i > 0 ? ", " : "[", sorted[i]);
    strata__text_puts(&text, "]");
    char *list = strata__text_take(&text);
    if (!list)
        return STRATA_NO_MEMORY;
    strata__free(layer->ctx, (char *)(uintptr_t)c->axis);
    c->axis = list;
    return STRATA_OK;
}

static strata_status weight_shape(strata_layer *layer, const strata_shape *input,
                                  strata_shape *shape)
{
    const state *self = layer->state;
    long long sorted[STRATA_MAX_RANK];
    STRATA_TRY(sort_axes(layer, sorted));
    *shape = (strata_shape){.rank = self->axis_count};
    for (int i = 0; i < self->axis_count; i++) {
        shape->dims[i] = input->dims[sorted[i] < 0 ? sorted[i] + input->rank : sorted[i]];
        char text[STRATA__SHAPE_TEXT];
        if (shape->dims[i] == STRATA_NONE)
            return strata__fail(layer->ctx, STRATA_INVALID,
                                "layer '%s': axis %lld must be of known size, and not the batch "
                                "axis, of the input %s",
                                layer->name, sorted[i], strata__shape_text(input, text));
    }
    return STRATA_OK;
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    const config *c = layer->config;
    strata_shape shape;
    STRATA_TRY(
        strata__axes_parse(layer, "axis", c->axis, inputs->rank, self->axes, &self->axis_count));
    STRATA_TRY(weight_shape(layer, inputs, &shape));
    if (c->scale || c->rms_scaling)
        self->gamma = strata_layer_add_weight(
            layer, .name = "gamma", .shape = shape, .initializer = c->gamma_initializer,
            .regularizer = c->gamma_regularizer, .constraint = c->gamma_constraint, .trainable = 1);
    if (c->center && !c->rms_scaling)
        self->beta = strata_layer_add_weight(
            layer, .name = "beta", .shape = shape, .initializer = c->beta_initializer,
            .regularizer = c->beta_regularizer, .constraint = c->beta_constraint, .trainable = 1);
    return layer->ctx->status;
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    const config *c = layer->config;
    return strata__layer_normalization(layer->name, call->inputs[0], self->axis_count, self->axes,
                                       self->gamma ? strata_variable_value(self->gamma) : NULL,
                                       self->beta ? strata_variable_value(self->beta) : NULL,
                                       c->epsilon, c->rms_scaling);
}

const strata_layer_class strata_layer_normalization_class = {
    .name = "LayerNormalization",
    .config_size = sizeof(config),
    .defaults = &defaults,
    .fields = fields,
    .field_count = sizeof fields / sizeof *fields,
    .state_size = sizeof(state),
    .passes_mask = true,
    .create = create,
    .build = build,
    .call = call,
};
