/* Checkpoints of a run: weights, optimizer, counters and cursor in one file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CHECKPOINT_H
#define STRATA_TRAINING_CHECKPOINT_H

#include "training/hooks.h"
#include "training/kept_weights.h"
#include "training/trainer.h"

/* What a loaded checkpoint says of the run, until fit takes it. */
typedef struct strata__resume {
    json_t *state;
    strata__kept_weights kept[STRATA_MAX_CALLBACKS]; /* by the callbacks that it was saved with */
} strata__resume;

/*
 * Goes on where a loaded checkpoint stood, if there is one: epoch, batches done in it, metric sums,
 * history, callbacks' state. The order of samples must be the same: STRATA_INVALID when the fit has
 * other data or another batch size and the checkpoint stands within an epoch. Collective on the
 * mesh.
 */
strata_status strata__resume_take(strata__trainer *trainer, const strata__hooks *hooks,
                                  int *first_epoch);

void strata__resume_free(strata_context *ctx, strata__resume *resume); /* NULL is fine */

#endif
