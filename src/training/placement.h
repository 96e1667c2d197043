/* Whether a model can be trained on this mesh at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PLACEMENT_H
#define STRATA_TRAINING_PLACEMENT_H

#include "training/trainer.h"

/*
 * Pieces of any size fit, also of none: more rows, cols or ranks than there is to cut are no error.
 * What cannot be placed is what a node cannot hold: values, gradients and slots of the variables to
 * be trained, once for each rank there. STRATA_INVALID with both numbers then. (What 32 bits cannot
 * describe is refused when a variable is made, and where it is packed.) Collective on the mesh.
 */
strata_status strata__placement_check(const strata__trainer *trainer, int count,
                                      strata_variable *const *variables);

#endif
