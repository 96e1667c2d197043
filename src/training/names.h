/* Names of losses, metrics, optimizers and schedules: what is here, what only Keras has. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_NAMES_H
#define STRATA_TRAINING_NAMES_H

#include "base/fields.h"

typedef struct strata__names {
    const strata__family *family;
    const char *missing; /* "Huber|huber|…": Keras has them, this library does not yet */
    bool any_case;       /* "ADAM" is "adam" */
} strata__names;

/*
 * Keras notation or JSON as one JSON value that strata__object_from_json() takes, names in any case
 * made the class's own. STRATA_UNSUPPORTED for a missing one, listing what there is. `given` (may
 * be NULL): a copy of the text when it is a bare name, else NULL; owned by the caller. New
 * reference in *json.
 */
strata_status strata__names_parse(strata_context *ctx, const strata__names *names, const char *text,
                                  json_t **json, char **given);

/* The object with these keys ("name|reduction") first, in that order, as Keras writes them. Steals
 * and returns a reference. */
json_t *strata__keys_first(json_t *object, const char *keys);

#endif
