/* Checkpoints of a run: weights, optimizer, counters and cursor in one file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CHECKPOINT_H
#define STRATA_TRAINING_CHECKPOINT_H

#include "storage/rotation.h"
#include "training/callback_states.h"
#include "training/trainer.h"

/* What a loaded checkpoint says of the run, until fit takes it. */
typedef struct strata__resume {
    json_t *state;
    char *path;                        /* as it was asked for: a file or a series */
    strata__origin origin;             /* the file in its series */
    strata__callback_states callbacks; /* of those that it was saved with */
} strata__resume;

/* Saves the run as the next file of a series; errors are agreed. Collective on the mesh. */
strata_status strata__checkpoint_rotate(strata__trainer *trainer, strata__rotation *rotation);

/*
 * Goes on where a loaded checkpoint stood, if there is one: epoch, batches done in it, metric sums,
 * history, callbacks' state. STRATA_INVALID when the checkpoint stands within an epoch and the fit
 * has another order of samples or other metrics. Collective on the mesh.
 */
strata_status strata__resume_take(strata__trainer *trainer, const strata__hooks *hooks,
                                  int *first_epoch);

void strata__resume_free(strata_context *ctx, strata__resume *resume); /* NULL is fine */

#endif
