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

/* The shards' columns are gathered on every rank of the grid, each of which then takes its own
 * piece back. */
static strata_status apply_gathered(strata_variable *variable)
{
    strata_context *ctx = variable->ctx;
    const strata__constraint_methods *methods = variable->constraint.class->methods;
    float *whole = strata__alloc(
        ctx, (size_t)strata__product(&variable->shape, 0, variable->shape.rank) * sizeof *whole);
    if (!whole)
        strata__abort(ctx, "constraining a variable");
    strata_status status = strata__variable_collect(variable, variable->value->data, whole);
    if (status == STRATA_OK) {
        methods->apply(ctx, variable->constraint.config, &variable->shape, whole);
        if (strata__variable_write_begin(variable))
            strata__variable_cut(variable, whole, variable->value->data);
        strata__variable_write_end(variable);
    }
    strata__free(ctx, whole);
    return status;
}

strata_status strata__variable_constrain(strata_variable *variable)
{
    if (!variable->constraint.class)
        return STRATA_OK;
    const strata__constraint_methods *methods = variable->constraint.class->methods;
    if (variable->placement != STRATA__WHOLE && !methods->elementwise)
        return apply_gathered(variable);
    return apply_in_place(variable);
}
