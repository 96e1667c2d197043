/* Attention by heads: building the projections. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/attention/heads.h"

#include <math.h>
#include <string.h>

#include <strata/layers/activation.h>
#include <strata/layers/regularization.h>

#include "base/memory.h"

strata_status strata__heads_create(strata_layer *layer, const strata__heads_config *config)
{
    strata__object_free(layer->ctx, &layer->activity_regularizer);
    if (config->flash_attention && config->dropout > 0)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': Dropout is not supported when flash attention is enabled. "
                            "Please set dropout to 0.0 to use flash attention.",
                            layer->name);
    return STRATA_OK;
}

/* --- axes --- */

/* Sizes but the last agree; STRATA_NONE fits all. */
static bool same_positions(const strata_shape *a, const strata_shape *b)
{
    bool same = a->rank == b->rank;
    for (int i = 1; same && i < a->rank - 1; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

static strata_status check_inputs(const strata_layer *layer, const strata_shape *query,
                                  const strata_shape *value, const strata_shape *key)
{
    char first[STRATA__SHAPE_TEXT], second[STRATA__SHAPE_TEXT];
    if (!same_positions(value, key))
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': All dimensions of `value` and `key`, except the last one, "
                            "must be equal. Received: value_shape=%s and key_shape=%s",
                            layer->name, strata__shape_text(value, first),
                            strata__shape_text(key, second));
    if (query->rank != value->rank || query->rank < 3)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': query and value must have as many axes, at least 3: "
                            "batch, positions, features. Received: query_shape=%s and "
                            "value_shape=%s",
                            layer->name, strata__shape_text(query, first),
                            strata__shape_text(value, second));
    return STRATA_OK;
}

/* Which axes are positions; they come last, in the order in which they were given. */
static strata_status take_axes(strata_layer *layer, const strata_shape *given)
{
    strata__heads *h = layer->state;
    int first = 1, last = h->rank - 1, count = given->rank < 0 ? last - first : given->rank;
    bool taken[STRATA_MAX_RANK] = {false};
    h->positions = count;
    h->batches = last - first - count;
    for (int i = 0; i < count; i++) {
        int64_t axis = given->rank < 0 ? first + i : given->dims[i];
        axis += axis < 0 ? h->rank : 0;
        if (count > last - first || axis < first || axis >= last || taken[axis])
            return strata__fail(layer->ctx, STRATA_INVALID,
                                "layer '%s': attention_axes must be different axes between batch "
                                "and features of inputs with %d axes, got %lld",
                                layer->name, h->rank, (long long)given->dims[i]);
        taken[axis] = true;
        h->order[first + h->batches + i] = (int)axis;
    }
    h->order[0] = 0;
    h->order[last] = last;
    for (int axis = first, next = first; axis < last; axis++) {
        if (!taken[axis])
            h->order[next++] = axis;
    }
    return STRATA_OK;
}

/* --- projections --- */

static strata_layer *add_sublayer(strata_layer *layer, const char *prefix, const char *attribute,
                                  const strata_layer_class *class, const void *config)
{
    strata_context *ctx = layer->ctx;
    strata_layer *sublayer = strata_layer_new(ctx, class, config);
    char *name = strata__format(ctx, "%s%s", prefix, attribute);
    char *path = sublayer ? strata__format(ctx, "%s/%s", layer->path, sublayer->name) : NULL;
    if (name && path && strata_layer_track(layer, name, sublayer) == STRATA_OK) {
        strata__free(ctx, sublayer->path);
        sublayer->path = path;
    } else {
        strata__free(ctx, path);
        sublayer = NULL;
    }
    strata__free(ctx, name);
    return sublayer;
}

/* (…, d) → (…, heads, features), or (…, heads, features) → (…, output). */
typedef struct projection {
    const char *attribute, *name, *equation, *bias_axes;
    strata_shape input, output;
    const char *activation;
} projection;

static strata_layer *add_projection(strata_layer *layer, const strata__heads_config *c,
                                    const char *prefix, const projection *p)
{
    strata_einsum_dense_config config = c->project;
    config.name = p->name;
    config.equation = p->equation;
    config.output_shape = p->output;
    config.bias_axes = c->use_bias ? p->bias_axes : NULL;
    config.activation = p->activation;
    strata_layer *dense =
        add_sublayer(layer, prefix, p->attribute, &strata_einsum_dense_class, &config);
    return strata_layer_build(dense, p->input) == STRATA_OK ? dense : NULL;
}

static strata_layer *add_input(strata_layer *layer, const strata__heads_config *c,
                               const char *prefix, const char *name, const strata_shape *input,
                               int64_t heads, int64_t features)
{
    char attribute[32];
    snprintf(attribute, sizeof attribute, "%s_dense", name);
    return add_projection(
        layer, c, prefix,
        &(projection){.attribute = attribute,
                      .name = name,
                      .equation = "...a,abc->...bc",
                      .bias_axes = "bc",
                      .input = STRATA_SHAPE(STRATA_NONE, strata__last(input)),
                      .output = STRATA_SHAPE(heads, features),
                      .activation = strcmp(name, "gate") == 0 ? "sigmoid" : NULL});
}

static strata_layer *add_output(strata_layer *layer, const strata__heads_config *c)
{
    const strata__heads *h = layer->state;
    static const char letters[] = "cdefgh";
    char equation[32];
    int axes = h->output_axes;
    projection p = {.attribute = "output_dense",
                    .name = "attention_output",
                    .equation = equation,
                    .bias_axes = letters + sizeof letters - 1 - axes,
                    .input = STRATA_SHAPE(STRATA_NONE, c->heads, c->value_dim),
                    .output.rank = axes};
    snprintf(equation, sizeof equation, "...ab,ab%s->...%s", p.bias_axes, p.bias_axes);
    memcpy(p.output.dims, h->output_sizes, (size_t)axes * sizeof *p.output.dims);
    return add_projection(layer, c, c->prefix, &p);
}

/* Keras has layers for both, which take automatic names and groups of weight files. */
static void add_softmax_and_dropout(strata_layer *layer, const strata__heads_config *c)
{
    strata__heads *h = layer->state;
    strata_softmax_config softmax = {strata_softmax_defaults};
    strata_dropout_config dropout = {strata_dropout_defaults};
    dropout.rate = c->dropout;
    dropout.seed = c->seed;
    add_sublayer(layer, "", "_softmax", &strata_softmax_class, &softmax);
    h->dropout = add_sublayer(layer, "", "_dropout_layer", &strata_dropout_class, &dropout);
}

/* --- building --- */

static strata_status take_output(strata_layer *layer, const strata_shape *given,
                                 const strata_shape *query)
{
    strata__heads *h = layer->state;
    bool own = given->rank <= 0;
    h->output_axes = own ? 1 : given->rank;
    h->output_sizes[0] = strata__last(query);
    if (!own)
        memcpy(h->output_sizes, given->dims, (size_t)given->rank * sizeof *given->dims);
    if (query->rank - 1 + h->output_axes > STRATA_MAX_RANK || h->output_axes > 6)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': output_shape has %d axes, which makes more than %d",
                            layer->name, h->output_axes, STRATA_MAX_RANK);
    return STRATA_OK;
}

strata_status strata__heads_build(strata_layer *layer, const strata__heads_config *c, int count,
                                  const strata_shape *inputs)
{
    strata__heads *h = layer->state;
    const strata_shape *query = &inputs[0], *value = &inputs[1], *key = &inputs[count - 1];
    STRATA_TRY(check_inputs(layer, query, value, key));
    h->heads = c->heads;
    h->groups = c->groups;
    h->scale = 1 / sqrt((double)c->key_dim);
    h->window = c->sliding_window == STRATA_NONE ? 0 : c->sliding_window;
    h->dropout_rate = c->dropout;
    h->seed = c->seed;
    h->flash = c->flash_attention;
    h->rank = query->rank;
    STRATA_TRY(take_axes(layer, &c->attention_axes));
    STRATA_TRY(take_output(layer, &c->output_shape, query));
    h->query = add_input(layer, c, c->prefix, "query", query, c->heads, c->key_dim);
    h->key = add_input(layer, c, c->prefix, "key", key, c->groups, c->key_dim);
    if (c->use_gate)
        h->gate = add_input(layer, c, "_", "gate", query, c->heads, c->value_dim);
    h->value = add_input(layer, c, c->prefix, "value", value, c->groups, c->value_dim);
    add_softmax_and_dropout(layer, c);
    h->output = add_output(layer, c);
    return layer->ctx->status;
}
