/* The types of configuration members. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/field_types.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* A type of members. `read` and `valid` say false for a value that the row does not take. */
typedef struct field_type {
    const char *words; /* "must be …" */
    bool (*is_null)(const strata_field *field,
                    const void *member); /* NULL: a value is always there */
    void (*set_null)(void *member, size_t size);
    bool (*read)(const strata__row *row, const json_t *json, void *member);
    bool (*valid)(const strata__row *row, void *member);
    json_t *(*to_json)(const strata__row *row, const void *member);
} field_type;

enum { TYPES = STRATA_FIELD_TENSOR + 1 };

static const field_type types[TYPES];

/* --- ranges --- */

static bool has_minimum(const strata_field *f)
{
    return isfinite(f->min) && (f->min != 0 || f->max != 0 || f->exclusive_min);
}

static bool has_maximum(const strata_field *f)
{
    return isfinite(f->max) && (f->max > f->min || f->exclusive_max);
}

static bool in_range(const strata_field *f, double value)
{
    if (has_minimum(f) && !(f->exclusive_min ? value > f->min : value >= f->min))
        return false;
    return !has_maximum(f) || (f->exclusive_max ? value < f->max : value <= f->max);
}

static void describe_range(const strata_field *f, strata__text *words)
{
    if (has_minimum(f))
        strata__text_format(words, " %s %.10g", f->exclusive_min ? "above" : "of at least", f->min);
    if (has_minimum(f) && has_maximum(f))
        strata__text_puts(words, " and");
    if (has_maximum(f))
        strata__text_format(words, " %s %.10g", f->exclusive_max ? "below" : "of at most", f->max);
}

/* --- messages --- */

static bool null_allowed(const strata__row *row)
{
    const strata_field *f = row->field;
    if (f->required || !types[f->type].is_null)
        return false;
    return types[f->type].is_null(f, row->standard) || (f->family && f->family->none_name);
}

static void describe_choices(const char *choices, strata__text *words)
{
    strata__text_puts(words, "one of ");
    for (const char *c = choices; *c; c++) {
        if (*c == '|')
            strata__text_puts(words, ", ");
        else
            strata__text_add(words, c, 1);
    }
}

/* What the row takes: "a whole number of at least 1 or None". */
static char *describe(const strata__row *row)
{
    const strata_field *f = row->field;
    strata__text words = {.ctx = row->ctx};
    if (f->family)
        strata__text_format(&words, "a known %s", f->family->kind);
    else if (f->choices)
        describe_choices(f->choices, &words);
    else
        strata__text_puts(&words, f->json ? "JSON text" : types[f->type].words);
    if (f->type == STRATA_FIELD_INTS)
        strata__text_format(&words, " or a list of %zu", f->size / sizeof(int64_t));
    describe_range(f, &words);
    if (null_allowed(row))
        strata__text_puts(&words, " or None");
    return strata__text_take(&words);
}

char *strata__json_words(strata_context *ctx, const json_t *json)
{
    enum { SHOWN = 96 };
    char *words = json ? strata__json_dump(ctx, json, 0) : NULL;
    if (words && strlen(words) > SHOWN)
        memcpy(words + SHOWN, "...", 4);
    return words;
}

static strata_status refuse(const strata__row *row, const json_t *json)
{
    strata_status status =
        row->field->one_number && json_is_array(json) ? STRATA_UNSUPPORTED : STRATA_INVALID;
    char *wanted = describe(row), *given = strata__json_words(row->ctx, json);
    strata__fail(row->ctx, status, "%s: %s %smust be %s, got %s", row->owner, row->field->name,
                 row->field->required ? "is required and " : "", wanted ? wanted : "another value",
                 given ? given : "something else");
    strata__free(row->ctx, wanted);
    strata__free(row->ctx, given);
    return status;
}

strata_status strata__field_missing(const strata__row *row)
{
    char *wanted = strata__field_in_json(row->field) ? describe(row) : NULL;
    strata__fail(row->ctx, STRATA_INVALID, "%s: the required argument %s is missing; give %s",
                 row->owner, row->field->name, wanted ? wanted : "one");
    strata__free(row->ctx, wanted);
    return STRATA_INVALID;
}

/* --- bool --- */

static bool bool_read(const strata__row *row, const json_t *json, void *member)
{
    (void)row;
    *(bool *)member = json_is_true(json);
    return json_is_boolean(json);
}

static json_t *bool_to_json(const strata__row *row, const void *member)
{
    (void)row;
    return json_boolean(*(const bool *)member);
}

/* --- whole numbers --- */

static bool whole_from_json(const json_t *json, int64_t *value)
{
    double real = json_real_value(json);
    if (json_is_integer(json))
        *value = json_integer_value(json);
    else if (json_is_real(json) && real == nearbyint(real) && fabs(real) < 0x1p63)
        *value = (int64_t)real;
    else
        return false;
    return *value != STRATA_NONE; /* would become None */
}

static json_t *whole_to_json(int64_t value)
{
    return value == STRATA_NONE ? json_null() : json_integer(value);
}

static bool int_is_null(const strata_field *field, const void *member)
{
    (void)field;
    return *(const int64_t *)member == STRATA_NONE;
}

static void int_set_null(void *member, size_t size)
{
    (void)size;
    *(int64_t *)member = STRATA_NONE;
}

static bool int_read(const strata__row *row, const json_t *json, void *member)
{
    (void)row;
    return whole_from_json(json, member);
}

static bool int_valid(const strata__row *row, void *member)
{
    return in_range(row->field, (double)*(int64_t *)member);
}

static json_t *int_to_json(const strata__row *row, const void *member)
{
    (void)row;
    return whole_to_json(*(const int64_t *)member);
}

/* --- reals --- */

static bool real_is_null(const strata_field *field, const void *member)
{
    (void)field;
    return isnan(*(const double *)member);
}

static void real_set_null(void *member, size_t size)
{
    (void)size;
    *(double *)member = NAN;
}

static bool real_read(const strata__row *row, const json_t *json, void *member)
{
    (void)row;
    return strata__json_number(json, member);
}

static bool real_valid(const strata__row *row, void *member)
{
    return in_range(row->field, *(double *)member);
}

static json_t *real_to_json(const strata__row *row, const void *member)
{
    (void)row;
    double value = *(const double *)member;
    return isnan(value) ? json_null() : strata__json_real(value);
}

/* --- texts --- */

static bool text_is_null(const strata_field *field, const void *member)
{
    (void)field;
    return *(const char *const *)member == NULL;
}

static void text_set_null(void *member, size_t size)
{
    (void)size;
    *(const char **)member = NULL;
}

/* Objects and lists are kept as JSON text, so that any text of a configuration can be parsed again.
 */
static bool text_read(const strata__row *row, const json_t *json, void *member)
{
    double number;
    if (row->field->json) {
        *(char **)member = strata__json_dump(row->ctx, json, 0);
        return *(char **)member != NULL;
    }
    bool structured = json_is_object(json) || (json_is_array(json) && !row->field->family);
    if (structured && !row->field->choices)
        *(char **)member = strata__json_dump(row->ctx, json, 0);
    else if (json_is_string(json) && !strata__json_number(json, &number))
        *(char **)member = strata__strdup(row->ctx, json_string_value(json));
    return *(char **)member != NULL;
}

static bool object_valid(const strata__row *row, const char *text)
{
    strata__object object = {0};
    char *where = strata__format(row->ctx, "%s of %s", row->field->name, row->owner);
    bool valid =
        strata__object_parse_for(row->ctx, row->field->family, text, where, &object) == STRATA_OK;
    strata__object_free(row->ctx, &object);
    strata__free(row->ctx, where);
    return valid;
}

static bool json_valid(const strata__row *row, const char *text)
{
    json_error_t error;
    json_t *json = strata__json_decode(row->ctx, text, strlen(text), &error);
    json_decref(json);
    return json != NULL;
}

static bool text_valid(const strata__row *row, void *member)
{
    char *text = *(char **)member;
    if (row->field->family)
        return object_valid(row, text);
    if (row->field->json)
        return json_valid(row, text);
    if (row->field->choices) {
        size_t length;
        const char *choice = strata__list_find(row->field->choices, text, true, &length);
        if (choice)
            memcpy(text, choice, length);
        return choice != NULL;
    }
    json_t *string = json_string(text); /* refuses what is not UTF-8 */
    json_decref(string);
    return string != NULL;
}

static json_t *object_to_json(const strata__row *row, const char *text)
{
    strata__object object;
    if (strata__object_parse_for(row->ctx, row->field->family, text, row->field->name, &object) !=
        STRATA_OK)
        return NULL;
    json_t *json = strata__object_to_json(row->ctx, &object);
    strata__object_free(row->ctx, &object);
    return json;
}

static json_t *text_to_json(const strata__row *row, const void *member)
{
    const char *text = *(const char *const *)member;
    const strata__family *family = row->field->family;
    if (!text)
        return family && family->none_name ? json_string(family->none_name) : json_null();
    if (family)
        return object_to_json(row, text);
    json_error_t error;
    json_t *embedded = NULL;
    if (row->field->json || *text == '{' || *text == '[')
        embedded = strata__json_decode(row->ctx, text, strlen(text), &error);
    return embedded ? embedded : json_string(text);
}

/* --- lists of whole numbers --- */

static int ints_count(const strata_field *field)
{
    return (int)(field->size / sizeof(int64_t));
}

static bool all_zero(const int64_t *values, int count)
{
    for (int i = 0; i < count; i++) {
        if (values[i] != 0)
            return false;
    }
    return true;
}

/* Fills in what {3} leaves open for a row with `repeat`: 0 is the entry before, all 0 the row's
 * `fill`. */
static void ints_resolve(const strata_field *field, int64_t *values)
{
    int count = ints_count(field);
    if (!field->repeat || (all_zero(values, count) && field->fill_is_none))
        return;
    if (all_zero(values, count))
        values[0] = field->fill;
    for (int i = 1; i < count; i++) {
        if (values[i] == 0)
            values[i] = values[i - 1];
    }
}

static bool ints_is_null(const strata_field *field, const void *member)
{
    return field->repeat && all_zero(member, ints_count(field)) &&
           (field->fill_is_none || !field->fill);
}

static void ints_set_null(void *member, size_t size)
{
    memset(member, 0, size);
}

static bool ints_read(const strata__row *row, const json_t *json, void *member)
{
    int64_t *values = member;
    int count = ints_count(row->field);
    if (json_is_array(json) && json_array_size(json) != (size_t)count)
        return false;
    for (int i = 0; i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, (size_t)i) : json;
        if (!whole_from_json(item, &values[i]) || (row->field->repeat && values[i] == 0))
            return false;
    }
    return true;
}

static bool ints_valid(const strata__row *row, void *member)
{
    const int64_t *values = member;
    for (int i = 0; i < ints_count(row->field); i++) {
        if ((row->field->repeat && values[i] == 0) || !in_range(row->field, (double)values[i]))
            return false;
    }
    return true;
}

static json_t *whole_list(const int64_t *values, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, whole_to_json(values[i]));
    return list;
}

static json_t *ints_to_json(const strata__row *row, const void *member)
{
    int64_t values[STRATA_MAX_RANK];
    int count = ints_count(row->field);
    memcpy(values, member, row->field->size);
    ints_resolve(row->field, values);
    return ints_is_null(row->field, values) ? json_null() : whole_list(values, count);
}

/* --- shapes --- */

/* {28, 28} in C leaves the rank 0: it is counted up to the first size 0. */
static int shape_rank(const strata_shape *shape)
{
    int rank = shape->rank;
    if (rank == 0) {
        while (rank < STRATA_MAX_RANK && shape->dims[rank] != 0)
            rank++;
    }
    return rank;
}

static bool shape_is_null(const strata_field *field, const void *member)
{
    (void)field;
    return ((const strata_shape *)member)->rank == -1;
}

static void shape_set_null(void *member, size_t size)
{
    memset(member, 0, size);
    ((strata_shape *)member)->rank = -1;
}

static bool shape_read(const strata__row *row, const json_t *json, void *member)
{
    int64_t number;
    if (row->field->or_number && whole_from_json(json, &number)) {
        *(strata_shape *)member = STRATA_SHAPE(number);
        return true;
    }
    strata_shape shape = {.rank = (int)json_array_size(json)};
    if (!json_is_array(json) || json_array_size(json) > STRATA_MAX_RANK)
        return false;
    for (int i = 0; i < shape.rank; i++) {
        const json_t *item = json_array_get(json, (size_t)i);
        if (json_is_null(item))
            shape.dims[i] = STRATA_NONE;
        else if (!whole_from_json(item, &shape.dims[i]))
            return false;
    }
    *(strata_shape *)member = shape;
    return true;
}

static bool shape_valid(const strata__row *row, void *member)
{
    strata_shape *shape = member;
    if (shape->rank < 0 || shape->rank > STRATA_MAX_RANK)
        return false;
    shape->rank = shape_rank(shape);
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] != STRATA_NONE && !in_range(row->field, (double)shape->dims[i]))
            return false;
    }
    return true;
}

static json_t *shape_to_json(const strata__row *row, const void *member)
{
    (void)row;
    const strata_shape *shape = member;
    int rank = shape_rank(shape);
    if (rank == -1)
        return json_null();
    return rank < -1 || rank > STRATA_MAX_RANK ? NULL : whole_list(shape->dims, rank);
}

/* --- all types --- */

static const field_type types[TYPES] = {
    [STRATA_FIELD_BOOL] = {"True or False", NULL, NULL, bool_read, NULL, bool_to_json},
    [STRATA_FIELD_INT] = {"a whole number", int_is_null, int_set_null, int_read, int_valid,
                          int_to_json},
    [STRATA_FIELD_REAL] = {"a number", real_is_null, real_set_null, real_read, real_valid,
                           real_to_json},
    [STRATA_FIELD_TEXT] = {"a text", text_is_null, text_set_null, text_read, text_valid,
                           text_to_json},
    [STRATA_FIELD_INTS] = {"a whole number", ints_is_null, ints_set_null, ints_read, ints_valid,
                           ints_to_json},
    [STRATA_FIELD_SHAPE] = {"a list of at most 8 sizes", shape_is_null, shape_set_null, shape_read,
                            shape_valid, shape_to_json},
    [STRATA_FIELD_HANDLE] = {0},
    [STRATA_FIELD_TENSOR] = {0},
};

strata_status strata__field_read(const strata__row *row, const json_t *json, void *member)
{
    const field_type *type = &types[row->field->type];
    if (row->field->type == STRATA_FIELD_TEXT) {
        strata__free(row->ctx, *(char **)member);
        *(char **)member = NULL;
    }
    if (json_is_null(json) && null_allowed(row)) {
        type->set_null(member, row->field->size);
        return STRATA_OK;
    }
    return type->read(row, json, member) ? STRATA_OK : refuse(row, json);
}

strata_status strata__field_check(const strata__row *row, void *member)
{
    const field_type *type = &types[row->field->type];
    if (row->field->type == STRATA_FIELD_INTS)
        ints_resolve(row->field, member);
    if (!type->valid)
        return STRATA_OK;
    bool null = type->is_null(row->field, member);
    if (null ? null_allowed(row) : type->valid(row, member))
        return STRATA_OK;
    json_t *given = type->to_json(row, member);
    refuse(row, given);
    json_decref(given);
    return STRATA_INVALID;
}

json_t *strata__field_to_json(const strata__row *row, const void *member)
{
    return types[row->field->type].to_json ? types[row->field->type].to_json(row, member) : NULL;
}
