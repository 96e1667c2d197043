/* Checkpoints of a run: weights, optimizer, counters and cursor in one file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CHECKPOINT_H
#define STRATA_TRAINING_CHECKPOINT_H

#include "training/hooks.h"
#include "training/trainer.h"

/* Goes on where a loaded checkpoint stood, if there is one: epoch, batch in it, counters, metric sums, callbacks' state. Local. */
strata_status strata__resume_take(strata__trainer *trainer, strata__hooks *hooks, int *first_epoch);

#endif
