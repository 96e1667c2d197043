/* What the attention layers without heads share: their calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/attention/one_head.h"

#include "layers/merging/merge.h"
#include "ops/attention.h"

typedef strata_attention_arguments arguments;

const strata_field strata__one_head_arguments[STRATA__ONE_HEAD_ARGUMENTS] = {
    STRATA_FIELD(arguments, query_mask, .list = "mask", .help = "of the query"),
    STRATA_FIELD(arguments, value_mask, .list = "mask", .help = "of value and key"),
    STRATA_FIELD(arguments, return_attention_scores, .omit_default = true,
                 .help = "whether the scores are a second output"),
    STRATA_FIELD(arguments, use_causal_mask, .omit_default = true,
                 .help = "whether later positions are hidden"),
};

/* Keras takes the masks of the inputs only if none is given to the call. */
static void take_masks(const strata_call *call, strata_tensor **query_mask,
                       strata_tensor **value_mask)
{
    const arguments *a = call->arguments;
    bool given = a->query_mask || a->value_mask;
    *query_mask = given ? a->query_mask : call->inputs[0]->mask;
    *value_mask = given ? a->value_mask : call->inputs[1]->mask;
}

static strata_status check(const strata_layer *layer, const arguments *a)
{
    if (!a->key_mask && !a->attention_mask)
        return STRATA_OK;
    return strata__fail(layer->ctx, STRATA_INVALID,
                        "layer '%s' (%s) takes no %s; query_mask and value_mask are its masks",
                        layer->name, layer->class->name,
                        a->key_mask ? "key_mask" : "attention_mask");
}

static strata__key key_of(strata_layer *layer, int64_t seed)
{
    return (strata__key){.seed = seed == STRATA_NONE ? layer->ctx->settings.seed : (uint64_t)seed,
                         .stream = strata__layer_draw(layer)};
}

/* (B, …, 1, T, S) → (B, …, T, S) */
static strata_tensor *without_heads(strata_tensor *scores)
{
    strata_shape shape = {.rank = scores ? scores->shape.rank - 2 : 0};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = scores->shape.dims[i + 1 + (i >= shape.rank - 2)];
    return strata_ops_reshape(scores, shape);
}

strata_status strata__one_head_call(strata_layer *layer, const strata_call *call,
                                    const strata__one_head *how, strata_tensor **outputs)
{
    const arguments *a = call->arguments;
    strata_tensor *q = call->inputs[0], *v = call->inputs[1], *query_mask, *value_mask;
    strata_tensor *k = call->count > 2 ? call->inputs[2] : v;
    STRATA_TRY(check(layer, a));
    take_masks(call, &query_mask, &value_mask);
    if (how->scale)
        q = strata_ops_multiply(q, how->scale);
    if (how->scale && how->additive)
        k = strata_ops_multiply(k, how->scale);
    strata__attention options = {.heads = 1,
                                 .groups = 1,
                                 .scale = 1,
                                 .additive = how->additive,
                                 .weights = how->weights,
                                 .causal = a->use_causal_mask,
                                 .value_mask = value_mask,
                                 .blind = STRATA__BLIND_UNMASKED,
                                 .dropped_scores = true};
    if (call->training && how->dropout > 0 && q && !q->symbolic) {
        options.dropout = how->dropout;
        options.key = key_of(layer, how->seed);
    }
    strata_tensor *scores = NULL, *y = strata__attend(layer->name, q, k, v, &options,
                                                      a->return_attention_scores ? &scores : NULL);
    outputs[0] = y;
    if (a->return_attention_scores)
        outputs[1] = without_heads(scores);
    if (query_mask) {
        outputs[0] = strata_ops_multiply(y, strata__mask_factor(query_mask));
        strata_tensor_set_mask(outputs[0], query_mask);
    }
    return layer->ctx->status;
}
