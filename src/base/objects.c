/* Classes of a family, named by text or JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/field_types.h"
#include "base/fields.h"
#include "base/memory.h"
#include "base/text.h"

static bool answers_to(const strata__class *class, const char *name)
{
    char snake[128];
    size_t length;
    if (strcmp(class->name, name) == 0 || strata__list_find(class->aliases, name, false, &length))
        return true;
    strata__snake_case_into(class->name, snake, sizeof snake);
    return strcmp(snake, name) == 0;
}

const strata__class *strata__family_find(const strata__family *family, const char *name)
{
    for (int i = 0; i < family->class_count; i++) {
        if (answers_to(family->classes[i], name))
            return family->classes[i];
    }
    return NULL;
}

static const char *nearest_class(strata_context *ctx, const strata__family *family,
                                 const char *name)
{
    const char **names = strata__alloc(ctx, (size_t)family->class_count * sizeof *names);
    if (!names)
        return NULL;
    for (int i = 0; i < family->class_count; i++)
        names[i] = family->classes[i]->name;
    const char *nearest = strata__nearest(name, names, family->class_count);
    strata__free(ctx, names);
    return nearest;
}

/* "where: " in front of a message, if there is a where. */
#define WHERE(where) (where) ? (where) : "", (where) ? ": " : ""

static strata_status refuse_name(strata_context *ctx, const strata__family *family,
                                 const char *name, const char *where)
{
    const char *hint = nearest_class(ctx, family, name);
    if (hint)
        return strata__fail(ctx, STRATA_INVALID, "%s%sunknown %s '%.100s'; did you mean '%s'?",
                            WHERE(where), family->kind, name, hint);
    strata__text known = {.ctx = ctx};
    for (int i = 0; i < family->class_count; i++)
        strata__text_format(&known, "%s%s", i ? ", " : "", family->classes[i]->name);
    char *names = strata__text_take(&known);
    strata__fail(ctx, STRATA_INVALID, "%s%sunknown %s '%.100s'; known are %.600s", WHERE(where),
                 family->kind, name, names ? names : "others");
    strata__free(ctx, names);
    return STRATA_INVALID;
}

static strata_status refuse_value(strata_context *ctx, const strata__family *family,
                                  const json_t *json, const char *where, const char *why)
{
    char *given = strata__json_words(ctx, json);
    strata__fail(ctx, STRATA_INVALID, "%s%s%s is no %s: %s", WHERE(where), given ? given : "this",
                 family->kind, why);
    strata__free(ctx, given);
    return STRATA_INVALID;
}

/* An object of the class, configured by `config`. */
static strata_status make(strata_context *ctx, const strata__class *class, const json_t *config,
                          const char *where, strata__object *object)
{
    char *owner = strata__format(ctx, "%s%s%s%s", class->name, where ? " (" : "",
                                 where ? where : "", where ? ")" : "");
    if (!owner)
        return STRATA_NO_MEMORY;
    strata_status status =
        strata__config_from_json(ctx, class, config, owner, NULL, &object->config);
    if (status == STRATA_OK)
        object->class = class;
    strata__free(ctx, owner);
    return status;
}

static strata_status make_default(strata_context *ctx, const strata__class *class,
                                  const char *where, strata__object *object)
{
    json_t *nothing = json_object();
    strata_status status = make(ctx, class, nothing, where, object);
    json_decref(nothing);
    return status;
}

/* The row that takes the positional argument `place`. */
static const strata_field *positional_field(const strata__class *class, size_t place)
{
    for (int i = 0; i < class->field_count; i++) {
        if (class->fields[i].type != STRATA_FIELD_HANDLE && place-- == 0)
            return &class->fields[i];
    }
    return NULL;
}

/* Moves positional arguments to the keys of their rows. */
static strata_status name_arguments(strata_context *ctx, const strata__class *class,
                                    const json_t *arguments, json_t *config)
{
    size_t place;
    json_t *value;
    json_array_foreach(arguments, place, value)
    {
        const strata_field *field = positional_field(class, place);
        if (!field)
            return strata__fail(ctx, STRATA_INVALID,
                                "%s takes at most %zu positional arguments, %zu were given",
                                class->name, place, json_array_size(arguments));
        if (json_object_get(config, field->name))
            return strata__fail(ctx, STRATA_INVALID, "%s got two values for argument '%s'",
                                class->name, field->name);
        json_object_set(config, field->name, value);
    }
    return STRATA_OK;
}

static strata_status make_called(strata_context *ctx, const strata__class *class,
                                 const json_t *json, const char *where, strata__object *object)
{
    const json_t *given = json_object_get(json, "config");
    json_t *config = json_is_null(given) || !given ? json_object() : json_copy((json_t *)given);
    strata_status status = name_arguments(ctx, class, json_object_get(json, "args"), config);
    if (status == STRATA_OK)
        status = make(ctx, class, config, where, object);
    json_decref(config);
    return status;
}

/* Keras writes more about an object than its class and configuration; these keys change nothing
 * here. */
static bool is_object_key(const char *key)
{
    size_t length;
    return strata__list_find(
               "class_name|config|args|module|registered_name|build_config|shared_object_id", key,
               false, &length) != NULL;
}

static const char *strange_key(const json_t *json)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        if (!is_object_key(key) && !json_is_null(value))
            return key;
    }
    return NULL;
}

/* A registered class is known by its registered name, a function by its configuration. */
static const char *name_of(const json_t *json)
{
    const char *registered = json_string_value(json_object_get(json, "registered_name"));
    const char *function = json_string_value(json_object_get(json, "config"));
    if (function)
        return function;
    return registered && strchr(registered, '>')
               ? registered
               : json_string_value(json_object_get(json, "class_name"));
}

/* A name that is no class: Keras takes whole layers for activations, and code. */
static strata_status refuse_object(strata_context *ctx, const strata__family *family,
                                   const json_t *json, const char *name, const char *where)
{
    const char *module = json_string_value(json_object_get(json, "module"));
    if (strcmp(name, "__lambda__") == 0)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "%s%sa Python lambda is no %s here: code in files is never run",
                            WHERE(where), family->kind);
    if (module && strcmp(module, "keras.layers") == 0)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "%s%sthe layer %.100s in place of an %s is not supported; put it "
                            "behind as a layer of its own",
                            WHERE(where), name, family->kind);
    return refuse_name(ctx, family, name, where);
}

static strata_status from_object(strata_context *ctx, const strata__family *family,
                                 const json_t *json, const char *where, strata__object *object)
{
    const char *strange = strange_key(json), *name = name_of(json);
    if (!name)
        return refuse_value(ctx, family, json, where, "it has no class_name");
    if (strange)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s%sthe object of %s '%.100s' has the unknown key '%.100s'; arguments belong "
            "into its config",
            WHERE(where), family->kind, name, strange);
    const strata__class *class = strata__family_find(family, name);
    if (!class)
        return refuse_object(ctx, family, json, name, where);
    if (json_is_string(json_object_get(json, "config")))
        return make_default(ctx, class, where, object);
    return make_called(ctx, class, json, where, object);
}

static strata_status from_text(strata_context *ctx, const strata__family *family, const char *text,
                               const char *where, strata__object *object)
{
    json_t *json = strata__notation_parse(ctx, text);
    strata_status status = STRATA_OK;
    const strata__class *class = NULL;
    if (json_is_string(json)) {
        class = strata__family_find(family, json_string_value(json));
        status = class ? make_default(ctx, class, where, object)
                       : refuse_name(ctx, family, json_string_value(json), where);
    } else if (json_is_object(json)) {
        status = from_object(ctx, family, json, where, object);
    } else if (!json_is_null(json)) {
        status =
            json ? refuse_value(ctx, family, json, where, "give a name or a call") : STRATA_INVALID;
    }
    json_decref(json);
    return status;
}

strata_status strata__object_parse_for(strata_context *ctx, const strata__family *family,
                                       const char *text, const char *where, strata__object *object)
{
    *object = (strata__object){0};
    if (!text)
        return STRATA_OK;
    const strata__class *class = strata__family_find(family, text);
    return class ? make_default(ctx, class, where, object)
                 : from_text(ctx, family, text, where, object);
}

strata_status strata__object_parse(strata_context *ctx, const strata__family *family,
                                   const char *text, strata__object *object)
{
    return strata__object_parse_for(ctx, family, text, NULL, object);
}

strata_status strata__object_from_json(strata_context *ctx, const strata__family *family,
                                       const json_t *json, strata__object *object)
{
    *object = (strata__object){0};
    if (json_is_null(json))
        return STRATA_OK;
    if (json_is_string(json))
        return strata__object_parse(ctx, family, json_string_value(json), object);
    if (json_is_object(json))
        return from_object(ctx, family, json, NULL, object);
    return refuse_value(ctx, family, json, NULL, "give a name or an object");
}

void strata__object_free(strata_context *ctx, strata__object *object)
{
    if (object->class)
        strata__config_free(ctx, object->class, object->config);
    *object = (strata__object){0};
}

json_t *strata__object_to_json(strata_context *ctx, const strata__object *object)
{
    const strata__class *class = object->class;
    if (!class)
        return json_null();
    if (class->is_function)
        return json_string(class->name);
    const char *package_end = strchr(class->name, '>'); /* "package>Name" is a registered name */
    return json_pack("{s:s?,s:s,s:o,s:s?}", "module", class->module, "class_name",
                     package_end ? package_end + 1 : class->name, "config",
                     strata__config_to_json(ctx, class, object->config), "registered_name",
                     package_end ? class->name : NULL);
}
