/* Attention by heads: the call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "layers/attention/heads.h"
#include "layers/core/einsum_dense.h"
#include "ops/attention.h"

typedef strata__heads heads;
typedef strata_attention_arguments arguments;

/* --- axes: (B, …, d) to and from (B, batches…, T, d) --- */

static bool in_order(const heads *h)
{
    for (int i = 0; i < h->rank; i++) {
        if (h->order[i] != i)
            return false;
    }
    return true;
}

/* Of an input, or of its mask, which has no features. */
static strata_tensor *positions_last(const heads *h, strata_tensor *x)
{
    if (!in_order(h))
        x = strata__transpose(x, h->order);
    return strata__fold(x, 1 + h->batches, h->positions);
}

/* y (B, batches…, T, n) → axes as the query's, and n unfolded */
static strata_tensor *positions_back(const heads *h, strata_tensor *y, const strata_tensor *query)
{
    int64_t sizes[STRATA_MAX_RANK];
    int first = 1 + h->batches, inverse[STRATA_MAX_RANK];
    for (int i = 0; i < h->positions; i++)
        sizes[i] = query->shape.dims[h->order[first + i]];
    y = strata__unfold(y, first, h->positions, sizes);
    for (int i = 0; i < h->rank; i++)
        inverse[h->order[i]] = i;
    if (!in_order(h))
        y = strata__transpose(y, inverse);
    return strata__unfold(y, h->rank - 1, h->output_axes, h->output_sizes);
}

/* --- masks --- */

static strata_tensor *as_bool(strata_tensor *mask)
{
    return mask && mask->dtype != STRATA_BOOL ? strata_ops_cast(mask, STRATA_BOOL) : mask;
}

/* The mask of query, key or value (B, …) → (B, batches…, T); NULL: none, or an error. */
static strata_tensor *padding(strata_layer *layer, const char *which, strata_tensor *mask)
{
    const heads *h = layer->state;
    char text[STRATA__SHAPE_TEXT];
    mask = as_bool(mask);
    if (!mask)
        return NULL;
    if (mask->shape.rank == h->rank - 1)
        return positions_last(h, mask);
    strata__fail(layer->ctx, STRATA_INVALID,
                 "layer '%s': %s of shape %s must have the axes of its input without features, %d",
                 layer->name, which, strata__shape_text(&mask->shape, text), h->rank - 1);
    return NULL;
}

/* (…, T…, S…) with what lacks before T taken as 1 → (B, batches…, heads, T, S) */
static strata_tensor *attention_mask(strata_layer *layer, strata_tensor *mask)
{
    const heads *h = layer->state;
    int scores = 2 * h->positions, all = 2 + h->batches + scores;
    char text[STRATA__SHAPE_TEXT];
    mask = as_bool(mask);
    if (!mask)
        return NULL;
    int leading = mask->shape.rank - scores, missing = all - mask->shape.rank;
    if (leading < mask->layout.batch || missing < 0) {
        strata__fail(layer->ctx, STRATA_INVALID,
                     "layer '%s': attention_mask of shape %s for scores with %d axes", layer->name,
                     strata__shape_text(&mask->shape, text), all);
        return NULL;
    }
    mask = strata__insert_axes(mask, leading, missing);
    mask = strata__fold(mask, all - h->positions, h->positions);
    return strata__fold(mask, all - scores, h->positions);
}

/* --- attention --- */

/* Query, value and key with positions last, and how they attend. */
typedef struct operands {
    strata_tensor *query, *value, *key;
    strata__attention options;
} operands;

static strata_tensor *given_or(strata_tensor *mask, const strata_tensor *input)
{
    return mask ? mask : input->mask;
}

static void take_masks(strata_layer *layer, const strata_call *call, strata__attention *options)
{
    const arguments *a = call->arguments;
    strata_tensor *key = call->count > 2 ? given_or(a->key_mask, call->inputs[2]) : a->key_mask;
    options->query_mask = padding(layer, "query_mask", given_or(a->query_mask, call->inputs[0]));
    options->value_mask = padding(layer, "value_mask", given_or(a->value_mask, call->inputs[1]));
    options->key_mask = padding(layer, "key_mask", key);
    options->mask = attention_mask(layer, a->attention_mask);
    options->causal = a->use_causal_mask;
}

static void take_dropout(const heads *h, const strata_call *call, strata__attention *options)
{
    strata_context *ctx = h->dropout->ctx;
    if (!call->training || h->dropout_rate == 0 || call->inputs[0]->symbolic)
        return;
    options->dropout = h->dropout_rate;
    options->key.seed = h->seed == STRATA_NONE ? ctx->settings.seed : (uint64_t)h->seed;
    options->key.stream = strata__layer_draw(h->dropout);
}

/* Where Keras does not take its fused attention, queries that see no key get zeros. */
static strata__blind blind_of(const heads *h, const arguments *a)
{
    bool fused = h->dropout_rate == 0 && !a->return_attention_scores && h->rank == 3;
    return fused ? STRATA__BLIND_MEAN : STRATA__BLIND_ZERO;
}

static operands take(strata_layer *layer, const strata_call *call)
{
    const heads *h = layer->state;
    operands o = {.query = positions_last(h, call->inputs[0]),
                  .options = {.heads = h->heads,
                              .groups = h->groups,
                              .scale = h->scale,
                              .window = h->window,
                              .blind = blind_of(h, call->arguments)}};
    o.value = call->inputs[1] == call->inputs[0] ? o.query : positions_last(h, call->inputs[1]);
    o.key = call->count > 2 ? positions_last(h, call->inputs[2]) : o.value;
    take_masks(layer, call, &o.options);
    take_dropout(h, call, &o.options);
    return o;
}

/* (B, batches…, heads, T, S) → T and S unfolded */
static strata_tensor *unfold_scores(const heads *h, strata_tensor *scores, const strata_call *call)
{
    int64_t t[STRATA_MAX_RANK], s[STRATA_MAX_RANK];
    int first = 1 + h->batches;
    for (int i = 0; i < h->positions; i++) {
        t[i] = call->inputs[0]->shape.dims[h->order[first + i]];
        s[i] = call->inputs[1]->shape.dims[h->order[first + i]];
    }
    scores = strata__unfold(scores, first + 2, h->positions, s);
    return strata__unfold(scores, first + 1, h->positions, t);
}

/* → (B, batches…, T, output) */
static strata_tensor *attend(strata_layer *layer, const operands *o, strata_tensor **scores)
{
    const heads *h = layer->state;
    strata_tensor *gate = h->gate ? strata__einsum_dense_product(h->gate, o->query) : NULL;
    strata_tensor *q = strata__einsum_dense_product(h->query, o->query);
    strata_tensor *k = strata__einsum_dense_product(h->key, o->key);
    strata_tensor *v = strata__einsum_dense_product(h->value, o->value);
    strata_tensor *y = strata__attend(layer->name, q, k, v, &o->options, scores);
    if (h->gate)
        y = strata_ops_multiply(y, gate);
    return y ? strata__einsum_dense_product(h->output, y) : NULL;
}

strata_status strata__heads_call(strata_layer *layer, const strata_call *call,
                                 strata_tensor **outputs)
{
    const heads *h = layer->state;
    const arguments *a = call->arguments;
    bool scored = a->return_attention_scores;
    if (h->flash && scored)
        return strata__fail(layer->ctx, STRATA_INVALID,
                            "layer '%s': Returning attention scores is not supported when flash "
                            "attention is enabled. Please disable flash attention to access "
                            "attention scores.",
                            layer->name);
    operands o = take(layer, call);
    STRATA_TRY(layer->ctx->status);
    strata_tensor *scores = NULL;
    strata_tensor *y = attend(layer, &o, scored ? &scores : NULL);
    outputs[0] = y ? positions_back(h, y, call->inputs[0]) : NULL;
    if (scored)
        outputs[1] = unfold_scores(h, scores, call);
    strata_tensor_set_mask(outputs[0], call->inputs[0]->mask);
    return layer->ctx->status;
}
