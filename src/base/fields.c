/* Configuration structs: copied, checked, from and to JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fields.h"

#include <string.h>

#include "base/field_types.h"
#include "base/memory.h"

static strata__row row_of(strata_context *ctx, const strata__class *class, int index,
                          const char *owner)
{
    const strata_field *field = &class->fields[index];
    return (strata__row){.ctx = ctx,
                         .owner = owner,
                         .field = field,
                         .standard = (const char *)class->defaults + field->offset};
}

static void *member_of(void *config, const strata_field *field)
{
    return (char *)config + field->offset;
}

/* A copy with texts of its own. */
static void *config_clone(strata_context *ctx, const strata__class *class, const void *from)
{
    char *config = strata__alloc(ctx, class->config_size);
    if (!config)
        return NULL;
    memcpy(config, from, class->config_size);
    bool complete = true;
    for (int i = 0; i < class->field_count; i++) {
        if (class->fields[i].type != STRATA_FIELD_TEXT)
            continue;
        char **text = member_of(config, &class->fields[i]);
        const char *borrowed = *text;
        *text = strata__strdup(ctx, borrowed);
        complete = complete && (*text || !borrowed);
    }
    if (complete)
        return config;
    strata__config_free(ctx, class, config);
    return NULL;
}

static strata_status config_check(strata_context *ctx, const strata__class *class,
                                  const char *owner, void *config)
{
    for (int i = 0; i < class->field_count; i++) {
        strata__row row = row_of(ctx, class, i, owner);
        STRATA_TRY(strata__field_check(&row, member_of(config, row.field)));
    }
    return STRATA_OK;
}

/* A file holds no handles, so only configurations made in C can lack one. */
static strata_status check_handles(strata_context *ctx, const strata__class *class,
                                   const char *owner, void *config)
{
    for (int i = 0; i < class->field_count; i++) {
        strata__row row = row_of(ctx, class, i, owner);
        bool pointer = row.field->type == STRATA_FIELD_HANDLE && row.field->size == sizeof(void *);
        if (pointer && row.field->required && !*(void **)member_of(config, row.field))
            return strata__field_missing(&row);
    }
    return STRATA_OK;
}

strata_status strata__config_copy(strata_context *ctx, const strata__class *class, const void *from,
                                  const char *owner, void **config)
{
    *config = NULL;
    if (class->config_size == 0)
        return STRATA_OK;
    void *copy = config_clone(ctx, class, from);
    if (!copy)
        return STRATA_NO_MEMORY;
    strata_status status = check_handles(ctx, class, owner, copy);
    if (status == STRATA_OK)
        status = config_check(ctx, class, owner, copy);
    if (status == STRATA_OK)
        *config = copy;
    else
        strata__config_free(ctx, class, copy);
    return status;
}

static int field_index(const strata__class *class, const char *name)
{
    for (int i = 0; i < class->field_count; i++) {
        if (strata__field_in_json(&class->fields[i]) && strcmp(class->fields[i].name, name) == 0)
            return i;
    }
    return -1;
}

/* Sets the members that `json` names; `others` gets the keys that the table does not have. */
static strata_status read_members(strata_context *ctx, const strata__class *class,
                                  const json_t *json, const char *owner, json_t *others,
                                  void *config)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        int index = field_index(class, key);
        if (index < 0) {
            json_object_set(others, key, value);
            continue;
        }
        strata__row row = row_of(ctx, class, index, owner);
        STRATA_TRY(strata__field_read(&row, value, member_of(config, row.field)));
    }
    return STRATA_OK;
}

static strata_status check_required(strata_context *ctx, const strata__class *class,
                                    const json_t *json, const char *owner)
{
    for (int i = 0; i < class->field_count; i++) {
        strata__row row = row_of(ctx, class, i, owner);
        if (row.field->required && strata__field_in_json(row.field) &&
            !json_object_get(json, row.field->name))
            return strata__field_missing(&row);
    }
    return STRATA_OK;
}

static const char *nearest_argument(strata_context *ctx, const strata__class *class,
                                    const char *name)
{
    const char **names = strata__alloc(ctx, (size_t) class->field_count * sizeof *names);
    if (!names)
        return NULL;
    for (int i = 0; i < class->field_count; i++)
        names[i] = class->fields[i].name;
    const char *nearest = strata__nearest(name, names, class->field_count);
    strata__free(ctx, names);
    return nearest;
}

static strata_status refuse_unknown(strata_context *ctx, const strata__class *class,
                                    const char *owner, const json_t *unknown)
{
    const char *name = json_object_iter_key(json_object_iter((json_t *)unknown));
    const char *hint = nearest_argument(ctx, class, name);
    char *words = strata__json_words(ctx, unknown);
    strata__fail(ctx, STRATA_INVALID, "%s: Unrecognized keyword arguments passed to %s: %s%s%s%s",
                 owner, class->name, words ? words : name, hint ? "; did you mean '" : "",
                 hint ? hint : "", hint ? "'?" : "");
    strata__free(ctx, words);
    return STRATA_INVALID;
}

/* Newer versions of Keras write arguments that this one does not know; null or false, they ask for
 * nothing. */
static strata_status check_unknown(strata_context *ctx, const strata__class *class,
                                   const char *owner, json_t *unknown)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(unknown, next, key, value)
    {
        if (json_is_null(value) || json_is_false(value)) {
            strata__inform(ctx, "%s: argument %s of %s is not known; it is off and was left out",
                           owner, key, class->name);
            json_object_del(unknown, key);
        }
    }
    return json_object_size(unknown) ? refuse_unknown(ctx, class, owner, unknown) : STRATA_OK;
}

static strata_status fill_from_json(strata_context *ctx, const strata__class *class,
                                    const json_t *json, const char *owner, json_t *unknown,
                                    void *config)
{
    json_t *others = unknown ? json_incref(unknown) : json_object();
    strata_status status = read_members(ctx, class, json, owner, others, config);
    if (status == STRATA_OK && !unknown)
        status = check_unknown(ctx, class, owner, others);
    json_decref(others);
    STRATA_TRY(status);
    STRATA_TRY(check_required(ctx, class, json, owner));
    return config_check(ctx, class, owner, config);
}

strata_status strata__config_from_json(strata_context *ctx, const strata__class *class,
                                       const json_t *json, const char *owner, json_t *unknown,
                                       void **config)
{
    *config = NULL;
    if (!json_is_object(json))
        return strata__fail(ctx, STRATA_INVALID, "%s: the configuration of %s is not an object",
                            owner, class->name);
    void *filled = class->config_size ? config_clone(ctx, class, class->defaults) : NULL;
    if (class->config_size && !filled)
        return STRATA_NO_MEMORY;
    strata_status status = fill_from_json(ctx, class, json, owner, unknown, filled);
    if (status == STRATA_OK)
        *config = filled;
    else
        strata__config_free(ctx, class, filled);
    return status;
}

void strata__fields_to_json(strata_context *ctx, const strata_field *fields, int count,
                            const void *defaults, const void *config, json_t *into)
{
    const strata__class table = {.defaults = defaults, .fields = fields, .field_count = count};
    for (int i = 0; i < count; i++) {
        strata__row row = row_of(ctx, &table, i, "");
        json_t *value = strata__field_to_json(&row, (const char *)config + row.field->offset);
        json_t *standard =
            row.field->omit_default ? strata__field_to_json(&row, row.standard) : NULL;
        if (value && !(standard && json_equal(value, standard)))
            json_object_set(into, row.field->name, value);
        json_decref(value);
        json_decref(standard);
    }
}

json_t *strata__config_to_json(strata_context *ctx, const strata__class *class, const void *config)
{
    json_t *json = json_object();
    strata__fields_to_json(ctx, class->fields, class->field_count, class->defaults, config, json);
    return json;
}

void strata__config_free(strata_context *ctx, const strata__class *class, void *config)
{
    if (!config)
        return;
    for (int i = 0; i < class->field_count; i++) {
        if (class->fields[i].type == STRATA_FIELD_TEXT)
            strata__free(ctx, *(char **)member_of(config, &class->fields[i]));
    }
    strata__free(ctx, config);
}
