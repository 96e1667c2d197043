/* Flatten: (batch, …) to (batch, product). https://keras.io/api/layers/reshaping_layers/flatten */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/reshaping.h>

#include <string.h>

#include "layers/layer.h"

typedef strata_flatten_config config;
static const config defaults = {strata_flatten_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(config),
    STRATA_FIELD(config, data_format, .choices = "channels_last|channels_first",
                 .help = "where the channels are"),
    STRATA_LAYER_ACTIVITY_FIELD(config),
};

/* (batch, c, s…) → (batch, s…, c) */
static strata_tensor *channels_to_end(strata_tensor *x)
{
    int permutation[STRATA_MAX_RANK] = {0}, rank = x->shape.rank;
    for (int i = 1; i < rank - 1; i++)
        permutation[i] = i + 1;
    permutation[rank - 1] = 1;
    return strata__transpose(x, permutation);
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    const config *c = layer->config;
    strata_tensor *x = call->inputs[0];
    if (strcmp(c->data_format, "channels_first") == 0 && x->shape.rank > 2)
        x = channels_to_end(x);
    if (!x)
        return NULL;
    return strata_ops_reshape(x, STRATA_SHAPE(strata__product(&x->shape, 1, x->shape.rank)));
}

const strata_layer_class strata_flatten_class = {
    .name = "Flatten",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .call = call,
};
