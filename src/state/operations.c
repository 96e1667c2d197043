/* Replica and cross operations on variables: who gets which value. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "state/elements.h"
#include "state/variable.h"

/* --- whole arrays and pieces --- */

typedef struct cutting {
    const char *whole;
    char *piece;
    size_t size; /* of an element */
} cutting;

static void cut_run(void *user, int64_t global, int64_t local, int64_t length)
{
    const cutting *c = user;
    memcpy(c->piece + (size_t)local * c->size, c->whole + (size_t)global * c->size,
           (size_t)length * c->size);
}

void strata__variable_cut(const strata_variable *variable, const void *whole, void *piece)
{
    cutting c = {.whole = whole, .piece = piece, .size = strata_dtype_size(variable->dtype)};
    strata__variable_runs(variable, cut_run, &c);
}

strata_status strata__variable_collect(const strata_variable *variable, const void *piece,
                                       void *whole)
{
    strata_context *ctx = variable->ctx;
    int64_t first[2], count[2], global[2];
    strata__variable_block(variable, first, count, global);
    if (variable->placement == STRATA__WHOLE) {
        memmove(whole, piece, (size_t)variable->count * strata_dtype_size(variable->dtype));
        return STRATA_OK;
    }
    if (variable->placement == STRATA__VECTOR) {
        strata__gather_columns(ctx, STRATA__COLS, piece, whole, global[0], global[1]);
        return STRATA_OK;
    }
    bool root = ctx->mesh->groups[STRATA__GRID].rank == 0;
    STRATA_TRY(strata__matrix_collect(ctx, &variable->matrix, piece, 0, root ? whole : NULL));
    strata__broadcast(ctx, STRATA__GRID, 0, whole, global[0] * global[1] * (int64_t)sizeof(float));
    return STRATA_OK;
}

bool strata__variable_write_begin(strata_variable *variable)
{
    strata__arena *arena = variable->arena;
    if (!arena)
        return true;
    if (arena->values_shared)
        strata__node_barrier(arena->ctx, arena->axis);
    return arena->values_writer;
}

void strata__variable_write_end(strata_variable *variable)
{
    if (variable->arena)
        strata__arena_publish(variable->arena);
}

/* --- aggregation --- */

static bool on_read(const strata_variable *variable)
{
    return variable->synchronization == STRATA_SYNCHRONIZATION_ON_READ;
}

/* In double, so that the mean of equal values is that value: what a file holds is what was written
 * to it. There is no way back from memory that is short on one rank. */
static void mean_of_floats(const strata_variable *variable, float *piece)
{
    strata_context *ctx = variable->ctx;
    double *sums = strata__alloc(ctx, (size_t)variable->count * sizeof *sums);
    if (!sums)
        strata__abort(ctx, "aggregating a variable");
    for (int64_t i = 0; i < variable->count; i++)
        sums[i] = piece[i];
    strata__sum(ctx, variable->replicas, sums, variable->count, STRATA_FLOAT64);
    for (int64_t i = 0; i < variable->count; i++)
        piece[i] = (float)(sums[i] / strata__variable_replicas(variable));
    strata__free(ctx, sums);
}

/* Of the replicas' values of this rank's piece; at least two replicas, and not NONE. */
static void aggregate(const strata_variable *variable, void *piece)
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

/* --- replica operations --- */

typedef void update_elements(strata_dtype dtype, void *elements, const void *from, int64_t count);

static void copy_elements(strata_dtype dtype, void *elements, const void *from, int64_t count)
{
    memcpy(elements, from, (size_t)count * strata_dtype_size(dtype));
}

static strata_status check_value(const strata_variable *variable, const strata_tensor *value,
                                 const char *verb)
{
    strata_context *ctx = variable->ctx;
    char wanted[STRATA__SHAPE_TEXT], given[STRATA__SHAPE_TEXT];
    if (value->dtype != variable->dtype)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: variable '%s' is %s, the value is %s; convert it with strata_ops_cast()", verb,
            variable->path, strata_dtype_name(variable->dtype), strata_dtype_name(value->dtype));
    if (!strata__shape_equal(&value->shape, &variable->value->shape))
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: The shape of the target variable and the shape of the target value must match. "
            "variable.shape=%s, value.shape=%s (variable '%s')",
            verb, strata__shape_text(&variable->value->shape, wanted),
            strata__shape_text(&value->shape, given), variable->path);
    if (value->layout.batch)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: the value for variable '%s' is split over the batch; reduce it over axis 0 first",
            verb, variable->path);
    return STRATA_OK;
}

static strata_status check_update(const strata_variable *variable, const char *verb,
                                  update_elements *update)
{
    strata_context *ctx = variable->ctx;
    bool together = !on_read(variable) && strata__variable_replicas(variable) > 1;
    if (update != copy_elements && variable->dtype == STRATA_BOOL)
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: variable '%s' is bool, which can only be assigned", verb,
                            variable->path);
    if (together && variable->aggregation == STRATA_AGGREGATION_NONE)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: You must specify an aggregation method to update variable '%s' in replica "
            "context: create it with "
            "aggregation sum, mean or only_first_replica, or with synchronization on_read",
            verb, variable->path);
    if (together && variable->aggregation == STRATA_AGGREGATION_MEAN &&
        !strata__dtype_is_real(variable->dtype))
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: Cannot update non-float variables with "
                            "tf.VariableAggregation.MEAN aggregation in replica "
                            "context. Variable '%s' is %s",
                            verb, variable->path, strata_dtype_name(variable->dtype));
    return STRATA_OK;
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
    void *whole = strata__alloc(ctx, (size_t)count * strata_dtype_size(variable->dtype));
    if (!whole)
        strata__abort(ctx, "assigning a variable");
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
    void *piece = strata__alloc(ctx, (size_t)variable->count * strata_dtype_size(variable->dtype));
    if (!piece)
        strata__abort(ctx, "assigning a variable");
    if (same_piece(variable, value))
        copy_elements(variable->dtype, piece, value->data, variable->count);
    else if (cut_value(variable, value, piece) != STRATA_OK)
        strata__abort(ctx, "assigning a variable");
    return piece;
}

/* On symbolic values only the arguments are checked: the update happens when the layer runs on real
 * ones. */
static strata_status update(strata_variable *variable, strata_tensor *value, const char *verb,
                            update_elements *elements)
{
    if (!variable || !value)
        return STRATA_INVALID;
    strata_context *ctx = variable->ctx;
    STRATA_TRY(ctx->status);
    STRATA_TRY(check_update(variable, verb, elements));
    if (value->symbolic)
        return STRATA_OK;
    STRATA_TRY(check_value(variable, value, verb));
    void *piece = take_piece(variable, value);
    if (!on_read(variable) && strata__variable_replicas(variable) > 1)
        aggregate(variable, piece);
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

/* --- cross operations --- */

static strata_status read_aggregated(const strata_variable *variable, void *data)
{
    strata_context *ctx = variable->ctx;
    if (variable->aggregation == STRATA_AGGREGATION_NONE)
        return strata__fail(ctx, STRATA_INVALID,
                            "Could not convert from `tf.VariableAggregation` "
                            "VariableAggregation.NONE to `tf.distribute.ReduceOp` "
                            "type: variable '%s' differs from replica to replica (on_read); create "
                            "it with an aggregation to read it",
                            variable->path);
    void *piece = strata__alloc(ctx, (size_t)variable->count * strata_dtype_size(variable->dtype));
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        copy_elements(variable->dtype, piece, variable->value->data, variable->count);
        aggregate(variable, piece);
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
    if (on_read(variable) && strata__variable_replicas(variable) > 1)
        return read_aggregated(variable, data);
    return strata__variable_collect(variable, variable->value->data, data);
}

strata_status strata_cross_assign(strata_variable *variable, const void *data)
{
    if (!variable)
        return STRATA_INVALID;
    STRATA_TRY(variable->ctx->status);
    const strata__group *group = &variable->ctx->mesh->groups[variable->replicas];
    if (strata__variable_write_begin(variable))
        strata__variable_cut(variable, data, variable->value->data);
    strata__variable_write_end(variable);
    if (on_read(variable) && variable->aggregation == STRATA_AGGREGATION_SUM)
        strata__elements_share(variable->dtype, variable->value->data, variable->count, group->size,
                               group->rank);
    return STRATA_OK;
}
