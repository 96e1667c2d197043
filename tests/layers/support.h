/* What the tests of the layers room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_LAYERS_SUPPORT_H
#define STRATA_TESTS_LAYERS_SUPPORT_H

#include "sessions.h"

#include "state/variable.h"

/* 0, 1, 2, … as a batch in the current scope. */
strata_tensor *batch_of_numbers(strata_context *ctx, strata_shape shape);

/* The same with a mask over all axes but the last, of at most 64 elements: 1, 0, 1, 1, 0, 0, … */
strata_tensor *masked_batch(strata_context *ctx, strata_shape shape);

/* Gradient of a weight after strata_tape_gradient(): the sum over its replicas, whole on every
 * rank; none counts as zeros. Collective on the mesh. */
void whole_weight_gradient(const strata_variable *variable, float *whole);

#endif
