/* Scatter operations on variables: slices along axis 0, named by their numbers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "mesh/checked.h"
#include "state/aggregate.h"
#include "state/elements.h"

static const char *const names[] = {
    [STRATA_SCATTER_ADD] = "scatter_add",       [STRATA_SCATTER_SUB] = "scatter_sub",
    [STRATA_SCATTER_MUL] = "scatter_mul",       [STRATA_SCATTER_DIV] = "scatter_div",
    [STRATA_SCATTER_MIN] = "scatter_min",       [STRATA_SCATTER_MAX] = "scatter_max",
    [STRATA_SCATTER_UPDATE] = "scatter_update",
};

/* Slices on their way into a variable. */
typedef struct slices {
    strata_variable *variable;
    strata_scatter operation;
    int64_t count;         /* slices */
    int64_t width;         /* elements of one */
    const int64_t *number; /* (count) */
    const char *values;    /* (count, width) in the variable's dtype */
} slices;

/* --- checks: the same verdict on all ranks --- */

static strata_status check_rule(const strata_variable *variable, strata_scatter operation)
{
    const char *name = names[operation];
    if (operation != STRATA_SCATTER_UPDATE)
        STRATA_TRY(strata__arithmetic_check(variable, name));
    if (strata__variable_varies(variable) && !variable->updating)
        return strata__fail(
            variable->ctx, STRATA_UNSUPPORTED,
            "Variables with `synchronization=ON_READ` doesn't support `%s` (variable '%s')", name,
            variable->path);
    STRATA_TRY(strata__aggregation_check(variable, name));
    bool adds_up = variable->aggregation == STRATA_AGGREGATION_SUM ||
                   variable->aggregation == STRATA_AGGREGATION_MEAN;
    if (strata__variable_joins(variable) && adds_up && operation >= STRATA_SCATTER_MIN)
        return strata__fail(variable->ctx, STRATA_UNSUPPORTED,
                            "%s is only supported for mirrored variable with NONE or "
                            "`ONLY_FIRST_REPLICA` aggregation, got: %s (variable '%s')",
                            name, strata_aggregation_name(variable->aggregation), variable->path);
    return STRATA_OK;
}

static bool is_whole(const strata_tensor *tensor)
{
    return !tensor->layout.batch && !tensor->layout.split && !tensor->matrix;
}

static strata_status check_types(const strata_variable *variable, const strata_tensor *indices,
                                 const strata_tensor *values, const char *name)
{
    strata_context *ctx = variable->ctx;
    if (values->dtype != variable->dtype)
        return strata__fail(
            ctx, STRATA_INVALID,
            "%s: variable '%s' is %s, the values are %s; convert them with strata_ops_cast()", name,
            variable->path, strata_dtype_name(variable->dtype), strata_dtype_name(values->dtype));
    if (indices->dtype != STRATA_INT32 && indices->dtype != STRATA_INT64)
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: the indices for variable '%s' are %s; they must be int32 or int64",
                            name, variable->path, strata_dtype_name(indices->dtype));
    if (!is_whole(indices) || !is_whole(values))
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: Cannot use DistributedValues to update variables in replica "
                            "context: indices and values for variable '%s' must be whole, not "
                            "split over the batch or the features",
                            name, variable->path);
    return STRATA_OK;
}

/* values: the shape of the indices, then that of a slice. */
static strata_status check_shapes(const strata_variable *variable, const strata_tensor *indices,
                                  const strata_tensor *values, const char *name)
{
    char own[STRATA__SHAPE_TEXT], many[STRATA__SHAPE_TEXT], given[STRATA__SHAPE_TEXT];
    const strata_shape *shape = &variable->shape;
    strata_shape expected = indices->shape;
    bool fits = shape->rank > 0 && expected.rank + shape->rank - 1 <= STRATA_MAX_RANK;
    for (int i = 1; fits && i < shape->rank; i++)
        expected.dims[expected.rank++] = shape->dims[i];
    if (fits && strata__shape_equal(&values->shape, &expected))
        return STRATA_OK;
    return strata__fail(variable->ctx, STRATA_INVALID,
                        "%s: Must have updates.shape = indices.shape + variable.shape[1:], got "
                        "updates.shape %s, indices.shape %s, variable.shape %s (variable '%s')",
                        name, strata__shape_text(&values->shape, given),
                        strata__shape_text(&indices->shape, many), strata__shape_text(shape, own),
                        variable->path);
}

/* --- where slices go --- */

static int64_t number_at(const strata_tensor *indices, int64_t i)
{
    return indices->dtype == STRATA_INT64 ? ((const int64_t *)indices->data)[i]
                                          : ((const int32_t *)indices->data)[i];
}

/* A number out of range is everybody's error at the end of the step; −1, nowhere, until then. */
static void read_numbers(const strata_variable *variable, const strata_tensor *indices,
                         const char *name, int64_t count, int64_t *numbers)
{
    int64_t last = variable->shape.dims[0] - 1;
    for (int64_t i = 0; i < count; i++) {
        int64_t number = number_at(indices, i);
        numbers[i] = number >= 0 && number <= last ? number : -1;
        if (numbers[i] < 0)
            strata__defer(variable->ctx, STRATA_BAD_DATA,
                          "%s: index %lld for variable '%s' is not in 0 … %lld", name,
                          (long long)number, variable->path, (long long)last);
    }
}

/* Called with an element of this rank's piece and the value that goes there. */
typedef void visit(void *user, int64_t element, const void *value);

static void visit_slices(const slices *s, visit *each, void *user)
{
    int64_t first[2], count[2], global[2];
    strata__variable_block(s->variable, first, count, global);
    size_t size = strata_dtype_size(s->variable->dtype);
    for (int64_t i = 0; i < s->count; i++) {
        for (int64_t j = 0; s->number[i] >= 0 && j < s->width; j++) {
            int64_t element = s->number[i] * s->width + j;
            int64_t row = element / global[1] - first[0], column = element % global[1] - first[1];
            if (row >= 0 && row < count[0] && column >= 0 && column < count[1])
                each(user, row * count[1] + column, s->values + (size_t)(i * s->width + j) * size);
        }
    }
}

/* --- one slice after the other --- */

static void apply_one(void *user, int64_t element, const void *value)
{
    const slices *s = user;
    size_t size = strata_dtype_size(s->variable->dtype);
    strata__element_scatter(s->variable->dtype, s->operation,
                            (char *)s->variable->value->data + (size_t)element * size, value);
}

static void apply_in_order(slices *s)
{
    if (strata__variable_write_begin(s->variable))
        visit_slices(s, apply_one, s);
    strata__variable_write_end(s->variable);
}

/* Everybody applies the slices of the first replica, who may pass another number of them. */
static void apply_first(slices *s)
{
    strata_context *ctx = s->variable->ctx;
    strata__axis axis = s->variable->replicas;
    size_t size = strata_dtype_size(s->variable->dtype);
    slices all = *s;
    strata__broadcast(ctx, axis, 0, &all.count, sizeof all.count);
    int64_t *number = strata__scratch(ctx, all.count, sizeof *number);
    char *values = strata__scratch(ctx, all.count * all.width, size);
    if (ctx->mesh->groups[axis].rank == 0) {
        memcpy(number, s->number, (size_t)all.count * sizeof *number);
        memcpy(values, s->values, (size_t)(all.count * all.width) * size);
    }
    strata__broadcast(ctx, axis, 0, number, all.count * (int64_t)sizeof *number);
    strata__broadcast(ctx, axis, 0, values, all.count * all.width * (int64_t)size);
    all.number = number;
    all.values = values;
    apply_in_order(&all);
    strata__free(ctx, values);
    strata__free(ctx, number);
}

/* --- slices that are added up --- */

typedef struct heap {
    strata_dtype dtype;
    char *sums;    /* (local count) of the variable, in its dtype */
    bool *touched; /* (local count) */
} heap;

static void pile_up(void *user, int64_t element, const void *value)
{
    heap *h = user;
    char *sum = h->sums + (size_t)element * strata_dtype_size(h->dtype);
    strata__element_scatter(h->dtype, STRATA_SCATTER_ADD, sum, value);
    h->touched[element] = true;
}

static void apply_heap(const slices *s, const heap *h)
{
    strata_variable *variable = s->variable;
    size_t size = strata_dtype_size(variable->dtype);
    char *data = variable->value->data;
    if (strata__variable_write_begin(variable)) {
        for (int64_t i = 0; i < variable->count; i++) {
            if (h->touched[i])
                strata__element_scatter(variable->dtype, s->operation, data + (size_t)i * size,
                                        h->sums + (size_t)i * size);
        }
    }
    strata__variable_write_end(variable);
}

/* Values for one element are added up over slices and replicas, then applied once, so that the
 * number of replicas does not show. */
static void apply_sums(const slices *s)
{
    strata_variable *variable = s->variable;
    strata_context *ctx = variable->ctx;
    heap h = {.dtype = variable->dtype};
    h.sums = strata__scratch(ctx, variable->count, strata_dtype_size(variable->dtype));
    h.touched = strata__scratch(ctx, variable->count, sizeof *h.touched);
    memset(h.sums, 0, (size_t)variable->count * strata_dtype_size(variable->dtype));
    memset(h.touched, 0, (size_t)variable->count * sizeof *h.touched);
    visit_slices(s, pile_up, &h);
    if (strata__variable_joins(variable)) {
        strata__aggregate(variable, h.sums);
        strata__sum(ctx, variable->replicas, h.touched, variable->count, STRATA_BOOL);
    }
    apply_heap(s, &h);
    strata__free(ctx, h.touched);
    strata__free(ctx, h.sums);
}

/* --- the operation --- */

static void apply(slices *s)
{
    strata_aggregation rule = s->variable->aggregation;
    bool adds_up = rule == STRATA_AGGREGATION_SUM || rule == STRATA_AGGREGATION_MEAN;
    if (adds_up && s->operation < STRATA_SCATTER_MIN)
        apply_sums(s);
    else if (strata__variable_joins(s->variable))
        apply_first(s);
    else
        apply_in_order(s);
}

strata_status strata_replica_scatter(strata_variable *variable, strata_scatter operation,
                                     strata_tensor *indices, strata_tensor *values)
{
    if (!variable || !indices || !values)
        return STRATA_INVALID;
    strata_context *ctx = variable->ctx;
    STRATA_TRY(ctx->status);
    if (strata__variable_joins(variable) && !values->symbolic)
        strata__check(ctx, variable->replicas,
                      &(strata__signature){.operation = names[operation],
                                           .variable = variable->path,
                                           .shape = variable->shape,
                                           .dtype = values->dtype});
    STRATA_TRY(check_rule(variable, operation));
    if (indices->symbolic || values->symbolic)
        return STRATA_OK;
    STRATA_TRY(check_types(variable, indices, values, names[operation]));
    STRATA_TRY(check_shapes(variable, indices, values, names[operation]));
    int64_t count = strata__local_count(indices);
    int64_t *numbers = strata__scratch(ctx, count, sizeof *numbers);
    read_numbers(variable, indices, names[operation], count, numbers);
    apply(&(slices){.variable = variable,
                    .operation = operation,
                    .count = count,
                    .width = strata__product(&variable->shape, 1, variable->shape.rank),
                    .number = numbers,
                    .values = values->data});
    strata__free(ctx, numbers);
    return STRATA_OK;
}
