/* Names of losses, metrics, optimizers and schedules. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/names.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

/* The name in a parsed text: of a class, or of a function. */
static const char *name_of(const json_t *json)
{
    if (json_is_string(json))
        return json_string_value(json);
    const char *function = json_string_value(json_object_get(json, "config"));
    return function ? function : json_string_value(json_object_get(json, "class_name"));
}

static const strata__class *find_any_case(const strata__family *family, const char *name)
{
    size_t length;
    for (int i = 0; i < family->class_count; i++) {
        const strata__class *class = family->classes[i];
        if (strcasecmp(class->name, name) == 0 ||
            strata__list_find(class->aliases, name, true, &length))
            return class;
    }
    return NULL;
}

static strata_status refuse_missing(strata_context *ctx, const strata__names *names,
                                    const char *name)
{
    strata__text list = {.ctx = ctx};
    for (int i = 0; i < names->family->class_count; i++)
        strata__text_format(&list, "%s%s", i ? ", " : "", names->family->classes[i]->name);
    char *known = strata__text_take(&list);
    strata__fail(ctx, STRATA_UNSUPPORTED, "%s '%s' of Keras is not supported yet; there are %s",
                 names->family->kind, name, known ? known : "others");
    strata__free(ctx, known);
    return STRATA_UNSUPPORTED;
}

static json_t *renamed(json_t *json, const char *name)
{
    if (json_is_string(json)) {
        json_decref(json);
        return json_string(name);
    }
    json_object_set_new(json, "class_name", json_string(name));
    return json;
}

strata_status strata__names_parse(strata_context *ctx, const strata__names *names, const char *text,
                                  json_t **json, char **given)
{
    json_t *parsed = strata__notation_parse(ctx, text);
    if (given)
        *given = NULL;
    *json = NULL;
    if (!parsed)
        return ctx->status;
    if (json_is_null(parsed)) {
        json_decref(parsed);
        return strata__fail(ctx, STRATA_INVALID, "None is no %s", names->family->kind);
    }
    const char *name = name_of(parsed);
    const strata__class *class = name ? strata__family_find(names->family, name) : NULL;
    if (name && !class && names->any_case)
        class = find_any_case(names->family, name);
    size_t length;
    if (name && !class && strata__list_find(names->missing, name, names->any_case, &length)) {
        refuse_missing(ctx, names, name);
        json_decref(parsed);
        return ctx->status;
    }
    if (given && json_is_string(parsed))
        *given = strata__strdup(ctx, json_string_value(parsed));
    *json = class && names->any_case ? renamed(parsed, class->name) : parsed;
    return ctx->status;
}

json_t *strata__keys_first(json_t *object, const char *keys)
{
    json_t *sorted = json_object();
    for (const char *key = keys; *key;) {
        size_t length = strcspn(key, "|");
        json_t *value = json_object_getn(object, key, length);
        if (value)
            json_object_setn(sorted, key, length, value);
        key += length + (key[length] == '|');
    }
    json_object_update_missing(sorted, object);
    json_decref(object);
    return sorted;
}
