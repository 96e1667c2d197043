/* Concatenate: the inputs side by side. https://keras.io/api/layers/merging_layers/concatenate */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/merging.h>

#include "layers/merging/merge.h"

typedef strata_concatenate_config config;
static const config defaults = {strata_concatenate_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, axis, .help = "axis to join; not the batch axis"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    return strata_ops_concatenate(call->count, call->inputs, c->axis);
}

/* (…) → (…, features): the mask, or true where an input has none, as float32 1 and 0 of the input's
 * shape. */
static strata_tensor *spread_mask(strata_tensor *x)
{
    strata_tensor *ones = strata__tensor_like(x);
    if (!ones)
        return NULL;
    float *data = ones->data;
    for (int64_t i = 0; data && i < strata__local_count(ones); i++)
        data[i] = 1;
    return x->mask ? strata_ops_multiply(ones, strata__mask_factor(x->mask)) : ones;
}

/* Keras joins the masks like the inputs, then takes `any` over the feature axis. */
static strata_tensor *compute_mask(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    bool any = false;
    for (int i = 0; i < call->count; i++)
        any |= call->inputs[i]->mask != NULL;
    if (!any)
        return NULL;
    strata__tape *tape = strata__tape_pause(layer->ctx);
    strata_tensor *spread[call->count];
    for (int i = 0; i < call->count; i++)
        spread[i] = spread_mask(call->inputs[i]);
    strata_tensor *joined = strata_ops_concatenate(call->count, spread, c->axis);
    strata_tensor *mask = strata_ops_cast(strata_ops_sum(joined, -1, false), STRATA_BOOL);
    strata__tape_resume(layer->ctx, tape);
    return mask;
}

const strata_layer_class strata_concatenate_class = {
    .name = "Concatenate",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .min_inputs = 1,
    .max_inputs = -1,
    .takes_list = true,
    .call = call,
    .compute_mask = compute_mask,
};
