/* Layers: making and freeing them, and what they are. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/layer.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "state/initializer.h"

static const strata_field *row_of(const strata_layer *layer, const char *field)
{
    for (int i = 0; i < layer->class->field_count; i++) {
        if (strcmp(layer->class->fields[i].name, field) == 0)
            return &layer->class->fields[i];
    }
    return NULL;
}

void *strata__config_member(const strata_layer *layer, const char *field)
{
    const strata_field *row = row_of(layer, field);
    return row ? (char *)layer->config + row->offset : NULL;
}

static const char *text_member(const strata_layer *layer, const char *field)
{
    const char **member = strata__config_member(layer, field);
    return member ? *member : NULL;
}

static bool bool_member(const strata_layer *layer, const char *field, bool otherwise)
{
    const bool *member = strata__config_member(layer, field);
    return member ? *member : otherwise;
}

/* The automatic name is written back into the configuration, so that get_config shows it. */
static strata_status take_name(strata_layer *layer)
{
    strata_context *ctx = layer->ctx;
    char **member = strata__config_member(layer, "name");
    if (member && *member) {
        if (strchr(*member, '/'))
            return strata__fail(
                ctx, STRATA_INVALID,
                "Argument `name` must be a string and cannot contain character `/`. "
                "Received: name=%s (of %s)",
                *member, layer->class->name);
        layer->name = strata__strdup(ctx, *member);
        return layer->name ? STRATA_OK : STRATA_NO_MEMORY;
    }
    char *prefix = strata__snake_case(ctx, strata__python_name(layer));
    layer->name = prefix ? strata__unique_name(ctx, prefix) : NULL;
    strata__free(ctx, prefix);
    if (member && layer->name)
        *member = strata__strdup(ctx, layer->name);
    return layer->name ? STRATA_OK : STRATA_NO_MEMORY;
}

/* A layer that names no dtype takes the context's policy. */
static strata_status take_dtype(strata_layer *layer)
{
    char **member = strata__config_member(layer, "dtype");
    layer->precision = layer->ctx->settings.policy;
    if (!member || layer->class->bare_dtype)
        return STRATA_OK;
    if (!*member)
        *member = strata__strdup(layer->ctx, strata__precision_name(layer->precision));
    if (!*member)
        return STRATA_NO_MEMORY;
    if (strata__precision_find(*member, &layer->precision))
        return STRATA_OK;
    return strata__fail(layer->ctx, STRATA_UNSUPPORTED,
                        "layer '%s' (%s): dtype '%s' is not supported; use 'float32' or "
                        "'mixed_bfloat16'",
                        layer->name, layer->class->name, *member);
}

/* A custom layer's `activation` may be anything. */
static strata_status take_activation(strata_layer *layer)
{
    const strata_field *row = row_of(layer, "activation");
    if (!row || row->family != &strata__activation_family)
        return STRATA_OK;
    return strata__object_parse(layer->ctx, row->family, text_member(layer, row->name),
                                &layer->activation);
}

static strata_status take_common(strata_layer *layer)
{
    STRATA_TRY(take_name(layer));
    STRATA_TRY(take_dtype(layer));
    layer->path = strata__strdup(layer->ctx, layer->name);
    layer->trainable = bool_member(layer, "trainable", true);
    STRATA_TRY(take_activation(layer));
    return strata__object_parse(layer->ctx, &strata__regularizer_family,
                                text_member(layer, "activity_regularizer"),
                                &layer->activity_regularizer);
}

static strata_layer *layer_alloc(strata_context *ctx, const strata_layer_class *class)
{
    strata_layer *layer = strata__calloc(ctx, 1, sizeof *layer);
    if (!layer)
        return NULL;
    layer->ctx = ctx;
    layer->class = class;
    layer->output_count = class->output_count ? class->output_count : 1;
    layer->described = (strata__class){.name = class->name,
                                       .aliases = class->aliases,
                                       .module = "keras.layers",
                                       .config_size = class->config_size,
                                       .defaults = class->defaults,
                                       .fields = class->fields,
                                       .field_count = class->field_count};
    layer->state = class->state_size ? strata__calloc(ctx, 1, class->state_size) : NULL;
    layer->next = ctx->layers;
    ctx->layers = layer;
    return layer;
}

strata_layer *strata_layer_new(strata_context *ctx, const strata_layer_class *class,
                               const void *config)
{
    if (ctx->status != STRATA_OK)
        return NULL;
    strata_layer *layer = layer_alloc(ctx, class);
    if (!layer)
        return NULL;
    const void *source = config ? config : class->defaults;
    char owner[128];
    snprintf(owner, sizeof owner, "layer %s", class->name);
    if (strata__config_copy(ctx, &layer->described, source, owner, &layer->config) != STRATA_OK ||
        take_common(layer) != STRATA_OK || ctx->status != STRATA_OK)
        return NULL;
    if (class->create && class->create(layer) != STRATA_OK)
        return NULL;
    return ctx->status == STRATA_OK ? layer : NULL;
}

void strata__graph_call_free(strata_context *ctx, strata__graph_call *call)
{
    for (int i = 0; call->inputs && i < call->input_count; i++)
        strata_tensor_release(call->inputs[i]);
    for (int i = 0; call->outputs && i < call->output_count; i++) {
        if (call->outputs[i])
            call->outputs[i]->origin = NULL;
        strata_tensor_release(call->outputs[i]);
    }
    strata__free(ctx, call->inputs);
    strata__free(ctx, call->outputs);
    strata__free(ctx, call->arguments);
    strata__free(ctx, call);
}

static void layer_free(strata_layer *layer)
{
    strata_context *ctx = layer->ctx;
    if (layer->class->destroy && layer->state)
        layer->class->destroy(layer);
    strata__layer_clear_losses(layer);
    for (int i = 0; i < layer->calls.count; i++)
        strata__graph_call_free(ctx, layer->calls.items[i]);
    for (int i = 0; i < layer->trainable_store.count; i++)
        strata__variable_free(layer->trainable_store.items[i]);
    for (int i = 0; i < layer->non_trainable_store.count; i++)
        strata__variable_free(layer->non_trainable_store.items[i]);
    for (int i = 0; i < layer->sublayers.count; i++) {
        strata__free(ctx, ((strata__sublayer *)layer->sublayers.items[i])->attribute);
        strata__free(ctx, layer->sublayers.items[i]);
    }
    for (int i = 0; i < layer->metrics.count; i++) {
        strata__free(ctx, ((strata__layer_metric *)layer->metrics.items[i])->name);
        strata__free(ctx, layer->metrics.items[i]);
    }
    strata__list *lists[] = {&layer->trainable_store, &layer->non_trainable_store,
                             &layer->sublayers,       &layer->losses,
                             &layer->metrics,         &layer->calls};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        strata__list_free(ctx, lists[i]);
    strata__object_free(ctx, &layer->activation);
    strata__object_free(ctx, &layer->activity_regularizer);
    strata__config_free(ctx, &layer->described, layer->config);
    strata__free(ctx, layer->build_shapes);
    strata__free(ctx, layer->name);
    strata__free(ctx, layer->path);
    strata__free(ctx, layer->state);
    strata__free(ctx, layer);
}

void strata__layers_free(strata_context *ctx)
{
    while (ctx->layers) {
        strata_layer *next = ctx->layers->next;
        layer_free(ctx->layers);
        ctx->layers = next;
    }
    if (ctx->custom_classes) {
        strata__list_free(ctx, ctx->custom_classes);
        strata__free(ctx, ctx->custom_classes);
        ctx->custom_classes = NULL;
    }
}

const char *strata_layer_name(const strata_layer *layer)
{
    return layer->name;
}

const char *strata_layer_class_name(const strata_layer *layer)
{
    return layer->class->name;
}

strata_context *strata_layer_context(const strata_layer *layer)
{
    return layer->ctx;
}

const void *strata_layer_config(const strata_layer *layer)
{
    return layer->config;
}

void *strata_layer_state(const strata_layer *layer)
{
    return layer->state;
}

strata_layer *strata_tensor_layer(const strata_tensor *tensor)
{
    return tensor && tensor->origin ? ((strata__graph_call *)tensor->origin)->layer : NULL;
}

bool strata_layer_built(const strata_layer *layer)
{
    return layer->built;
}

strata_status strata_layer_track(strata_layer *layer, const char *attribute, strata_layer *sublayer)
{
    if (!layer || !sublayer)
        return STRATA_INVALID;
    if (layer->built)
        return strata__layer_refuse_state(layer, sublayer->name);
    strata__sublayer *entry = strata__alloc(layer->ctx, sizeof *entry);
    if (!entry)
        return STRATA_NO_MEMORY;
    *entry =
        (strata__sublayer){.attribute = strata__strdup(layer->ctx, attribute), .layer = sublayer};
    return strata__list_add(layer->ctx, &layer->sublayers, entry) ? STRATA_OK : STRATA_NO_MEMORY;
}

void strata__layer_walk(strata_layer *layer, strata__visit *visit, void *user)
{
    visit(user, layer);
    for (int i = 0; i < layer->sublayers.count; i++)
        strata__layer_walk(((strata__sublayer *)layer->sublayers.items[i])->layer, visit, user);
}

bool strata_layer_trainable(const strata_layer *layer)
{
    return layer->trainable;
}

typedef struct trainable_setting {
    bool value;
} trainable_setting;

static void set_trainable(void *user, strata_layer *layer)
{
    const trainable_setting *setting = user;
    layer->trainable = setting->value;
    bool *member = strata__config_member(layer, "trainable");
    if (member)
        *member = setting->value;
    for (int i = 0; i < layer->trainable_store.count; i++) {
        strata_variable *variable = layer->trainable_store.items[i];
        variable->trainable = setting->value;
        variable->value->wants_gradient = setting->value;
    }
}

void strata_layer_set_trainable(strata_layer *layer, bool trainable)
{
    strata__layer_walk(layer, set_trainable, &(trainable_setting){trainable});
}

static void find_dynamic(void *user, strata_layer *layer)
{
    bool *found = user;
    *found |= bool_member(layer, "dynamic", false);
}

bool strata_layer_dynamic(const strata_layer *layer)
{
    bool found = false;
    strata__layer_walk((strata_layer *)layer, find_dynamic, &found);
    return found;
}

uint64_t strata__layer_draw(strata_layer *layer)
{
    strata__draws *draws = &layer->draws;
    if (draws->step != layer->ctx->step)
        *draws = (strata__draws){.step = layer->ctx->step};
    return strata__stream(layer->path, (draws->step << 16) + draws->count++);
}
