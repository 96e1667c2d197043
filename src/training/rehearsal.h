/* A rehearsed step: what layers exchange and hold, and how their outputs lie. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_REHEARSAL_H
#define STRATA_TRAINING_REHEARSAL_H

#include "training/plan.h"

/* Fills traffic, activations, products and outputs of the plan's rows. Inside a scope. Collective
 * on the mesh. */
strata_status strata__rehearse(strata__plan *plan, strata__trainer *trainer,
                               const strata__binding *binding, const strata__batch *batch);

#endif
