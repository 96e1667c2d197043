/* Cross operations on variables: collective, outside a step, one agreed value. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "mesh/checked.h"
#include "state/aggregate.h"
#include "state/elements.h"

/* First of all: in checked mode all ranks call this operation on this variable, with equal data
 * (NULL: there are none), whether it communicates or not. Nothing with an error, of any rank where
 * the operation `communicates`. */
static strata_status begin(strata_variable *variable, const char *operation, const void *data,
                           bool communicates)
{
    if (!variable)
        return STRATA_INVALID;
    strata_context *ctx = variable->ctx;
    STRATA_TRY(communicates ? strata__agree(ctx) : ctx->status);
    if (!ctx->mesh->checked)
        return STRATA_OK;
    size_t bytes = (size_t)strata__product(&variable->shape, 0, variable->shape.rank) *
                   strata_dtype_size(variable->dtype);
    strata__check(ctx, STRATA__WORLD,
                  &(strata__signature){.operation = operation,
                                       .variable = variable->path,
                                       .shape = variable->shape,
                                       .dtype = variable->dtype,
                                       .digest = data ? strata__digest(0, data, bytes) : 0});
    return STRATA_OK;
}

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
    bool alike =
        variable && variable->placement == STRATA__WHOLE && !strata__variable_varies(variable);
    STRATA_TRY(begin(variable, "cross read", NULL, !alike));
    if (strata__variable_varies(variable))
        return read_aggregated(variable, data);
    return strata__variable_collect(variable, variable->value->data, data);
}

/* --- writing --- */

strata_status strata_cross_assign(strata_variable *variable, const void *data)
{
    STRATA_TRY(begin(variable, "cross assign", data, true));
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
    strata_context *ctx = variable->ctx;
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
    STRATA_TRY(begin(variable, "cross assign_add", data, true));
    return change(variable, data, "assign_add", strata__elements_add);
}

strata_status strata_cross_assign_sub(strata_variable *variable, const void *data)
{
    STRATA_TRY(begin(variable, "cross assign_sub", data, true));
    return change(variable, data, "assign_sub", strata__elements_subtract);
}

/* --- replica by replica --- */

strata_status strata_cross_update(strata_variable *variable, strata_variable_update *update,
                                  void *user)
{
    STRATA_TRY(begin(variable, "cross update", NULL, true));
    strata_context *ctx = variable->ctx;
    strata_scope_begin(ctx);
    variable->updating = true;
    update(variable, user);
    variable->updating = false;
    strata_scope_end(ctx);
    return strata__agree(ctx);
}
