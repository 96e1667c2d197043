/* The types of configuration members: how each is read, checked and printed. For fields.c and
 * objects.c only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_FIELD_TYPES_H
#define STRATA_BASE_FIELD_TYPES_H

#include "base/fields.h"

/* A row of a field table at work. */
typedef struct strata__row {
    strata_context *ctx;
    const char *owner; /* what the configuration belongs to, for messages */
    const strata_field *field;
    const void *standard; /* the member in the class's defaults */
} strata__row;

/* Sets the member from JSON. Does not look at ranges and choices. */
strata_status strata__field_read(const strata__row *row, const json_t *json, void *member);

/* Checks the member and brings it to its normal form: sizes filled in, choices spelled as in the
 * table. */
strata_status strata__field_check(const strata__row *row, void *member);

/* Handles and tensors are in no file. */
static inline bool strata__field_in_json(const strata_field *field)
{
    return field->type != STRATA_FIELD_HANDLE && field->type != STRATA_FIELD_TENSOR;
}

/* The member as get_config writes it; NULL for one that is in no file, or after an error. */
json_t *strata__field_to_json(const strata__row *row, const void *member);

/* STRATA_INVALID: a required member was not given. */
strata_status strata__field_missing(const strata__row *row);

/* strata__object_parse() for a member: `where` ("kernel_initializer of layer Dense") stands in
 * messages; may be NULL. */
strata_status strata__object_parse_for(strata_context *ctx, const strata__family *family,
                                       const char *text, const char *where, strata__object *object);

/* JSON as one line of at most about 100 bytes, for messages. Owned by the caller; may be NULL. */
char *strata__json_words(strata_context *ctx, const json_t *json);

#endif
