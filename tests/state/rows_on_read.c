/* Rows R1 to R7 and R9 to R11: ON_READ variables; each replica has a value of its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <strata/ops.h>

static strata_variable *on_read(const row *row, double initial)
{
    return row_variable(row, STRATA_SYNCHRONIZATION_ON_READ, initial);
}

static const char cannot_read[] =
    "Could not convert from `tf.VariableAggregation` VariableAggregation.NONE to "
    "`tf.distribute.ReduceOp` type";

/* A cross read gives this number, or is refused because nothing says how (R3). */
static void check_read(const row *row, strata_variable *variable, double expected)
{
    double whole[ROW_SIZE];
    if (row->aggregation == STRATA_AGGREGATION_NONE && row->replicas > 1) {
        assert_all_int_equal(strata_cross_read(variable, whole), STRATA_INVALID);
        assert_all_error(row->ctx, STRATA_INVALID, cannot_read);
    } else {
        row_read_is(row, variable, expected);
    }
}

static double own_number(int replica)
{
    return replica;
}

/* Copies 0 … R − 1. */
static strata_variable *numbered(const row *row)
{
    strata_variable *variable = on_read(row, 0);
    row_apply(row, strata_replica_assign, variable, row->replica);
    return variable;
}

/* --- R1, R2 --- */

static void check_own_copy(const row *row)
{
    strata_variable *variable = on_read(row, 1);
    row_apply(row, strata_replica_assign, variable, row->replica + 3);
    row_own_is(row, variable, row->replica + 3);
    if (row->dtype != STRATA_BOOL) {
        row_apply(row, strata_replica_assign_add, variable, 2 * row->replica);
        row_own_is(row, variable, 3 * row->replica + 3);
        row_apply(row, strata_replica_assign_sub, variable, row->replica);
        row_own_is(row, variable, 2 * row->replica + 3);
    }
    strata_scope_begin(row->ctx);
    assert_all(strata_variable_value(variable) == variable->value);
    strata_scope_end(row->ctx);
    strata__variable_free(variable);
}

static void r1_r2_own_copy(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_own_copy, NULL);
}

/* --- R3, R4 --- */

/* Means of whole numbers are cut towards 0. */
static void check_cross_read(const row *row)
{
    static const double written[ROW_AGGREGATIONS] = {0, 1, 0.5, 0};
    strata_variable *variable = numbered(row);
    double expected = row_aggregate(row, own_number);
    check_read(row, variable, expected);
    if (row->dtype != STRATA_BOOL && row->aggregation != STRATA_AGGREGATION_NONE)
        row_as_written(row, written, expected);
    row_own_is(row, variable, row->replica);
    strata__variable_free(variable);
}

static void r3_r4_cross_read(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_cross_read, NULL);
}

/* --- R5, R6 --- */

/* Decision 3: the remainder of whole numbers goes to the low replicas. */
static double share(const row *row, int64_t whole)
{
    if (row->aggregation != STRATA_AGGREGATION_SUM || row->dtype == STRATA_BOOL)
        return (double)whole;
    if (row->dtype == STRATA_FLOAT32 || row->dtype == STRATA_FLOAT64)
        return (double)whole / row->replicas;
    int64_t rest = whole % row->replicas, sign = rest < 0 ? -1 : 1;
    return (double)(whole / row->replicas + (row->replica < sign * rest ? sign : 0));
}

static void check_cross_assign(const row *row)
{
    static const int64_t given[] = {6, 7, -11, 0, 840};
    strata_variable *variable = on_read(row, 1);
    for (size_t i = 0; i < TEST_COUNT(given); i++) {
        strata_cross_assign(variable, row_data(row, (double)given[i]));
        assert_all_ok(row->ctx);
        for (int e = 0; e < ROW_SIZE; e++)
            assert_all_near(row_own(variable, e), row_number(row, share(row, given[i])), 1e-4);
        if (row->aggregation != STRATA_AGGREGATION_NONE)
            assert_all_near(row_read(row, variable, 0), row_number(row, (double)given[i]), 1e-4);
    }
    strata__variable_free(variable);
}

static void r5_cross_assign(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_cross_assign, NULL);
}

static void check_six(const row *row)
{
    strata_variable *variable = on_read(row, 0);
    strata_cross_assign(variable, row_data(row, 6));
    if (row->replicas == 2)
        row_own_is(row, variable, row->aggregation == STRATA_AGGREGATION_SUM ? 3 : 6);
    check_read(row, variable, 6);
    strata__variable_free(variable);
}

static void r6_six(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_six, NULL);
}

/* --- R7 --- */

static void check_cross_change(const row *row)
{
    strata_variable *variable = numbered(row);
    bool refused = row->aggregation == STRATA_AGGREGATION_SUM && row->replicas > 1;
    strata_cross_assign_add(variable, row_data(row, 4));
    if (refused)
        assert_all_error(row->ctx, STRATA_INVALID,
                         "SyncOnReadVariable does not support `assign_add` in cross-replica "
                         "context when aggregation is set to `tf.VariableAggregation.SUM`.");
    assert_all_ok(row->ctx);
    row_own_is(row, variable, row->replica + (refused ? 0 : 4));
    strata_cross_assign_sub(variable, row_data(row, 3));
    if (refused)
        assert_all_error(row->ctx, STRATA_INVALID, "does not support `assign_sub`");
    assert_all_ok(row->ctx);
    row_own_is(row, variable, row->replica + (refused ? 0 : 1));
    strata__variable_free(variable);
}

static void r7_cross_assign_add_and_sub(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_cross_change, NULL);
}

/* --- R9 --- */

/* Operations compute with the own copy; a cross read is what the program computes with outside. */
static void check_plus_one(const row *row)
{
    static const double written[ROW_AGGREGATIONS] = {0, 2, 1.5, 1};
    strata_variable *variable = numbered(row);
    strata_scope_begin(row->ctx);
    strata_tensor *next = strata_ops_affine(strata_variable_value(variable), 1, 1);
    assert_all_ok(row->ctx);
    assert_all_near(((const float *)strata_tensor_data(next))[0], row->replica + 1, 0);
    strata_scope_end(row->ctx);
    if (row->aggregation != STRATA_AGGREGATION_NONE) {
        double outside = row_read(row, variable, 0) + 1;
        assert_all_near(outside, row_aggregate(row, own_number) + 1, 1e-6);
        row_as_written(row, written, outside);
    }
    strata__variable_free(variable);
}

static void r9_plus_one(void **state)
{
    (void)state;
    row_run(ROW_FLOAT32, check_plus_one, NULL);
}

/* --- R10 --- */

/* C has no handle but the own copy; the replica context is a scope, or the call of a layer. */
static void check_raw(const row *row)
{
    strata_variable *variable = numbered(row);
    strata_tensor *value = strata_variable_value(variable);
    assert_all((value == NULL) == (row->replicas > 1));
    if (!value)
        assert_all_error(row->ctx, STRATA_INVALID, "not available outside the replica context");
    assert_all_ok(row->ctx);
    strata__variable_free(variable);
}

static void r10_raw_value(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_raw, NULL);
}

/* --- R11 --- */

static void add_own_number(strata_variable *variable, void *user)
{
    const row *row = user;
    assert_all(strata_variable_value(variable) != NULL);
    strata_replica_assign_add(variable,
                              row_tensor(row, row->dtype, STRATA_SHAPE(ROW_SIZE),
                                         (double[]){row->replica, row->replica, row->replica}));
}

/* Local for ON_WRITE too, whatever the aggregation is; afterwards everything is as before. */
static void check_update(const row *row)
{
    for (int s = STRATA_SYNCHRONIZATION_ON_WRITE; s <= STRATA_SYNCHRONIZATION_ON_READ; s++) {
        strata_variable *variable = row_variable(row, (strata_synchronization)s, 2);
        assert_all_int_equal(strata_cross_update(variable, add_own_number, (void *)row), STRATA_OK);
        row_own_is(row, variable, 2 + row->replica);
        if (s == STRATA_SYNCHRONIZATION_ON_WRITE && row_refusal(row)) {
            row_apply(row, strata_replica_assign, variable, 1);
            assert_all_error(row->ctx, STRATA_INVALID, row_refusal(row));
        }
        strata__variable_free(variable);
    }
}

static void r11_update(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_update, NULL);
}

static const struct CMUnitTest rows[] = {
    {.name = "R1 R2 replica operations and reads of the own copy", .test_func = r1_r2_own_copy},
    {.name = "R3 R4 cross read after assign(r)", .test_func = r3_r4_cross_read},
    {.name = "R5 cross assign, decision 3", .test_func = r5_cross_assign},
    {.name = "R6 cross assign 6, then read", .test_func = r6_six},
    {.name = "R7 cross assign_add and assign_sub", .test_func = r7_cross_assign_add_and_sub},
    {.name = "R9 v + 1", .test_func = r9_plus_one},
    {.name = "R10 the raw value outside a replica", .test_func = r10_raw_value},
    {.name = "R11 update() is local", .test_func = r11_update},
};

const row_list on_read_rows = {rows, TEST_COUNT(rows)};
