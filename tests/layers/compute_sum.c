/* ComputeSum of the Keras guide: a custom layer for tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/compute_sum.h"

#include <strata/context.h>
#include <strata/ops.h>

static const compute_sum_config defaults = {strata_compute_sum_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(compute_sum_config),
    STRATA_FIELD(compute_sum_config, input_dim, .required = true, .min = 1, .max = 1 << 20,
                 .help = "features"),
};

typedef struct state {
    strata_variable *total; /* (input_dim) */
} state;

static strata_status create(strata_layer *layer)
{
    const compute_sum_config *config = strata_layer_config(layer);
    state *self = strata_layer_state(layer);
    self->total = strata_layer_add_weight(
        layer, .name = "total", .shape = STRATA_SHAPE(config->input_dim), .initializer = "zeros",
        .trainable = 0, .aggregation = STRATA_AGGREGATION_ONLY_FIRST_REPLICA);
    return strata_error(strata_layer_context(layer));
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    state *self = strata_layer_state(layer);
    strata_tensor *sum = strata_ops_sum(call->inputs[0], 0, false);
    if (!sum || strata_replica_assign_add(self->total, sum) != STRATA_OK)
        return NULL;
    return strata_variable_value(self->total);
}

const strata_layer_class strata_compute_sum_class = {
    .name = "ComputeSum",
    .package = "Guide",
    STRATA_CLASS_CONFIG(compute_sum_config, defaults, fields),
    .state_size = sizeof(state),
    .create = create,
    .call = call,
};
