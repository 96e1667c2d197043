/* Moving statistics of batch normalization, and the corrections of batch renormalization by them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_NORMALIZATION_MOVING_H
#define STRATA_LAYERS_NORMALIZATION_MOVING_H

#include <strata/layers/normalization.h>

#include "layers/layer.h"

/* All (features). */
typedef struct strata__moving {
    strata_variable *mean, *variance;
    /* Renormalization only. stddev: √(variance + ε), of which the variance is made; the others
     * serve the corrections. */
    strata_variable *stddev, *renorm_mean, *renorm_stddev;
    double rmin, rmax, dmax; /* bounds of the corrections; NaN: none */
} strata__moving;

/* Reads and checks renorm_clipping; without one it becomes {} when renorm is on, as Keras writes
 * it. */
strata_status strata__moving_create(strata_layer *layer, strata__moving *moving);

/* Adds the variables in Keras's order. */
strata_status strata__moving_build(strata_layer *layer, strata__moving *moving, int64_t features);

/* moving ← moving·momentum + batch·(1 − momentum); batch holds other values afterwards. */
strata_status strata__moving_update(const strata__moving *moving,
                                    const strata_batch_normalization_config *config,
                                    strata_tensor *mean, strata_tensor *variance);

/*
 * Corrections of a batch with these moments (Ioffe 2017): r = σ/σ_moving and d = (mean −
 * mean_moving)/σ_moving, both within their bounds and constants for the gradient. *gamma ← r·γ,
 * *beta ← d·γ + β; both may be NULL before.
 */
strata_status strata__moving_correct(const strata__moving *moving, double epsilon,
                                     const strata_tensor *mean, const strata_tensor *variance,
                                     strata_tensor **gamma, strata_tensor **beta);

#endif
