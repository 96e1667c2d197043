/* What the callbacks of a fit remember, as checkpoints hold it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CALLBACK_STATES_H
#define STRATA_TRAINING_CALLBACK_STATES_H

#include "base/json.h"
#include "training/hooks.h"
#include "training/kept_weights.h"

/* The state of a caller's own callback. */
typedef struct strata__callback_bytes {
    int64_t size; /* −1: it has none */
    void *data;   /* (size) */
} strata__callback_bytes;

/* By the callbacks of a fit, in their order. */
typedef struct strata__callback_states {
    strata__callback_bytes bytes[STRATA_MAX_CALLBACKS];
    strata__kept_weights kept[STRATA_MAX_CALLBACKS];
} strata__callback_states;

/* The weights that a callback has set aside; NULL: it is not one that does. */
strata__kept_weights *strata__kept_of(const strata__hooks *hooks, int index);

/* Asks the caller's own callbacks; rank 0's bytes count. hooks NULL: there are none. Errors are
 * agreed. Collective on the mesh. */
strata_status strata__callback_bytes_ask(strata_context *ctx, const strata__hooks *hooks,
                                         strata__callback_bytes *bytes);
void strata__callback_bytes_free(strata_context *ctx, strata__callback_bytes *bytes);

/* [{"name", "state": of a built-in class, "kept": has weights set aside, "bytes": how many}]. New
 * reference. */
json_t *strata__callback_states_json(const strata__hooks *hooks,
                                     const strata__callback_bytes *bytes);

/*
 * Gives each callback what `list` and `states` hold for it. Callbacks find their state by their
 * name, those of one name in order; the program may have added others since. Local.
 */
strata_status strata__callback_states_take(const strata__hooks *hooks, const json_t *list,
                                           strata__callback_states *states);

#endif
