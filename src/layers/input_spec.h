/* The check of inputs against a layer's input_spec. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_INPUT_SPEC_H
#define STRATA_LAYERS_INPUT_SPEC_H

#include "layers/layer.h"

/* STRATA_INVALID in Keras's words when an input does not fit. Local. */
strata_status strata__input_spec_check(strata_layer *layer, int count,
                                       strata_tensor *const *inputs);

#endif
