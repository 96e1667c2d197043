/* Replicas that have drifted apart: digests of the copies, compared every so many steps. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_DRIFT_H
#define STRATA_TRAINING_DRIFT_H

#include "training/step_end.h"
#include "training/trainer.h"

/*
 * Ends a training step: strata__step_agree(). After every ctx->settings.check_replicas steps a
 * digest of this rank's copies of the model's ON_WRITE variables goes with it: one number for what
 * data × rows hold alike and one for what data does, for each position on the other axes. Where the
 * copies of a replica group differ, each variable is compared, and the error, STRATA_DIVERGED,
 * names the first one that differs, the ranks and the step. Collective on the mesh.
 */
strata_status strata__train_agree(strata__trainer *trainer, strata__step_flags *flags);

#endif
