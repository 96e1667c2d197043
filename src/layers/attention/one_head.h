/* What the attention layers without heads share: their calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_ATTENTION_ONE_HEAD_H
#define STRATA_LAYERS_ATTENTION_ONE_HEAD_H

#include "layers/attention/call.h"

/* Table of the members of strata_attention_arguments that they take. */
enum { STRATA__ONE_HEAD_ARGUMENTS = 4 };
extern const strata_field strata__one_head_arguments[STRATA__ONE_HEAD_ARGUMENTS];

/* How a layer forms scores, and its dropout. */
typedef struct strata__one_head {
    bool additive;
    strata_tensor *scale;   /* (): of query and of what is added to it; NULL: 1 */
    strata_tensor *weights; /* of additive scores, (dim) or (); NULL: 1 */
    double dropout;
    int64_t seed;
} strata__one_head;
strata_status strata__one_head_call(strata_layer *layer, const strata_call *call,
                                    const strata__one_head *how, strata_tensor **outputs);

/* The members of a class that are the same for all of them. */
#define STRATA__ONE_HEAD_CLASS                                                                     \
    .min_inputs = 2, .max_inputs = 3, .takes_list = true, .uses_mask = true,                       \
    .arguments_size = sizeof(strata_attention_arguments),                                          \
    .argument_defaults = &strata__attention_argument_defaults,                                     \
    .arguments = strata__one_head_arguments, .argument_count = STRATA__ONE_HEAD_ARGUMENTS,         \
    .count_outputs = strata__attention_outputs

#endif
