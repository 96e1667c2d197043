/* What merging layers share: one rank for all inputs, masks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_MERGING_MERGE_H
#define STRATA_LAYERS_MERGING_MERGE_H

#include "layers/layer.h"

typedef strata_tensor *strata__merge_function(strata_tensor *a, strata_tensor *b);

/* ((x₀ ∘ x₁) ∘ x₂) …, axes of 1 inserted after the batch where ranks differ. */
strata_tensor *strata__merge(const strata_call *call, strata__merge_function *merge);

/* OR of all masks; NULL when an input has none. */
strata_tensor *strata__merge_masks(strata_layer *layer, const strata_call *call);

/* A mask as float32 1 and 0 with a feature axis of 1: (…) → (…, 1). */
strata_tensor *strata__mask_factor(strata_tensor *mask);

#endif
