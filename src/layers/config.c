/* Configuration of layers: from and to JSON, and the classes that files can name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"
#include "layers/layer.h"

/* --- classes --- */

#define STRATA_LAYER(id, name, folder) extern const strata_layer_class strata_##id##_class;
#include "layers/layers.def"
#undef STRATA_LAYER

const strata_layer_class *const strata__layer_classes[] = {
#define STRATA_LAYER(id, name, folder) &strata_##id##_class,
#include "layers/layers.def"
#undef STRATA_LAYER
};
const int strata__layer_class_count = sizeof strata__layer_classes / sizeof *strata__layer_classes;

static bool in_aliases(const char *aliases, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = aliases; at && *at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (strncmp(at, name, length) == 0 && (at[length] == '|' || at[length] == '\0'))
            return true;
    }
    return false;
}

static bool names_class(const strata_layer_class *class, const char *name)
{
    if (class->package) {
        size_t length = strlen(class->package);
        if (strncmp(name, class->package, length) == 0 && name[length] == '>')
            return strcmp(name + length + 1, class->name) == 0;
    }
    return strcmp(class->name, name) == 0 || in_aliases(class->aliases, name);
}

const strata_layer_class *strata__layer_class_find(strata_context *ctx, const char *name)
{
    for (int i = 0; ctx->custom_classes && i < ctx->custom_classes->count; i++) {
        if (names_class(ctx->custom_classes->items[i], name))
            return ctx->custom_classes->items[i];
    }
    for (int i = 0; i < strata__layer_class_count; i++) {
        if (names_class(strata__layer_classes[i], name))
            return strata__layer_classes[i];
    }
    return NULL;
}

strata_status strata_register_layer(strata_context *ctx, const strata_layer_class *class)
{
    if (!ctx->custom_classes)
        ctx->custom_classes = strata__calloc(ctx, 1, sizeof *ctx->custom_classes);
    if (!ctx->custom_classes)
        return STRATA_NO_MEMORY;
    for (int i = 0; i < ctx->custom_classes->count; i++) {
        if (ctx->custom_classes->items[i] == class)
            return STRATA_OK;
    }
    return strata__list_add(ctx, ctx->custom_classes, (void *)(uintptr_t) class) ? STRATA_OK
                                                                                 : STRATA_NO_MEMORY;
}

static const strata_layer_class *class_or_error(strata_context *ctx, const char *name)
{
    const strata_layer_class *class = strata__layer_class_find(ctx, name);
    if (class)
        return class;
    const char *names[512];
    int count = 0;
    for (int i = 0; i < strata__layer_class_count && count < 512; i++)
        names[count++] = strata__layer_classes[i]->name;
    const char *near = strata__nearest(name, names, count);
    strata__fail(ctx, STRATA_UNSUPPORTED,
                 "unknown or not yet supported layer class '%s'%s%s%s; a custom class is made "
                 "known by strata_register_layer()",
                 name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    return NULL;
}

/* --- from JSON --- */

/* The dtype of a Keras file is a policy object; the struct holds its name. */
static json_t *plain_dtype(const json_t *config)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)config);
    const json_t *dtype = copy ? json_object_get(copy, "dtype") : NULL;
    const json_t *policy = json_is_object(dtype) ? json_object_get(dtype, "config") : NULL;
    const json_t *name = policy ? json_object_get(policy, "name") : NULL;
    if (json_is_string(name))
        json_object_set(copy, "dtype", (json_t *)(uintptr_t)name);
    else if (json_is_null(dtype))
        json_object_del(copy, "dtype");
    return copy;
}

static const char *class_name_of(const json_t *object)
{
    const char *registered = json_string_value(json_object_get(object, "registered_name"));
    if (registered && strchr(registered, '>'))
        return registered;
    return json_string_value(json_object_get(object, "class_name"));
}

strata_layer *strata__layer_from_json(strata_context *ctx, const json_t *object)
{
    const char *name = json_is_object(object) ? class_name_of(object) : NULL;
    const json_t *config = name ? json_object_get(object, "config") : NULL;
    if (!name || (config && !json_is_object(config))) {
        strata__fail(ctx, STRATA_BAD_DATA,
                     "a layer in the file is not an object with class_name and config");
        return NULL;
    }
    const strata_layer_class *class = class_or_error(ctx, name);
    if (!class)
        return NULL;
    strata__class described = {.name = class->name,
                               .config_size = class->config_size,
                               .defaults = class->defaults,
                               .fields = class->fields,
                               .field_count = class->field_count};
    json_t *plain = config ? plain_dtype(config) : json_object();
    const char *layer_name = json_string_value(json_object_get(plain, "name"));
    char owner[192];
    if (layer_name)
        snprintf(owner, sizeof owner, "layer '%s' (%s)", layer_name, class->name);
    else
        snprintf(owner, sizeof owner, "layer %s", class->name);
    if (class == &strata_lambda_class)
        strata__lambda_name_function(plain);
    void *parsed = NULL;
    strata_layer *layer = NULL;
    if (strata__config_from_json(ctx, &described, plain, owner, NULL, &parsed) == STRATA_OK)
        layer = strata_layer_new(ctx, class, parsed);
    strata__config_free(ctx, &described, parsed);
    json_decref(plain);
    return layer;
}

strata_layer *strata_layer_from_text(strata_context *ctx, const char *text)
{
    json_t *object = strata__notation_parse(ctx, text);
    if (!object)
        return NULL;
    if (json_is_string(object)) {
        json_t *call = json_pack("{s:O, s:{}}", "class_name", object, "config");
        json_decref(object);
        object = call;
    }
    strata_layer *layer = NULL;
    if (json_object_get(object, "args"))
        strata__fail(ctx, STRATA_INVALID,
                     "layer '%s': give arguments by name, as in Dense(units=3)", text);
    else
        layer = strata__layer_from_json(ctx, object);
    json_decref(object);
    return layer;
}

/* --- to JSON --- */

static json_t *dtype_policy(const char *name)
{
    return json_pack("{s:s, s:s, s:{s:s}, s:n}", "module", "keras", "class_name", "DTypePolicy",
                     "config", "name", name, "registered_name");
}

json_t *strata__layer_config_json(strata_layer *layer)
{
    if (layer->to_json)
        return layer->to_json(layer);
    json_t *config = strata__config_to_json(layer->ctx, &layer->described, layer->config);
    const char *dtype = json_string_value(json_object_get(config, "dtype"));
    if (dtype && !layer->class->bare_dtype)
        json_object_set_new(config, "dtype", dtype_policy(dtype));
    return config;
}

json_t *strata__shape_json(const strata_shape *shape)
{
    json_t *list = json_array();
    for (int i = 0; i < shape->rank; i++)
        json_array_append_new(list, shape->dims[i] == STRATA_NONE ? json_null()
                                                                  : json_integer(shape->dims[i]));
    return list;
}

/* Shapes by the names of the inputs: {"query_shape": …, "value_shape": …}. */
static json_t *named_shapes(const strata_layer *layer)
{
    json_t *shapes = json_object();
    const char *name = layer->class->input_names;
    for (int i = 0; i < layer->build_count && name; i++) {
        char key[64];
        size_t length = strcspn(name, "|");
        snprintf(key, sizeof key, "%.*s_shape", (int)length, name);
        json_object_set_new(shapes, key, strata__shape_json(&layer->build_shapes[i]));
        name = name[length] ? name + length + 1 : NULL;
    }
    return shapes;
}

/* One input: its shape; several: a list of shapes, or shapes by name. */
static json_t *build_config(const strata_layer *layer)
{
    if (layer->class->input_names)
        return json_pack("{s:o}", "shapes_dict", named_shapes(layer));
    if (layer->build_count == 1 && !layer->class->takes_list)
        return json_pack("{s:o}", "input_shape", strata__shape_json(&layer->build_shapes[0]));
    json_t *shapes = json_array();
    for (int i = 0; i < layer->build_count; i++)
        json_array_append_new(shapes, strata__shape_json(&layer->build_shapes[i]));
    return json_pack("{s:o}", "input_shape", shapes);
}

json_t *strata__layer_serialize(strata_layer *layer)
{
    const strata_layer_class *class = layer->class;
    json_t *object = json_object();
    json_object_set_new(object, "module",
                        class->package ? json_null() : json_string("keras.layers"));
    json_object_set_new(object, "class_name", json_string(class->name));
    json_object_set_new(object, "config", strata__layer_config_json(layer));
    json_object_set_new(object, "registered_name",
                        class->package ? json_sprintf("%s>%s", class->package, class->name)
                                       : json_null());
    if (layer->built && layer->build_count > 0)
        json_object_set_new(object, "build_config", build_config(layer));
    return object;
}

static char *dumped(strata_layer *layer, json_t *json)
{
    char *text = strata__json_dump(layer->ctx, json, 0);
    json_decref(json);
    return text;
}

char *strata_layer_get_config(strata_layer *layer)
{
    return layer ? dumped(layer, strata__layer_config_json(layer)) : NULL;
}

char *strata_layer_serialize(strata_layer *layer)
{
    return layer ? dumped(layer, strata__layer_serialize(layer)) : NULL;
}

void strata_text_free(strata_context *ctx, char *text)
{
    strata__free(ctx, text);
}
