/* Field tables at work: configuration structs from and to JSON, checked and copied. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_FIELDS_H
#define STRATA_BASE_FIELDS_H

#include <strata/config.h>

#include "base/json.h"

/* A class that is configured by a table. Layers, initializers, losses … embed or point to one. */
typedef struct strata__class {
    const char *name;     /* Keras class name, "GlorotUniform" */
    const char *aliases;  /* other names, "glorot|xavier"; NULL: none. snake_case counts anyway */
    const char *module;   /* as Keras writes it, "keras.initializers" */
    size_t config_size;   /* 0: no arguments, and then its configurations are NULL */
    const void *defaults; /* a config with every default in place */
    const strata_field *fields;
    int field_count;
    bool is_function;    /* serialised as its bare name (activations) */
    const void *methods; /* the family's own function table */
} strata__class;

/* All classes that one kind of argument can name; a constant in the room that owns the classes. */
typedef struct strata__family {
    const char *kind; /* "initializer": for messages */
    const strata__class *const *classes;
    int class_count;
    const char *none_name; /* what NULL/None stands for ("linear"), or NULL when None stays null */
} strata__family;

/* A class of the family with its configuration. */
typedef struct strata__object {
    const strata__class *class;
    void *config; /* owned, its texts too */
} strata__object;

/* The class of that name or alias, or NULL without an error. */
const strata__class *strata__family_find(const strata__family *family, const char *name);

/*
 * Object from text (Keras notation or JSON). NULL text: object->class is NULL. Errors
 * (STRATA_INVALID): unknown name with a hint of the nearest, unknown argument, missing required
 * one, wrong type, out of range; the message names class, argument and value. Local.
 */
strata_status strata__object_parse(strata_context *ctx, const strata__family *family,
                                   const char *text, strata__object *object);
strata_status strata__object_from_json(strata_context *ctx, const strata__family *family,
                                       const json_t *json, strata__object *object);
void strata__object_free(strata_context *ctx, strata__object *object);

/*
 * {"module", "class_name", "config", "registered_name": null}, a bare string for functions, null
 * for no class. New reference.
 */
json_t *strata__object_to_json(strata_context *ctx, const strata__object *object);

/*
 * A config struct, described by the class: deep copy, checked. `owner` names the thing in messages
 * ("layer 'dense'"). copy: from C (the struct may have borrowed texts); from_json: starts from the
 * defaults. `unknown` (may be NULL): keys that the table does not have are collected there; without
 * it they are left out when null or false (newer versions of Keras write such), else refused.
 * Members come out in their normal form: sizes that {3} left open filled in, ranks counted, choices
 * spelled as in the table.
 */
strata_status strata__config_copy(strata_context *ctx, const strata__class *class, const void *from,
                                  const char *owner, void **config);
strata_status strata__config_from_json(strata_context *ctx, const strata__class *class,
                                       const json_t *json, const char *owner, json_t *unknown,
                                       void **config);
json_t *strata__config_to_json(strata_context *ctx, const strata__class *class, const void *config);
void strata__config_free(strata_context *ctx, const strata__class *class, void *config);

/*
 * Adds the members to `into` in table order. A text with a family is normalised: parsed, completed
 * with defaults and printed as Keras prints the object. A text without a family that starts with
 * '{' or '[' is embedded as JSON.
 */
void strata__fields_to_json(strata_context *ctx, const strata_field *fields, int count,
                            const void *defaults, const void *config, json_t *into);

#endif
