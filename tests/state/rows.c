/* The rows of the specification of distributed variables: what they share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include "state/elements.h"

void row_run(int types, row_check *check, const void *what)
{
    row_run_on(NULL, types, check, what);
}

void row_run_on(const char *mesh, int types, row_check *check, const void *what)
{
    static const strata_dtype dtypes[ROW_TYPES] = {STRATA_FLOAT32, STRATA_FLOAT64, STRATA_INT32,
                                                   STRATA_INT64, STRATA_BOOL};
    strata_context *ctx = test_session(mesh);
    const strata__group *replicas = &ctx->mesh->groups[STRATA__BATCH];
    for (int t = 0; t < types; t++) {
        for (int a = 0; a < ROW_AGGREGATIONS; a++)
            check(&(row){.ctx = ctx,
                         .replicas = replicas->size,
                         .replica = replicas->rank,
                         .dtype = dtypes[t],
                         .aggregation = (strata_aggregation)a,
                         .what = what});
    }
}

strata_variable *row_variable(const row *row, strata_synchronization synchronization,
                              double initial)
{
    char initializer[64];
    snprintf(initializer, sizeof initializer, "Constant(%g)", initial);
    strata_variable *variable =
        strata__variable_new(row->ctx, &(strata__variable_spec){.name = "v",
                                                                .shape = STRATA_SHAPE(ROW_SIZE),
                                                                .dtype = row->dtype,
                                                                .initializer = initializer,
                                                                .synchronization = synchronization,
                                                                .aggregation = row->aggregation});
    assert_all_ok(row->ctx);
    return variable;
}

const void *row_data(const row *row, double value)
{
    static double data[ROW_SIZE];
    strata__elements_set(row->dtype, data, ROW_SIZE, value);
    return data;
}

strata_tensor *row_tensor(const row *row, strata_dtype dtype, strata_shape shape,
                          const double *values)
{
    strata_tensor *tensor = strata__tensor_new(row->ctx, dtype, &shape, (strata__layout){0});
    assert_all(tensor != NULL);
    for (int64_t i = 0; i < strata__local_count(tensor); i++)
        strata__elements_set(dtype, (char *)tensor->data + (size_t)i * strata_dtype_size(dtype), 1,
                             values[i]);
    return tensor;
}

void row_apply(const row *row, row_operation *operation, strata_variable *variable, double value)
{
    strata_scope_begin(row->ctx);
    operation(variable, row_tensor(row, row->dtype, STRATA_SHAPE(ROW_SIZE),
                                   (const double[ROW_SIZE]){value, value, value}));
    strata_scope_end(row->ctx);
}

double row_number(const row *row, double value)
{
    switch (row->dtype) {
    case STRATA_BOOL:
        return value != 0;
    case STRATA_INT32:
    case STRATA_INT64:
        return (double)(int64_t)value;
    default:
        return value;
    }
}

static double element(strata_dtype dtype, const void *data, int i)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        return ((const float *)data)[i];
    case STRATA_FLOAT64:
        return ((const double *)data)[i];
    case STRATA_INT32:
        return ((const int32_t *)data)[i];
    case STRATA_INT64:
        return (double)((const int64_t *)data)[i];
    default:
        return ((const uint8_t *)data)[i];
    }
}

double row_own(const strata_variable *variable, int i)
{
    return element(variable->dtype, variable->value->data, i);
}

double row_read(const row *row, strata_variable *variable, int i)
{
    double whole[ROW_SIZE];
    strata_cross_read(variable, whole);
    assert_all_ok(row->ctx);
    return element(variable->dtype, whole, i);
}

void row_own_is(const row *row, const strata_variable *variable, double expected)
{
    for (int i = 0; i < ROW_SIZE; i++)
        assert_all_near(row_own(variable, i), row_number(row, expected), 1e-6);
}

void row_read_is(const row *row, strata_variable *variable, double expected)
{
    for (int i = 0; i < ROW_SIZE; i++)
        assert_all_near(row_read(row, variable, i), row_number(row, expected), 1e-6);
}

double row_aggregate(const row *row, row_value *value)
{
    double sum = 0;
    for (int r = 0; r < row->replicas; r++)
        sum += row_number(row, value(r));
    switch (row->aggregation) {
    case STRATA_AGGREGATION_SUM:
        return sum;
    case STRATA_AGGREGATION_MEAN:
        return sum / row->replicas;
    case STRATA_AGGREGATION_ONLY_FIRST_REPLICA:
        return value(0);
    default:
        return value(row->replica);
    }
}

const char *row_refusal(const row *row)
{
    if (row->replicas == 1)
        return NULL;
    if (row->aggregation == STRATA_AGGREGATION_NONE)
        return "You must specify an aggregation method to update variable 'v' in replica context";
    if (row->aggregation == STRATA_AGGREGATION_MEAN && !strata__dtype_is_real(row->dtype))
        return "Cannot update non-float variables with tf.VariableAggregation.MEAN aggregation in "
               "replica context";
    return NULL;
}

void row_as_written(const row *row, const double written[ROW_AGGREGATIONS], double expected)
{
    if (row->replicas == 2)
        assert_all_near(expected, written[row->aggregation], 0);
}
