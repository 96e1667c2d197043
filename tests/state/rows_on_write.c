/* Rows W1 to W10 and W13: ON_WRITE variables; aggregation acts on the passed value. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

static strata_variable *on_write(const row *row, double initial)
{
    return row_variable(row, STRATA_SYNCHRONIZATION_AUTO, initial);
}

/* --- W1, W2 --- */

static void check_reads(const row *row)
{
    strata_variable *variable = on_write(row, 1);
    strata_cross_assign(variable, row_data(row, 6));
    row_read_is(row, variable, 6);
    assert_all(strata_variable_value(variable)->data == variable->value->data);
    row_own_is(row, variable, 6);
    strata__variable_free(variable);
}

static void w1_w2_reads(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_reads, NULL);
}

/* --- W3 --- */

typedef struct cross_case {
    strata_status (*call)(strata_variable *variable, const void *data);
    double start, given, result;
} cross_case;

static void check_cross(const row *row)
{
    const cross_case *c = row->what;
    strata_variable *variable = on_write(row, c->start);
    c->call(variable, row_data(row, c->given));
    if (row->dtype == STRATA_BOOL && c->call != strata_cross_assign)
        assert_all_error(row->ctx, STRATA_INVALID, "variable 'v' is bool, which can only be");
    else
        row_own_is(row, variable, c->result);
    assert_all_ok(row->ctx);
    strata__variable_free(variable);
}

static void w3_cross_assign(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_cross, &(cross_case){strata_cross_assign, 0, 6, 6});
    row_run(ROW_TYPES, check_cross, &(cross_case){strata_cross_assign_add, 1, 6, 7});
    row_run(ROW_TYPES, check_cross, &(cross_case){strata_cross_assign_sub, 5, 2, 3});
}

/* --- W4 to W10 --- */

typedef struct replica_case {
    row_operation *call;
    double start, sign; /* result: start + sign · aggregate */
    row_value *passed;
    const double *written; /* for R = 2 */
} replica_case;

/* Decision 1: NONE is an error; nothing has changed then. */
static void check_replica(const row *row)
{
    const replica_case *c = row->what;
    strata_variable *variable = on_write(row, c->start);
    row_apply(row, c->call, variable, c->passed(row->replica));
    if (row_refusal(row)) {
        assert_all_error(row->ctx, STRATA_INVALID, row_refusal(row));
        row_own_is(row, variable, c->start);
    } else {
        double expected = c->start + c->sign * row_aggregate(row, c->passed);
        assert_all_ok(row->ctx);
        row_own_is(row, variable, expected);
        row_read_is(row, variable, expected);
        if (c->written && row->dtype != STRATA_BOOL)
            row_as_written(row, c->written, expected);
    }
    strata__variable_free(variable);
}

static double any_value(int replica)
{
    return 3.0 * replica + 1;
}

static double own_number(int replica)
{
    return replica;
}

static double two(int replica)
{
    (void)replica;
    return 2;
}

static double five(int replica)
{
    (void)replica;
    return 5;
}

static void w4_replica_assign(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_replica,
            &(replica_case){strata_replica_assign, 0, 1, any_value, NULL});
}

static void w5_replica_assign_r(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_replica,
            &(replica_case){strata_replica_assign, 0, 1, own_number, (double[]){0, 1, 0.5, 0}});
}

static void w6_replica_assign_add_r(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_replica,
            &(replica_case){strata_replica_assign_add, 1, 1, own_number, (double[]){0, 2, 1.5, 1}});
}

static void w7_replica_assign_sub_r(void **state)
{
    (void)state;
    row_run(
        ROW_NUMBERS, check_replica,
        &(replica_case){strata_replica_assign_sub, 5, -1, own_number, (double[]){0, 4, 4.5, 5}});
}

static void w8_replica_assign_equal(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_replica,
            &(replica_case){strata_replica_assign, 0, 1, two, (double[]){0, 4, 2, 2}});
}

/* Decision 2: in a program of many processes a constant is a value of each replica, so that its sum
 * is R times it. The row's error is TensorFlow's. */
static void w9_replica_assign_constant(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_replica,
            &(replica_case){strata_replica_assign, 0, 1, five, (double[]){0, 10, 5, 5}});
}

/* Sums of whole numbers are exact where floats are not. */
static double large(int replica)
{
    return 16777217.0 + replica;
}

static void w10_whole_numbers(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_replica,
            &(replica_case){strata_replica_assign, 0, 1, own_number, NULL});
    strata_context *ctx = test_session(NULL);
    row case_ = {.ctx = ctx,
                 .replicas = test_ranks(),
                 .replica = test_rank(),
                 .dtype = STRATA_INT32,
                 .aggregation = STRATA_AGGREGATION_SUM,
                 .what = &(replica_case){strata_replica_assign, 0, 1, large, NULL}};
    check_replica(&case_);
    case_.dtype = STRATA_INT64;
    check_replica(&case_);
}

/* --- W13 --- */

/* What holds the values of all replicas in an MPI program is a tensor that is split over the
 * batch. */
static void check_container(const row *row)
{
    strata_variable *variable = on_write(row, 1);
    strata_variable *on_read = row_variable(row, STRATA_SYNCHRONIZATION_ON_READ, 1);
    strata_variable *variables[] = {variable, on_read};
    for (int i = 0; i < 2; i++) {
        strata_scope_begin(row->ctx);
        strata_tensor *container = strata__tensor_new(row->ctx, row->dtype, &STRATA_SHAPE(ROW_SIZE),
                                                      (strata__layout){.batch = true});
        strata_status status = strata_replica_assign(variables[i], container);
        assert_all_int_equal(status, STRATA_INVALID);
        if (variables[i] == variable && row_refusal(row))
            assert_all_error(row->ctx, STRATA_INVALID, row_refusal(row));
        else
            assert_all_error(row->ctx, STRATA_INVALID,
                             "Cannot use DistributedValues to update variables in replica context");
        strata_scope_end(row->ctx);
        row_own_is(row, variables[i], 1);
        strata__variable_free(variables[i]);
    }
}

static void w13_container(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_container, NULL);
}

static const struct CMUnitTest rows[] = {
    {.name = "W1 W2 cross read and replica read", .test_func = w1_w2_reads},
    {.name = "W3 cross assign 6, add 6 to 1, sub 2 from 5", .test_func = w3_cross_assign},
    {.name = "W4 replica assign(v_r), decision 1", .test_func = w4_replica_assign},
    {.name = "W5 replica assign(r)", .test_func = w5_replica_assign_r},
    {.name = "W6 replica assign_add(r) to 1", .test_func = w6_replica_assign_add_r},
    {.name = "W7 replica assign_sub(r) from 5", .test_func = w7_replica_assign_sub_r},
    {.name = "W8 replica assign of 2 by each", .test_func = w8_replica_assign_equal},
    {.name = "W9 replica assign of a constant, decision 2",
     .test_func = w9_replica_assign_constant},
    {.name = "W10 whole numbers", .test_func = w10_whole_numbers},
    {.name = "W13 a container of the replicas' values", .test_func = w13_container},
};

const row_list on_write_rows = {rows, TEST_COUNT(rows)};
