/* One step on a batch. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_STEP_H
#define STRATA_TRAINING_STEP_H

#include "training/trainer.h"

/*
 * Forward, losses and metrics, and when training backward and update. Nothing is summed over ranks
 * for losses and metrics: they go to the trackers. part (may be NULL): this rank's part of the
 * total loss. Errors equal on all ranks are returned; those of one rank are deferred to the
 * caller's strata__agree(). Inside a scope. Collective on the mesh.
 */
strata_status strata__step_run(strata__trainer *trainer, const strata__binding *binding,
                               const strata__batch *batch, bool training, double *part);

/*
 * A training step up to where gradients would be summed and values updated: what is exchanged until
 * then, and takes memory, does so as in any step. What layers change on the way, as moving
 * statistics, is changed; what arenas exchange is left out. The step is not counted. Inside a
 * scope. Collective on the mesh.
 */
strata_status strata__step_rehearse(strata__trainer *trainer, const strata__binding *binding,
                                    const strata__batch *batch);

#endif
