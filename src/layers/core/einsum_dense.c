/* EinsumDense: y = activation(einsum(equation, x, kernel) + bias).
 * https://keras.io/api/layers/core_layers/einsum_dense */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/core/einsum_dense.h"

#include <ctype.h>
#include <string.h>

#include <strata/layers/core.h>

#include "layers/weights.h"
#include "ops/einsum.h"

typedef strata_einsum_dense_config config;
static const config defaults = {strata_einsum_dense_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, output_shape, .required = true, .min = 0, .max = INT32_MAX,
                 .or_number = true, .help = "sizes of the output's axes after the batch"),
    STRATA_FIELD(config, equation, .required = true, .help = "letters of the axes"),
    STRATA_LAYER_ACTIVATION_FIELD(config),
    STRATA_FIELD(config, bias_axes, .help = "output axes along which the bias differs"),
    STRATA__WEIGHT_FIELDS(config, kernel, "the kernel"),
    STRATA__WEIGHT_FIELDS(config, bias, "the bias"),
    STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,
                 .help = "of the output"),
};

/*
 * An equation that is a product of the last axes of x with the first of the kernel is computed as
 * one: kernel and bias lie on the model grid, and y is a matrix until its columns are unfolded.
 */
typedef struct state {
    strata_variable *kernel, *bias; /* bias NULL: none */
    strata__equation equation;
    int columns;                           /* last axes of the kernel and of y; 0: no product */
    int64_t column_sizes[STRATA_MAX_RANK]; /* [columns] */
    bool plain;                            /* the bias, if any, is that of the columns */
} state;

/* --- shapes --- */

/* What building works out. */
typedef struct shapes {
    strata_layer *layer;
    const strata__equation *equation;
    const strata_shape *x;
    strata_shape y, kernel, bias;
} shapes;

static strata_status refuse_sizes(const shapes *s, int wanted)
{
    const config *c = s->layer->config;
    return strata__fail(s->layer->ctx, STRATA_INVALID,
                        "layer '%s': output_shape has %d sizes, but the output of '%s' has %d axes "
                        "after the batch",
                        s->layer->name, c->output_shape.rank, c->equation, wanted);
}

/* y: batch, elided axes as in x, and output_shape for the letters. After elided last axes
 * output_shape may go on with their sizes. */
static strata_status complete_output(shapes *s)
{
    const config *c = s->layer->config;
    const strata__equation *e = s->equation;
    int rank = (int)strlen(e->y), elided = e->elided, before = e->left ? elided : 1;
    int given = rank - before - (e->left ? 0 : elided);
    int most = e->left ? given : given + elided;
    if (c->output_shape.rank < given || c->output_shape.rank > most)
        return refuse_sizes(s, given);
    s->y.rank = rank;
    for (int i = 0; i < rank; i++) {
        const char *in_x = strchr(e->x, e->y[i]);
        int64_t own = in_x ? s->x->dims[in_x - e->x] : STRATA_NONE;
        int64_t wanted = i >= before && i - before < c->output_shape.rank
                             ? c->output_shape.dims[i - before]
                             : STRATA_NONE;
        if (own != STRATA_NONE && wanted != STRATA_NONE && own != wanted)
            return strata__fail(s->layer->ctx, STRATA_INVALID,
                                "layer '%s': Input shape and output shape do not match at shared "
                                "dimension '%c'. Input shape is %lld, and output shape is %lld.",
                                s->layer->name, e->y[i], (long long)own, (long long)wanted);
        s->y.dims[i] = wanted == STRATA_NONE ? own : wanted;
    }
    return STRATA_OK;
}

static strata_status size_kernel(shapes *s)
{
    const strata__equation *e = s->equation;
    s->kernel.rank = (int)strlen(e->kernel);
    for (int i = 0; i < s->kernel.rank; i++) {
        const char *in_y = strchr(e->y, e->kernel[i]), *in_x = strchr(e->x, e->kernel[i]);
        if (!in_y && !in_x)
            return strata__fail(s->layer->ctx, STRATA_INVALID,
                                "layer '%s': Weight dimension '%c' did not have a match in either "
                                "the input spec '%s' or the output spec '%s'. For this layer, the "
                                "weight must be fully specified.",
                                s->layer->name, e->kernel[i], e->x, e->y);
        s->kernel.dims[i] = in_y ? s->y.dims[in_y - e->y] : s->x->dims[in_x - e->x];
    }
    return STRATA_OK;
}

/* From the first of bias_axes to the end of y, with 1 for axes that are not among them. */
static strata_status size_bias(shapes *s)
{
    const config *c = s->layer->config;
    const char *y = s->equation->y, *first = y + strcspn(y, c->bias_axes);
    for (const char *letter = c->bias_axes; *letter; letter++) {
        if (!isalpha((unsigned char)*letter) || !strchr(y, *letter))
            return strata__fail(s->layer->ctx, STRATA_INVALID,
                                "layer '%s': Bias dimension '%c' was requested, but is not part of "
                                "the output spec '%s'",
                                s->layer->name, *letter, y);
    }
    s->bias.rank = (int)strlen(first);
    for (int i = 0; i < s->bias.rank; i++)
        s->bias.dims[i] = strchr(c->bias_axes, first[i]) ? s->y.dims[first + i - y] : 1;
    return STRATA_OK;
}

/* --- the equation --- */

static bool has_repeats(const char *letters)
{
    for (; *letters; letters++) {
        if (strchr(letters + 1, *letters))
            return true;
    }
    return false;
}

static strata_status check_letters(const strata_layer *layer, const strata__equation *e)
{
    const config *c = layer->config;
    for (const char *y = e->y; *y; y++) {
        if (!strchr(e->x, *y) && !strchr(e->kernel, *y))
            return strata__fail(layer->ctx, STRATA_INVALID,
                                "layer '%s': Dimension '%c' was specified in the output '%s' but "
                                "has no corresponding dim in the input spec '%s' or weight spec "
                                "'%s'",
                                layer->name, *y, e->y, e->x, e->kernel);
    }
    if (e->x[0] != e->y[0] || strchr(e->kernel, e->x[0]))
        return strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                            "layer '%s': in '%s' the first axis of the input, the batch, must be "
                            "the first of the output and none of the kernel's",
                            layer->name, c->equation);
    if (has_repeats(e->x) || has_repeats(e->kernel) || has_repeats(e->y))
        return strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                            "layer '%s': in '%s' an operand has two axes of one letter; diagonals "
                            "are not supported",
                            layer->name, c->equation);
    return STRATA_OK;
}

static strata_status parse_equation(strata_layer *layer, int rank)
{
    state *self = layer->state;
    const config *c = layer->config;
    if (!strata__equation_parse(c->equation, rank, &self->equation))
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "Invalid einsum equation '%s'. Equations must be in the form "
                            "[X],[Y]->[Z], ...[X],[Y]->...[Z], or [X]...,[Y]->[Z].... (layer '%s')",
                            c->equation, layer->name);
    if ((int)strlen(self->equation.x) != rank)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': an input with %d axes does not fit the equation '%s'",
                            layer->name, rank, c->equation);
    return check_letters(layer, &self->equation);
}

/* --- building --- */

static void add_weights(strata_layer *layer, const shapes *s)
{
    state *self = layer->state;
    const config *c = layer->config;
    bool product = self->columns > 0;
    self->kernel = strata__add_weight(layer, STRATA__WEIGHT("kernel", c, kernel, s->kernel),
                                      product ? STRATA__MATRIX : STRATA__WHOLE, self->columns);
    if (c->bias_axes)
        self->bias = strata__add_weight(layer, STRATA__WEIGHT("bias", c, bias, s->bias),
                                        self->plain ? STRATA__VECTOR : STRATA__WHOLE,
                                        self->plain ? self->columns : 0);
}

static bool is_bias_of_columns(const state *self, const strata_shape *bias)
{
    return bias->rank == self->columns &&
           memcmp(bias->dims, self->column_sizes, (size_t)bias->rank * sizeof *bias->dims) == 0;
}

static strata_status build(strata_layer *layer, int count, const strata_shape *inputs)
{
    (void)count;
    state *self = layer->state;
    const config *c = layer->config;
    shapes s = {.layer = layer, .equation = &self->equation, .x = inputs};
    STRATA_TRY(parse_equation(layer, inputs->rank));
    STRATA_TRY(complete_output(&s));
    STRATA_TRY(size_kernel(&s));
    if (c->bias_axes)
        STRATA_TRY(size_bias(&s));
    self->columns = strata__equation_columns(&self->equation);
    memcpy(self->column_sizes, s.kernel.dims + s.kernel.rank - self->columns,
           (size_t)self->columns * sizeof *self->column_sizes);
    self->plain = self->columns > 0 && (!c->bias_axes || is_bias_of_columns(self, &s.bias));
    add_weights(layer, &s);
    strata_layer_set_input_spec(
        layer, 0,
        &(strata_input_spec){
            .ndim = inputs->rank, .min_ndim = -1, .max_ndim = -1, .shape.rank = -1});
    return layer->ctx->status;
}

/* --- calling --- */

/* Whether bias and activation can be left to the product: of several columns, which it sees as one
 * axis, the activation must treat each element by itself. */
static bool fuses(const strata_layer *layer)
{
    const state *self = layer->state;
    return self->plain &&
           (self->columns == 1 || strata__activation_elementwise(&layer->activation));
}

/* x (…, k) → (…, n), with bias and activation where they are fused. */
static strata_tensor *product(strata_layer *layer, strata_tensor *x)
{
    static const strata__object linear = {0};
    state *self = layer->state;
    return strata__dense(layer->name, x, strata_variable_value(self->kernel),
                         fuses(layer) ? strata_variable_value(self->bias) : NULL,
                         fuses(layer) ? &layer->activation : &linear);
}

strata_tensor *strata__einsum_dense_product(strata_layer *layer, strata_tensor *x)
{
    strata_tensor *y = product(layer, x);
    if (!y || strata__regularize_activity(layer, 1, &y) != STRATA_OK)
        return NULL;
    return y;
}

static strata_tensor *bias_of(const state *self)
{
    strata_tensor *bias = strata_variable_value(self->bias);
    return self->plain ? strata__unfold(bias, 0, self->columns, self->column_sizes) : bias;
}

/* x with its contracted axes as one, times the kernel, with the columns unfolded. */
static strata_tensor *unfolded_product(strata_layer *layer, strata_tensor *x)
{
    state *self = layer->state;
    int contracted = self->kernel->shape.rank - self->columns, kept = x->shape.rank - contracted;
    strata_tensor *y = product(layer, strata__fold(x, kept, contracted));
    return strata__unfold(y, kept, self->columns, self->column_sizes);
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = layer->state;
    strata_tensor *x = call->inputs[0];
    if (self->columns > 0 && fuses(layer))
        return unfolded_product(layer, x);
    strata_tensor *y =
        self->columns > 0
            ? strata__whole(unfolded_product(layer, x))
            : strata__einsum(layer->name, x, strata_variable_value(self->kernel), &self->equation);
    if (y && self->bias)
        y = strata_ops_add(y, bias_of(self));
    return strata__activate(y, &layer->activation);
}

const strata_layer_class strata_einsum_dense_class = {
    .name = "EinsumDense",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .state_size = sizeof(state),
    .features = STRATA_FEATURES_SHARDED,
    .build = build,
    .call = call,
};
