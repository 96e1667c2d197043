/* Callbacks from the inside: calling their hooks, built-in classes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CALLBACK_H
#define STRATA_TRAINING_CALLBACK_H

#include <strata/training.h>

#include "base/fields.h"

extern const strata__family strata__callback_family;

/* Methods (strata__class.methods) of a callback class: fills the hooks of a new callback from its
 * configuration, which the callback owns from then on (state->config …). Errors are those of its
 * arguments. */
typedef struct strata__callback_methods {
    strata_status (*make)(strata_context *ctx, strata__object *object, strata_callback *callback);
} strata__callback_methods;

/* "auto" resolved by the monitored name: whether a larger value is better (accuracy, auc, …). */
bool strata__monitor_is_up(const char *mode, const char *monitor);

/* Destroys all callbacks of the context. */
void strata__callbacks_free(strata_context *ctx);

/* Callback state that decides the future of a run, for checkpoints: JSON of each, in the order of
 * `callbacks`. */

#endif
