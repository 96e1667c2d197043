/* Weights of layers: add_weight, the lists, get_weights and set_weights. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "layers/layer.h"

strata_status strata__layer_refuse_state(const strata_layer *layer, const char *name)
{
    return strata__fail(
        layer->ctx, STRATA_INVALID,
        "You cannot add new elements of state (variables or sub-layers) to a layer that is "
        "already built. All state must be created in create or build (layer '%s', '%s')",
        layer->name, name);
}

strata_variable *strata__add_weight(strata_layer *layer, const strata_weight *weight,
                                    strata__placement placement, int columns)
{
    strata_context *ctx = layer->ctx;
    if (ctx->status != STRATA_OK)
        return NULL;
    if (layer->built) {
        strata__layer_refuse_state(layer, weight->name ? weight->name : "variable");
        return NULL;
    }
    strata_dtype dtype;
    const char *dtype_name = weight->dtype ? weight->dtype : "float32";
    if (!strata_dtype_from_name(dtype_name, &dtype)) {
        strata__fail(ctx, STRATA_INVALID, "layer '%s', weight '%s': unknown dtype '%s'",
                     layer->name, weight->name ? weight->name : "variable", dtype_name);
        return NULL;
    }
    bool trainable = weight->trainable == -1
                         ? weight->synchronization != STRATA_SYNCHRONIZATION_ON_READ
                         : weight->trainable != 0;
    strata__variable_spec spec = {.name = weight->name ? weight->name : "variable",
                                  .path = layer->path,
                                  .shape = weight->shape,
                                  .dtype = dtype,
                                  .initializer = weight->initializer,
                                  .regularizer = weight->regularizer,
                                  .constraint = weight->constraint,
                                  .trainable = trainable,
                                  .synchronization = weight->synchronization,
                                  .aggregation = weight->aggregation,
                                  .placement = placement,
                                  .columns = columns};
    strata_variable *variable = strata__variable_new(ctx, &spec);
    if (!variable)
        return NULL;
    strata__list *store = trainable ? &layer->trainable_store : &layer->non_trainable_store;
    if (!strata__list_add(ctx, store, variable)) {
        strata__variable_free(variable);
        return NULL;
    }
    if (trainable && !layer->trainable) {
        variable->trainable = false;
        variable->value->wants_gradient = false;
    }
    return variable;
}

strata_variable *strata_layer_add_weight_from(strata_layer *layer, const strata_weight *weight)
{
    return layer ? strata__add_weight(layer, weight, STRATA__WHOLE, 0) : NULL;
}

/* Collects variables while walking; a shared sublayer's variables count once. */
typedef struct collection {
    strata_variable **items;
    int size, count;
    int wanted; /* −1: all, 0: not trainable, 1: trainable */
    strata__list seen;
    strata_context *ctx;
} collection;

static void collect(collection *into, strata_variable *variable, bool layer_trainable)
{
    bool trainable = variable->trainable && layer_trainable;
    if (into->wanted >= 0 && trainable != (into->wanted == 1))
        return;
    if (into->items && into->count < into->size)
        into->items[into->count] = variable;
    into->count++;
}

/* A frozen layer's sublayers are frozen with it, whatever they say themselves. */
static void collect_layer(collection *into, strata_layer *layer, bool trainable)
{
    for (int i = 0; i < into->seen.count; i++) {
        if (into->seen.items[i] == layer)
            return;
    }
    strata__list_add(into->ctx, &into->seen, layer);
    trainable &= layer->trainable;
    for (int i = 0; i < layer->trainable_store.count; i++)
        collect(into, layer->trainable_store.items[i], trainable);
    for (int i = 0; i < layer->non_trainable_store.count; i++)
        collect(into, layer->non_trainable_store.items[i], trainable);
    for (int i = 0; i < layer->sublayers.count; i++)
        collect_layer(into, ((strata__sublayer *)layer->sublayers.items[i])->layer, trainable);
}

static int weights_of(const strata_layer *layer, int wanted, strata_variable **weights, int size)
{
    collection into = {.items = weights, .size = size, .wanted = wanted, .ctx = layer->ctx};
    collect_layer(&into, (strata_layer *)layer, true);
    strata__list_free(layer->ctx, &into.seen);
    return into.count;
}

int strata_layer_weights(const strata_layer *layer, strata_variable **weights, int size)
{
    return weights_of(layer, -1, weights, size);
}

int strata_layer_trainable_weights(const strata_layer *layer, strata_variable **weights, int size)
{
    return weights_of(layer, 1, weights, size);
}

int strata_layer_non_trainable_weights(const strata_layer *layer, strata_variable **weights,
                                       int size)
{
    return weights_of(layer, 0, weights, size);
}

/* All weights in an array of the caller's (strata__free). */
static strata_variable **all_weights(strata_layer *layer, int *count)
{
    *count = strata_layer_weights(layer, NULL, 0);
    strata_variable **weights = strata__alloc(layer->ctx, (size_t)*count * sizeof *weights);
    if (weights)
        strata_layer_weights(layer, weights, *count);
    return weights;
}

int64_t strata_layer_count_params(const strata_layer *layer)
{
    if (!layer->built && layer->class->build) {
        strata__fail(
            layer->ctx, STRATA_INVALID,
            "You tried to call `count_params` on layer '%s', but the layer isn't built. You can "
            "build it manually via: strata_layer_build()",
            layer->name);
        return 0;
    }
    int count;
    strata_variable **weights = all_weights((strata_layer *)layer, &count);
    int64_t total = 0;
    for (int i = 0; weights && i < count; i++)
        total += strata__product(&weights[i]->shape, 0, weights[i]->shape.rank);
    strata__free(layer->ctx, weights);
    return total;
}

strata_status strata_layer_get_weights(strata_layer *layer, int count, void *const *arrays)
{
    int expected;
    strata_variable **weights = all_weights(layer, &expected);
    if (!weights)
        return STRATA_NO_MEMORY;
    strata_status status = STRATA_OK;
    if (count != expected)
        status =
            strata__fail(layer->ctx, STRATA_INVALID,
                         "get_weights of layer '%s' with %d arrays, but the layer has %d weights",
                         layer->name, count, expected);
    for (int i = 0; status == STRATA_OK && i < count; i++)
        status = strata_cross_read(weights[i], arrays[i]);
    strata__free(layer->ctx, weights);
    return status;
}

static strata_status check_new_weights(strata_layer *layer, int count,
                                       strata_variable *const *weights, const strata_shape *shapes)
{
    for (int i = 0; i < count; i++) {
        char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
        if (!strata__shape_equal(&weights[i]->shape, &shapes[i]))
            return strata__fail(
                layer->ctx, STRATA_INVALID,
                "Layer %s weight shape %s is not compatible with provided weight shape %s.",
                layer->name, strata__shape_text(&weights[i]->shape, ours),
                strata__shape_text(&shapes[i], theirs));
    }
    return STRATA_OK;
}

strata_status strata_layer_set_weights(strata_layer *layer, int count, const void *const *arrays,
                                       const strata_shape *shapes)
{
    int expected;
    strata_variable **weights = all_weights(layer, &expected);
    if (!weights)
        return STRATA_NO_MEMORY;
    strata_status status =
        count == expected
            ? check_new_weights(layer, count, weights, shapes)
            : strata__fail(
                  layer->ctx, STRATA_INVALID,
                  "You called `set_weights(weights)` on layer '%s' with a weight list of length "
                  "%d, but the layer was expecting %d weights.",
                  layer->name, count, expected);
    for (int i = 0; status == STRATA_OK && i < count; i++)
        status = strata_cross_assign(weights[i], arrays[i]);
    strata__free(layer->ctx, weights);
    return status;
}
