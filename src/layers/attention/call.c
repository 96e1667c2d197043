/* What attention layers share: arguments of calls, the call that a constructor makes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/attention/call.h"

typedef strata_attention_arguments arguments;

const strata_field strata__attention_arguments[STRATA__ATTENTION_ARGUMENTS] = {
    STRATA_FIELD(arguments, query_mask, .help = "positions of the query that count"),
    STRATA_FIELD(arguments, value_mask, .help = "positions of the value that count"),
    STRATA_FIELD(arguments, key_mask, .help = "positions of the key that count"),
    STRATA_FIELD(arguments, attention_mask, .help = "which positions attend to which"),
    STRATA_FIELD(arguments, return_attention_scores, .omit_default = true,
                 .help = "whether the scores are a second output"),
    STRATA_FIELD(arguments, use_causal_mask, .omit_default = true,
                 .help = "whether positions attend to earlier ones only"),
};

const strata_attention_arguments strata__attention_argument_defaults = {0};

int strata__attention_outputs(const void *given)
{
    return ((const arguments *)given)->return_attention_scores ? 2 : 1;
}

strata_tensor *strata__attention_apply(const strata_layer_class *class, const void *config,
                                       strata_tensor *const inputs[3], const arguments *given,
                                       strata_tensor **scores)
{
    arguments a = *given;
    strata_tensor *outputs[2] = {NULL, NULL};
    if (!inputs[0] || !inputs[1])
        return NULL;
    if (a.return_attention_scores && !scores) {
        strata__fail(inputs[0]->ctx, STRATA_INVALID,
                     "%s: return_attention_scores without attention_scores, which says where",
                     class->name);
        return NULL;
    }
    a.return_attention_scores = scores != NULL;
    strata_layer *layer = strata_layer_new(inputs[0]->ctx, class, config);
    strata_layer_call_with(layer, &a, inputs[2] ? 3 : 2, inputs, -1, outputs);
    if (scores)
        *scores = outputs[1];
    return outputs[0];
}
