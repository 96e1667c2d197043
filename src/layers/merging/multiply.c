/* Multiply: the product of the inputs. https://keras.io/api/layers/merging_layers/multiply */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/merging.h>

#include "layers/merging/merge.h"

typedef strata_multiply_config config;
static const config defaults = {strata_multiply_defaults};
static const strata_field fields[] = {STRATA_LAYER_FIELDS(config),
                                      STRATA_LAYER_ACTIVITY_FIELD(config)};

/* Masked elements count as 1: x·m + (1 − m). */
static strata_tensor *one_where_masked(strata_tensor *x)
{
    if (!x->mask)
        return x;
    strata_tensor *factor = strata__mask_factor(x->mask);
    return strata_ops_add(strata_ops_multiply(x, factor), strata_ops_affine(factor, -1, 1));
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    strata_tensor *inputs[call->count];
    for (int i = 0; i < call->count; i++)
        inputs[i] = one_where_masked(call->inputs[i]);
    strata_call replaced = {.count = call->count, .inputs = inputs};
    strata_tensor *product = inputs[0] ? strata__merge(&replaced, strata_ops_multiply) : NULL;
    strata_tensor *mask = strata__merge_masks(layer, call);
    return mask ? strata_ops_multiply(product, strata__mask_factor(mask)) : product;
}

const strata_layer_class strata_multiply_class = {
    .name = "Multiply",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .min_inputs = 1,
    .max_inputs = -1,
    .takes_list = true,
    .features = STRATA_FEATURES_LOCAL,
    .call = call,
    .compute_mask = strata__merge_masks,
};
