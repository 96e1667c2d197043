/* What the loops of fit, evaluate and predict share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_LOOP_H
#define STRATA_TRAINING_LOOP_H

#include "training/hooks.h"
#include "training/progress.h"
#include "training/step.h"
#include "training/step_end.h"

/* Resets the trackers and runs the feed's batches without training, or some of them when
 * trainer->stopping comes up. progress may be NULL. Collective on the mesh. */
strata_status strata__evaluate_feed(strata__trainer *trainer, strata__feed *feed,
                                    const strata__binding *binding, strata__hooks *hooks,
                                    strata__progress *progress);

#endif
