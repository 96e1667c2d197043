/* Cross operations on variables: collective, outside a step, one agreed value. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "state/aggregate.h"
#include "state/elements.h"

/* --- reading --- */

static strata_status read_aggregated(const strata_variable *variable, void *data)
{
    strata_context *ctx = variable->ctx;
    if (variable->aggregation == STRATA_AGGREGATION_NONE)
        return strata__fail(ctx, STRATA_INVALID,
                            "read: Could not convert from `tf.VariableAggregation` "
                            "VariableAggregation.NONE to `tf.distribute.ReduceOp` "
                            "type: variable '%s' differs from replica to replica (on_read); create "
                            "it with an aggregation to read it",
                            variable->path);
    size_t bytes = (size_t)variable->count * strata_dtype_size(variable->dtype);
    void *piece = strata__alloc(ctx, bytes);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        memcpy(piece, variable->value->data, bytes);
        strata__aggregate(variable, piece);
        status = strata__variable_collect(variable, piece, data);
    }
    strata__free(ctx, piece);
    return status;
}

strata_status strata_cross_read(strata_variable *variable, void *data)
{
    if (!variable)
        return STRATA_INVALID;
    STRATA_TRY(variable->ctx->status);
    if (strata__variable_varies(variable))
        return read_aggregated(variable, data);
    return strata__variable_collect(variable, variable->value->data, data);
}

/* --- writing --- */

strata_status strata_cross_assign(strata_variable *variable, const void *data)
{
    if (!variable)
        return STRATA_INVALID;
    STRATA_TRY(variable->ctx->status);
    const strata__group *group = &variable->ctx->mesh->groups[variable->replicas];
    if (strata__variable_write_begin(variable))
        strata__variable_cut(variable, data, variable->value->data);
    strata__variable_write_end(variable);
    if (strata__variable_varies(variable) && variable->aggregation == STRATA_AGGREGATION_SUM)
        strata__elements_share(variable->dtype, variable->value->data, variable->count, group->size,
                               group->rank);
    return STRATA_OK;
}

static strata_status check_change(const strata_variable *variable, const char *operation)
{
    strata_context *ctx = variable->ctx;
    STRATA_TRY(strata__arithmetic_check(variable, operation));
    if (strata__variable_varies(variable) && variable->aggregation == STRATA_AGGREGATION_SUM)
        return strata__fail(ctx, STRATA_INVALID,
                            "SyncOnReadVariable does not support `%s` in cross-replica context "
                            "when aggregation is set to `tf.VariableAggregation.SUM`. Read "
                            "variable '%s' and assign the new value",
                            operation, variable->path);
    return STRATA_OK;
}

/* Each copy changes by the same. */
static strata_status change(strata_variable *variable, const void *data, const char *operation,
                            strata__elements_update *update)
{
    if (!variable)
        return STRATA_INVALID;
    strata_context *ctx = variable->ctx;
    STRATA_TRY(ctx->status);
    STRATA_TRY(check_change(variable, operation));
    void *piece = strata__alloc(ctx, (size_t)variable->count * strata_dtype_size(variable->dtype));
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        strata__variable_cut(variable, data, piece);
        if (strata__variable_write_begin(variable))
            update(variable->dtype, variable->value->data, piece, variable->count);
        strata__variable_write_end(variable);
    }
    strata__free(ctx, piece);
    return status;
}

strata_status strata_cross_assign_add(strata_variable *variable, const void *data)
{
    return change(variable, data, "assign_add", strata__elements_add);
}

strata_status strata_cross_assign_sub(strata_variable *variable, const void *data)
{
    return change(variable, data, "assign_sub", strata__elements_subtract);
}

/* --- replica by replica --- */

strata_status strata_cross_update(strata_variable *variable, strata_variable_update *update,
                                  void *user)
{
    if (!variable)
        return STRATA_INVALID;
    strata_context *ctx = variable->ctx;
    STRATA_TRY(ctx->status);
    strata_scope_begin(ctx);
    variable->updating = true;
    update(variable, user);
    variable->updating = false;
    strata_scope_end(ctx);
    return strata__agree(ctx);
}
