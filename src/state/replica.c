/* Replica operations on variables: what each replica does with its own copy, inside a step. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "mesh/checked.h"
#include "state/aggregate.h"
#include "state/elements.h"

strata_tensor *strata_variable_value(strata_variable *variable)
{
    if (!variable)
        return NULL;
    strata_context *ctx = variable->ctx;
    if (strata__variable_varies(variable) && !ctx->scope && ctx->nesting == 0) {
        strata__fail(ctx, STRATA_INVALID,
                     "the value of variable '%s' is not available outside the replica context: it "
                     "differs from replica to replica (on_read); read it with strata_cross_read(), "
                     "or the own copy in a scope",
                     variable->path);
        return NULL;
    }
    return variable->value;
}

/* --- assignments --- */

static void copy_elements(strata_dtype dtype, void *elements, const void *from, int64_t count)
{
    memcpy(elements, from, (size_t)count * strata_dtype_size(dtype));
}

static strata_status check_value(const strata_variable *variable, const strata_tensor *value,
                                 const char *operation)
{
    strata_context *ctx = variable->ctx;
    char wanted[STRATA__SHAPE_TEXT], given[STRATA__SHAPE_TEXT];
    if (value->dtype != variable->dtype)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: variable '%s' is %s, the value is %s; convert it with strata_ops_cast()",
            operation, variable->path, strata_dtype_name(variable->dtype),
            strata_dtype_name(value->dtype));
    if (!strata__shape_equal(&value->shape, &variable->value->shape))
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: The shape of the target variable and the shape of the target value must match. "
            "variable.shape=%s, value.shape=%s (variable '%s')",
            operation, strata__shape_text(&variable->value->shape, wanted),
            strata__shape_text(&value->shape, given), variable->path);
    if (value->layout.batch)
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: Cannot use DistributedValues to update variables in replica "
                            "context: the value for "
                            "variable '%s' is split over the batch; reduce it over axis 0 first",
                            operation, variable->path);
    return STRATA_OK;
}

static strata_status check_update(const strata_variable *variable, const char *operation,
                                  strata__elements_update *elements)
{
    if (elements != copy_elements)
        STRATA_TRY(strata__arithmetic_check(variable, operation));
    return strata__aggregation_check(variable, operation);
}

/* Whether the value lies exactly as the variable's piece does. */
static bool same_piece(const strata_variable *variable, const strata_tensor *value)
{
    switch (variable->placement) {
    case STRATA__MATRIX:
        return value->matrix != NULL;
    case STRATA__VECTOR:
        return value->layout.split;
    default:
        return !value->matrix && !value->layout.split;
    }
}

/* This rank's piece of a value that lies in another way. */
static strata_status cut_value(const strata_variable *variable, const strata_tensor *value,
                               void *piece)
{
    strata_context *ctx = variable->ctx;
    if (!value->matrix && !value->layout.split) {
        strata__variable_cut(variable, value->data, piece);
        return STRATA_OK;
    }
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    void *whole = strata__scratch(ctx, count, strata_dtype_size(variable->dtype));
    strata_status status = value->matrix
                               ? strata__variable_collect(value->variable, value->data, whole)
                               : strata_tensor_gather(value, whole);
    if (status == STRATA_OK)
        strata__variable_cut(variable, whole, piece);
    strata__free(ctx, whole);
    return status;
}

/* A new block with the value's part for this rank. */
static void *take_piece(const strata_variable *variable, const strata_tensor *value)
{
    strata_context *ctx = variable->ctx;
    void *piece = strata__scratch(ctx, variable->count, strata_dtype_size(variable->dtype));
    if (same_piece(variable, value))
        copy_elements(variable->dtype, piece, value->data, variable->count);
    else if (cut_value(variable, value, piece) != STRATA_OK)
        strata__abort(ctx, "assigning a variable");
    return piece;
}

/* On symbolic values only the arguments are checked: the update happens when the layer runs on real
 * ones. */
static strata_status update(strata_variable *variable, strata_tensor *value, const char *operation,
                            strata__elements_update *elements)
{
    if (!variable || !value)
        return STRATA_INVALID;
    strata_context *ctx = variable->ctx;
    STRATA_TRY(ctx->status);
    if (strata__variable_joins(variable) && !value->symbolic)
        strata__check(ctx, variable->replicas,
                      &(strata__signature){.operation = operation,
                                           .variable = variable->path,
                                           .shape = value->shape,
                                           .dtype = value->dtype});
    STRATA_TRY(check_update(variable, operation, elements));
    if (value->symbolic)
        return STRATA_OK;
    STRATA_TRY(check_value(variable, value, operation));
    void *piece = take_piece(variable, value);
    if (strata__variable_joins(variable))
        strata__aggregate(variable, piece);
    if (strata__variable_write_begin(variable))
        elements(variable->dtype, variable->value->data, piece, variable->count);
    strata__variable_write_end(variable);
    strata__free(ctx, piece);
    return STRATA_OK;
}

strata_status strata_replica_assign(strata_variable *variable, strata_tensor *value)
{
    return update(variable, value, "assign", copy_elements);
}

strata_status strata_replica_assign_add(strata_variable *variable, strata_tensor *value)
{
    return update(variable, value, "assign_add", strata__elements_add);
}

strata_status strata_replica_assign_sub(strata_variable *variable, strata_tensor *value)
{
    return update(variable, value, "assign_sub", strata__elements_subtract);
}
