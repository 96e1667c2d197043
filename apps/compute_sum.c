/* A custom layer in C: ComputeSum of the Keras guide keeps the running sum of its inputs in a
 * non-trainable weight. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <strata.h>

/* --- the layer --- */

typedef struct compute_sum_config {
    int64_t input_dim; /* features of an input */
    STRATA_LAYER_COMMON
} compute_sum_config;
#define compute_sum_defaults STRATA_LAYER_DEFAULTS

static const compute_sum_config defaults = {compute_sum_defaults};
static const strata_field fields[] = {
    STRATA_LAYER_FIELDS(compute_sum_config),
    STRATA_FIELD(compute_sum_config, input_dim, .required = true, .min = 1, .max = 1 << 20,
                 .help = "features"),
};

typedef struct compute_sum_state {
    strata_variable *total; /* (input_dim) */
} compute_sum_state;

/* The weight does not depend on the first input: it is made with the layer. */
static strata_status create(strata_layer *layer)
{
    const compute_sum_config *config = strata_layer_config(layer);
    compute_sum_state *state = strata_layer_state(layer);
    state->total = strata_layer_add_weight(
        layer, .name = "total", .shape = STRATA_SHAPE(config->input_dim), .initializer = "zeros",
        .trainable = 0, .aggregation = STRATA_AGGREGATION_ONLY_FIRST_REPLICA);
    return strata_error(strata_layer_context(layer));
}

/* The sum over the batch axis runs over all ranks, so every replica adds the same. */
static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    compute_sum_state *state = strata_layer_state(layer);
    strata_tensor *sum = strata_ops_sum(call->inputs[0], 0, false);
    if (strata_replica_assign_add(state->total, sum) != STRATA_OK)
        return NULL;
    return strata_variable_value(state->total);
}

static const strata_layer_class compute_sum_class = {
    .name = "ComputeSum",
    .package = "Guide",
    STRATA_CLASS_CONFIG(compute_sum_config, defaults, fields),
    .state_size = sizeof(compute_sum_state),
    .create = create,
    .call = call,
};

/* --- its use: [[1, 1], [1, 1]] twice gives [2, 2] and [4, 4], on any number of ranks --- */

static void show(strata_context *ctx, strata_layer *layer)
{
    const float ones[4] = {1, 1, 1, 1};
    float total[2];
    strata_scope_begin(ctx);
    strata_tensor *x = strata_tensor_batch_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 2), ones);
    strata_tensor *y = x ? strata_layer_call(layer, x) : NULL;
    if (y && strata_tensor_gather(y, total) == STRATA_OK && strata_rank(ctx) == 0)
        printf("[%g %g]\n", total[0], total[1]);
    strata_tensor_release(x);
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    strata_layer *layer = strata_layer_new(
        ctx, &compute_sum_class, &(compute_sum_config){compute_sum_defaults, .input_dim = 2});
    if (layer) {
        show(ctx, layer);
        show(ctx, layer);
        if (strata_rank(ctx) == 0)
            printf("weights: %d\nnon-trainable weights: %d\ntrainable weights: %d\n",
                   strata_layer_weights(layer, NULL, 0),
                   strata_layer_non_trainable_weights(layer, NULL, 0),
                   strata_layer_trainable_weights(layer, NULL, 0));
    }
    return strata_finish(&ctx);
}
