/* Aggregation: the replicas' values of a variable become one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/aggregate.h"

#include "base/memory.h"
#include "state/elements.h"

bool strata__variable_joins(const strata_variable *variable)
{
    return variable->synchronization != STRATA_SYNCHRONIZATION_ON_READ && !variable->updating &&
           strata__variable_replicas(variable) > 1;
}

strata_status strata__aggregation_check(const strata_variable *variable, const char *operation)
{
    if (!strata__variable_joins(variable))
        return STRATA_OK;
    if (variable->aggregation == STRATA_AGGREGATION_NONE)
        return strata__fail(
            variable->ctx, STRATA_INVALID,
            "%s: You must specify an aggregation method to update variable '%s' in replica "
            "context: create it with aggregation sum, mean or only_first_replica, or with "
            "synchronization on_read",
            operation, variable->path);
    if (variable->aggregation == STRATA_AGGREGATION_MEAN && !strata__dtype_is_real(variable->dtype))
        return strata__fail(variable->ctx, STRATA_INVALID,
                            "%s: Cannot update non-float variables with "
                            "tf.VariableAggregation.MEAN aggregation in replica context. "
                            "Variable '%s' is %s",
                            operation, variable->path, strata_dtype_name(variable->dtype));
    return STRATA_OK;
}

strata_status strata__arithmetic_check(const strata_variable *variable, const char *operation)
{
    if (variable->dtype != STRATA_BOOL)
        return STRATA_OK;
    return strata__fail(variable->ctx, STRATA_INVALID,
                        "%s: variable '%s' is bool, which can only be assigned", operation,
                        variable->path);
}

/* In double, so that the mean of equal values is that value: what a file holds is what was written
 * to it. */
static void mean_of_floats(const strata_variable *variable, float *piece)
{
    strata_context *ctx = variable->ctx;
    double *sums = strata__scratch(ctx, variable->count, sizeof *sums);
    for (int64_t i = 0; i < variable->count; i++)
        sums[i] = piece[i];
    strata__sum(ctx, variable->replicas, sums, variable->count, STRATA_FLOAT64);
    for (int64_t i = 0; i < variable->count; i++)
        piece[i] = (float)(sums[i] / strata__variable_replicas(variable));
    strata__free(ctx, sums);
}

void strata__aggregate(const strata_variable *variable, void *piece)
{
    strata_context *ctx = variable->ctx;
    if (variable->aggregation == STRATA_AGGREGATION_ONLY_FIRST_REPLICA) {
        strata__broadcast(ctx, variable->replicas, 0, piece,
                          variable->count * (int64_t)strata_dtype_size(variable->dtype));
        return;
    }
    if (variable->aggregation == STRATA_AGGREGATION_MEAN && variable->dtype == STRATA_FLOAT32) {
        mean_of_floats(variable, piece);
        return;
    }
    strata__sum(ctx, variable->replicas, piece, variable->count, variable->dtype);
    if (variable->aggregation == STRATA_AGGREGATION_MEAN)
        strata__elements_divide(variable->dtype, piece, variable->count,
                                strata__variable_replicas(variable));
}
