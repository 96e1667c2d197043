/* Configuration of models: to and from Keras's JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata/layers/core.h>

#include "base/json.h"
#include "base/memory.h"
#include "model/nodes.h"

enum { MOST_LAYERS = 10000 };

/* --- to JSON --- */

static json_t *layer_json(strata_layer *layer)
{
    strata_model *nested = strata__model_of(layer);
    return nested ? strata__model_serialize(nested) : strata__layer_serialize(layer);
}

static json_t *end_json(const strata_model *model, const strata_tensor *tensor)
{
    const strata__graph_call *maker = tensor->origin;
    /* Keras counts the nodes of a nested Functional from 1 here, and only here. */
    int extra = maker->layer->class == &strata_functional_class ? 1 : 0;
    return json_pack("[s, i, i]", maker->layer->name, strata__node_index(model, maker) + extra,
                     tensor->origin_index);
}

static json_t *ends_json(const strata_model *model, int count, strata_tensor *const *tensors,
                         char *const *keys)
{
    json_t *ends = keys ? json_object() : json_array();
    for (int i = 0; i < count; i++) {
        json_t *end = end_json(model, tensors[i]);
        if (keys)
            json_object_set_new(ends, keys[i], end);
        else
            json_array_append_new(ends, end);
    }
    return ends;
}

static json_t *functional_config(strata_model *model)
{
    json_t *layers = json_array();
    for (int i = 0; i < model->layers.count; i++) {
        strata_layer *layer = model->layers.items[i];
        json_t *entry = layer_json(layer);
        json_object_set_new(entry, "name", json_string(layer->name));
        json_object_set_new(entry, "inbound_nodes", strata__nodes_json(model, layer));
        json_array_append_new(layers, entry);
    }
    return json_pack("{s:s, s:b, s:o, s:o, s:o}", "name", model->layer->name, "trainable",
                     model->layer->trainable, "layers", layers, "input_layers",
                     ends_json(model, model->input_count, model->inputs, model->input_keys),
                     "output_layers",
                     ends_json(model, model->output_count, model->outputs, model->output_keys));
}

static json_t *sequential_config(strata_model *model)
{
    json_t *config = strata__layer_config_json(model->layer);
    json_t *layers = json_array();
    if (model->entry)
        json_array_append_new(layers, layer_json(model->entry));
    for (int i = 0; i < model->layers.count; i++)
        json_array_append_new(layers, layer_json(model->layers.items[i]));
    json_object_set_new(config, "layers", layers);
    if (model->ready)
        json_object_set_new(config, "build_input_shape",
                            strata__shape_json(&model->inputs[0]->shape));
    return config;
}

json_t *strata__model_serialize(strata_model *model)
{
    if (model->sequential && model->entry)
        strata__model_ready(model);
    if (!model->sequential)
        return json_pack("{s:s, s:s, s:o, s:s, s:{s:n}}", "module", "keras.src.models.functional",
                         "class_name", "Functional", "config", functional_config(model),
                         "registered_name", "Functional", "build_config", "input_shape");
    json_t *object = json_pack("{s:s, s:s, s:o, s:n}", "module", "keras", "class_name",
                               "Sequential", "config", sequential_config(model), "registered_name");
    if (model->ready)
        json_object_set_new(
            object, "build_config",
            json_pack("{s:o}", "input_shape", strata__shape_json(&model->inputs[0]->shape)));
    return object;
}

char *strata_model_to_json(strata_model *model)
{
    if (!model)
        return NULL;
    json_t *object = strata__model_serialize(model);
    json_t *compiled = model->trainer ? model->ctx->compiler->to_json(model) : NULL;
    if (compiled)
        json_object_set_new(object, "compile_config", compiled);
    char *text = strata__json_dump(model->ctx, object, 0);
    json_decref(object);
    return text;
}

/* --- from JSON --- */

static bool is_operation(const json_t *object)
{
    const char *module = json_string_value(json_object_get(object, "module"));
    return module && strncmp(module, "keras.src.ops", 13) == 0;
}

static strata_layer *layer_from(strata_context *ctx, const json_t *object)
{
    const char *class = json_string_value(json_object_get(object, "class_name"));
    bool model = class && (strcmp(class, "Functional") == 0 || strcmp(class, "Sequential") == 0 ||
                           strcmp(class, "Model") == 0);
    if (!model)
        return strata__layer_from_json(ctx, object);
    strata_model *nested = strata__model_from_json(ctx, object);
    return nested ? nested->layer : NULL;
}

static strata_status read_entry(strata__stored_graph *r, const json_t *object)
{
    const json_t *config = json_object_get(object, "config");
    const char *name = json_string_value(json_object_get(object, "name"));
    if (!name)
        name = json_string_value(json_object_get(config, "name"));
    const json_t *nodes = json_object_get(object, "inbound_nodes");
    if (!name || !json_is_object(config) || (nodes && !json_is_array(nodes)))
        return strata__stored_damaged(r, "no name, config or inbound_nodes", name);
    if (strata__stored_find(r, name))
        return strata__stored_damaged(r, "a name that is used twice", name);
    strata__stored_layer *e = &r->layers[r->count];
    *e = (strata__stored_layer){.name = name, .nodes = nodes};
    if (!is_operation(object)) {
        e->layer = layer_from(r->ctx, object);
        if (!e->layer)
            return r->ctx->status;
        if (e->layer->class == &strata_input_layer_class)
            strata__input_tensor(e->layer);
    }
    r->count++;
    return r->ctx->status;
}

/* Inputs or outputs of a model, in Keras's order: that of the list, or that of the sorted keys. */
typedef struct ends {
    int count;
    bool named;
    const char *keys[STRATA__MOST_INPUTS]; /* when named */
    strata_tensor *tensors[STRATA__MOST_INPUTS];
} ends;

static strata_status read_end(strata__stored_graph *r, const json_t *item, strata_tensor **tensor)
{
    json_t *history = json_deep_copy(item);
    const strata__stored_layer *e =
        strata__stored_find(r, json_string_value(json_array_get(history, 0)));
    if (e && e->layer && e->layer->class == &strata_functional_class)
        json_array_set_new(history, 1,
                           json_integer(json_integer_value(json_array_get(history, 1)) - 1));
    strata__found one = strata__stored_tensor(r, history, tensor);
    json_decref(history);
    return one == STRATA__FOUND ? STRATA_OK
           : r->ctx->status     ? r->ctx->status
                                : strata__stored_damaged(r, "an input or output that is not there",
                                                     e ? e->name : NULL);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_keys(const json_t *given, ends *e)
{
    const char *key;
    json_t *value;
    int count = 0;
    json_object_foreach((json_t *)(uintptr_t)given, key, value) e->keys[count++] = key;
    qsort(e->keys, (size_t)count, sizeof *e->keys, by_key);
}

/* input_layers and output_layers: [["x", 0, 0], …], a flat ["x", 0, 0], or {"key": ["x", 0, 0], …}.
 */
static strata_status read_ends(strata__stored_graph *r, const json_t *given, ends *e)
{
    bool flat = json_is_string(json_array_get(given, 0));
    e->named = json_is_object(given);
    size_t size = flat ? 1 : e->named ? json_object_size(given) : json_array_size(given);
    if (size == 0 || size > STRATA__MOST_INPUTS)
        return strata__fail(
            r->ctx, STRATA_UNSUPPORTED,
            "configuration of model '%s': input_layers and output_layers must name 1 to %d tensors",
            r->model, STRATA__MOST_INPUTS);
    if (e->named)
        sort_keys(given, e);
    for (e->count = 0; e->count < (int)size; e->count++) {
        const json_t *item = flat       ? given
                             : e->named ? json_object_get(given, e->keys[e->count])
                                        : json_array_get(given, (size_t)e->count);
        STRATA_TRY(read_end(r, item, &e->tensors[e->count]));
    }
    return STRATA_OK;
}

/* A dictionary stays one when the model is written again. */
static char **kept_keys(strata_context *ctx, const ends *e)
{
    char **keys = e->named ? strata__calloc(ctx, (size_t)e->count, sizeof *keys) : NULL;
    for (int i = 0; keys && i < e->count; i++)
        keys[i] = strata__strdup(ctx, e->keys[i]);
    return keys;
}

static strata_status read_layers(strata__stored_graph *r, const json_t *layers)
{
    size_t i;
    json_t *object;
    if (!json_is_array(layers) || json_array_size(layers) > MOST_LAYERS)
        return strata__fail(r->ctx, STRATA_BAD_DATA,
                            "configuration of model '%s': no list of at most %d layers", r->model,
                            MOST_LAYERS);
    r->layers = strata__calloc(r->ctx, json_array_size(layers) + 1, sizeof *r->layers);
    if (!r->layers)
        return STRATA_NO_MEMORY;
    json_array_foreach(layers, i, object) STRATA_TRY(read_entry(r, object));
    return strata__stored_calls(r);
}

static strata_model *functional_from(strata_context *ctx, const json_t *config, const char *name)
{
    strata__stored_graph r = {.ctx = ctx, .model = name};
    ends inputs, outputs;
    strata_model *model = NULL;
    if (read_layers(&r, json_object_get(config, "layers")) == STRATA_OK &&
        read_ends(&r, json_object_get(config, "input_layers"), &inputs) == STRATA_OK &&
        read_ends(&r, json_object_get(config, "output_layers"), &outputs) == STRATA_OK)
        model = strata_functional_from(
            &(strata_functional_options){.inputs = {inputs.count, inputs.tensors},
                                         .outputs = {outputs.count, outputs.tensors},
                                         .name = name});
    if (model) {
        model->input_keys = kept_keys(ctx, &inputs);
        model->output_keys = kept_keys(ctx, &outputs);
    }
    strata__free(ctx, r.layers);
    return model;
}

static bool read_shape(const json_t *list, strata_shape *shape)
{
    *shape = (strata_shape){.rank = (int)json_array_size(list)};
    if (!json_is_array(list) || shape->rank < 1 || json_array_size(list) > STRATA_MAX_RANK)
        return false;
    for (int i = 0; i < shape->rank; i++) {
        const json_t *size = json_array_get(list, (size_t)i);
        shape->dims[i] = json_is_integer(size) ? json_integer_value(size) : STRATA_NONE;
    }
    return true;
}

static strata_model *sequential_from(strata_context *ctx, const json_t *config, const char *name)
{
    const json_t *layers = json_object_get(config, "layers");
    strata_model *model = strata_sequential(ctx, name);
    size_t i;
    json_t *object;
    if (!json_is_array(layers) || json_array_size(layers) > MOST_LAYERS) {
        strata__fail(ctx, STRATA_BAD_DATA,
                     "configuration of model '%s': no list of at most %d layers", name,
                     MOST_LAYERS);
        return NULL;
    }
    json_array_foreach(layers, i, object)
    {
        strata_layer *layer = model ? layer_from(ctx, object) : NULL;
        if (!layer || strata_sequential_add(model, layer) != STRATA_OK)
            return NULL;
    }
    strata_shape shape;
    if (model && !model->entry && read_shape(json_object_get(config, "build_input_shape"), &shape))
        strata_model_build(model, shape);
    else if (model && model->entry && model->layers.count > 0)
        strata__model_ready(model);
    return ctx->status == STRATA_OK ? model : NULL;
}

strata_model *strata__model_from_json(strata_context *ctx, const json_t *object)
{
    const char *class = json_string_value(json_object_get(object, "class_name"));
    const json_t *config = json_object_get(object, "config");
    const char *name = json_string_value(json_object_get(config, "name"));
    if (!class || !json_is_object(config)) {
        strata__fail(ctx, STRATA_BAD_DATA,
                     "the configuration is not a Keras model: no class_name and config");
        return NULL;
    }
    strata_model *model = NULL;
    if (strcmp(class, "Sequential") == 0)
        model = sequential_from(ctx, config, name);
    else if (strcmp(class, "Functional") == 0 || strcmp(class, "Model") == 0)
        model = functional_from(ctx, config, name);
    else
        strata__fail(ctx, STRATA_UNSUPPORTED,
                     "model class '%s' is not supported; Sequential and Functional models are",
                     class);
    if (model && json_is_false(json_object_get(config, "trainable")))
        strata_layer_set_trainable(model->layer, false);
    return model;
}

strata_model *strata_model_from_json(strata_context *ctx, const char *text)
{
    if (strata__agree(ctx) != STRATA_OK)
        return NULL;
    json_t *object = strata__json_parse(ctx, text, strlen(text), "the model's JSON");
    strata_model *model = object ? strata__model_from_json(ctx, object) : NULL;
    const json_t *compiled = model ? json_object_get(object, "compile_config") : NULL;
    if (json_is_object(compiled) && json_object_size(compiled) > 0 &&
        ctx->compiler->from_json(model, compiled) != STRATA_OK)
        model = NULL;
    json_decref(object);
    return strata__agree(ctx) == STRATA_OK ? model : NULL;
}
