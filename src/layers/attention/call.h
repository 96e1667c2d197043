/* What attention layers share: arguments of calls, the call that a constructor makes. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_ATTENTION_CALL_H
#define STRATA_LAYERS_ATTENTION_CALL_H

#include <strata/layers/attention.h>

#include "layers/layer.h"

/* For classes: the table of strata_attention_arguments and its defaults. */
enum { STRATA__ATTENTION_ARGUMENTS = 6 };
extern const strata_field strata__attention_arguments[STRATA__ATTENTION_ARGUMENTS];
extern const strata_attention_arguments strata__attention_argument_defaults;

/* The scores are a second output. */
int strata__attention_outputs(const void *arguments);

/* A new layer, called at once on query, value and key (NULL: none is given). `scores` receives the
 * second output if it is not NULL, which asks for it. Collective on the mesh. */
strata_tensor *strata__attention_apply(const strata_layer_class *class, const void *config,
                                       strata_tensor *const inputs[3],
                                       const strata_attention_arguments *arguments,
                                       strata_tensor **scores);

#endif
