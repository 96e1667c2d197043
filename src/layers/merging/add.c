/* Add: the sum of the inputs. https://keras.io/api/layers/merging_layers/add */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/layers/merging.h>

#include "layers/merging/merge.h"

typedef strata_add_config config;
static const config defaults = {strata_add_defaults};
static const strata_field fields[] = {STRATA_LAYER_FIELDS(config),
                                      STRATA_LAYER_ACTIVITY_FIELD(config)};

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    (void)layer;
    return strata__merge(call, strata_ops_add);
}

const strata_layer_class strata_add_class = {
    .name = "Add",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .min_inputs = 1,
    .max_inputs = -1,
    .takes_list = true,
    .features = STRATA_FEATURES_LOCAL,
    .call = call,
    .compute_mask = strata__merge_masks,
};
