/* Losses and metrics of layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "layers/layer.h"
#include "ops/batch.h"
#include "ops/ops.h"

strata_status strata_layer_add_loss(strata_layer *layer, strata_tensor *loss)
{
    if (!layer || !loss)
        return STRATA_INVALID;
    if (loss->dtype != STRATA_FLOAT32)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': add_loss takes a float32 tensor, not %s", layer->name,
                            strata_dtype_name(loss->dtype));
    if (loss->symbolic)
        return STRATA_OK;
    if (!strata__list_add(layer->ctx, &layer->losses, loss))
        return STRATA_NO_MEMORY;
    strata__tensor_share(loss);
    return STRATA_OK;
}

void strata__layer_clear_losses(strata_layer *layer)
{
    for (int i = 0; i < layer->losses.count; i++)
        strata_tensor_release(layer->losses.items[i]);
    layer->losses.count = 0;
}

typedef struct gathering {
    strata_tensor **items;
    int size, count;
} gathering;

static void put(gathering *into, strata_tensor *loss)
{
    if (into->items && into->count < into->size)
        into->items[into->count] = loss;
    into->count++;
}

static void gather_added(void *user, strata_layer *layer)
{
    for (int i = 0; i < layer->losses.count; i++)
        put(user, layer->losses.items[i]);
}

int strata__layer_added_losses(strata_layer *layer, strata_tensor **losses, int size)
{
    gathering into = {.items = size > 0 ? losses : NULL, .size = size};
    strata__layer_walk(layer, gather_added, &into);
    return into.count;
}

int strata__layer_regularization(strata_layer *layer, strata_tensor **losses, int size)
{
    gathering into = {.items = size > 0 ? losses : NULL, .size = size};
    int count = strata_layer_trainable_weights(layer, NULL, 0);
    strata_variable **weights = strata__alloc(layer->ctx, (size_t)count * sizeof *weights);
    if (!weights)
        return 0;
    strata_layer_trainable_weights(layer, weights, count);
    for (int i = 0; i < count; i++) {
        if (weights[i]->regularizer.class)
            put(&into, into.items ? strata__variable_regularization(weights[i]) : NULL);
    }
    strata__free(layer->ctx, weights);
    return into.count;
}

int strata_layer_losses(strata_layer *layer, strata_tensor **losses, int size)
{
    int added = strata__layer_added_losses(layer, losses, size);
    int left = size > added ? size - added : 0;
    return added + strata__layer_regularization(layer, left ? losses + added : NULL, left);
}

/* --- metrics: a Mean for each name --- */

static strata__layer_metric *metric_named(strata_layer *layer, const char *name)
{
    for (int i = 0; i < layer->metrics.count; i++) {
        strata__layer_metric *metric = layer->metrics.items[i];
        if (strcmp(metric->name, name) == 0)
            return metric;
    }
    strata__layer_metric *metric = strata__calloc(layer->ctx, 1, sizeof *metric);
    if (!metric)
        return NULL;
    metric->name = strata__strdup(layer->ctx, name);
    if (!metric->name || !strata__list_add(layer->ctx, &layer->metrics, metric)) {
        strata__free(layer->ctx, metric->name);
        strata__free(layer->ctx, metric);
        return NULL;
    }
    return metric;
}

strata_status strata_layer_add_metric(strata_layer *layer, strata_tensor *value, const char *name)
{
    if (!layer || !value)
        return STRATA_INVALID;
    if (!name)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "Please provide a name for your metric like "
                            "strata_layer_add_metric(layer, value, \"my_metric\") (layer '%s')",
                            layer->name);
    if (layer->ctx->nesting == 0)
        return strata__fail(
            layer->ctx, STRATA_INVALID,
            "Expected a symbolic Tensor for the metric value '%s': outside `call` of "
            "layer '%s' there is none",
            name, layer->name);
    strata__layer_metric *metric = metric_named(layer, name);
    if (!metric)
        return STRATA_NO_MEMORY;
    if (value->symbolic)
        return STRATA_OK;
    strata__tape *paused = strata__tape_pause(layer->ctx);
    value = strata__whole(value);
    strata__tape_resume(layer->ctx, paused);
    if (!value)
        return layer->ctx->status;
    /* A whole value is the same on every rank: each carries its share of the one that counts. */
    double share = value->layout.batch ? 1.0 : 1.0 / layer->ctx->mesh->groups[STRATA__BATCH].size;
    int64_t count = strata__local_count(value);
    metric->total += share * strata__batch_dot_part(value->data, NULL, count);
    metric->count += share * (double)count;
    return STRATA_OK;
}

typedef struct metric_search {
    int left;
    strata__layer_metric *found;
} metric_search;

static void search_metric(void *user, strata_layer *layer)
{
    metric_search *search = user;
    for (int i = 0; i < layer->metrics.count && !search->found; i++) {
        if (search->left-- == 0)
            search->found = layer->metrics.items[i];
    }
}

static strata__layer_metric *metric_at(const strata_layer *layer, int index)
{
    metric_search search = {.left = index};
    strata__layer_walk((strata_layer *)layer, search_metric, &search);
    return search.found;
}

static void count_metrics(void *user, strata_layer *layer)
{
    *(int *)user += layer->metrics.count;
}

int strata_layer_metric_count(const strata_layer *layer)
{
    int count = 0;
    strata__layer_walk((strata_layer *)layer, count_metrics, &count);
    return count;
}

const char *strata_layer_metric_name(const strata_layer *layer, int index)
{
    strata__layer_metric *metric = metric_at(layer, index);
    return metric ? metric->name : NULL;
}

double strata_layer_metric_value(strata_layer *layer, int index)
{
    strata__layer_metric *metric = metric_at(layer, index);
    double values[2] = {metric ? metric->total : 0, metric ? metric->count : 0};
    strata__batch_total(layer->ctx, values, 2);
    return values[1] != 0 ? values[0] / values[1] : 0;
}

static void reset_metrics(void *user, strata_layer *layer)
{
    (void)user;
    for (int i = 0; i < layer->metrics.count; i++) {
        strata__layer_metric *metric = layer->metrics.items[i];
        metric->total = metric->count = 0;
    }
}

void strata_layer_reset_metrics(strata_layer *layer)
{
    strata__layer_walk(layer, reset_metrics, NULL);
}
