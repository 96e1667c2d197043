/* Constraints at work: applied to variables after an update. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "state/initializer.h"

static strata_status apply_in_place(strata_variable *variable)
{
    const strata__constraint_methods *methods = variable->constraint.class->methods;
    if (strata__variable_write_begin(variable))
        methods->apply(variable->ctx, variable->constraint.config, &variable->value->local,
                       variable->value->data);
    strata__variable_write_end(variable);
    return variable->ctx->status;
}

/* Memory for the whole, filled from the shards on every rank of the grid; free it. */
static float *gathered(strata_variable *variable, strata_status *status)
{
    strata_context *ctx = variable->ctx;
    float *whole = strata__alloc(
        ctx, (size_t)strata__product(&variable->shape, 0, variable->shape.rank) * sizeof *whole);
    if (!whole)
        strata__abort(ctx, "constraining a variable");
    *status = strata__variable_collect(variable, variable->value->data, whole);
    return whole;
}

/* The shards' columns are gathered on every rank of the grid, each of which then takes its own
 * piece back. */
static strata_status apply_gathered(strata_variable *variable)
{
    strata_context *ctx = variable->ctx;
    const strata__constraint_methods *methods = variable->constraint.class->methods;
    strata_status status;
    float *whole = gathered(variable, &status);
    if (status == STRATA_OK) {
        methods->apply(ctx, variable->constraint.config, &variable->shape, whole);
        if (strata__variable_write_begin(variable))
            strata__variable_cut(variable, whole, variable->value->data);
        strata__variable_write_end(variable);
    }
    strata__free(ctx, whole);
    return status;
}

static bool needs_whole(const strata_variable *variable)
{
    const strata__constraint_methods *methods = variable->constraint.class->methods;
    return variable->placement != STRATA__WHOLE && !methods->elementwise;
}

strata_status strata__variable_constrain(strata_variable *variable)
{
    if (!variable->constraint.class)
        return STRATA_OK;
    return needs_whole(variable) ? apply_gathered(variable) : apply_in_place(variable);
}

strata_status strata__variable_constrain_rehearse(strata_variable *variable)
{
    strata_status status = STRATA_OK;
    if (variable->constraint.class && needs_whole(variable))
        strata__free(variable->ctx, gathered(variable, &status));
    return status;
}
