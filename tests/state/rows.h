/* The rows of the specification of distributed variables: what they share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_STATE_ROWS_H
#define STRATA_TESTS_STATE_ROWS_H

#include "sessions.h"
#include "state/variable.h"

/*
 * A row says what an operation gives, by aggregation. R is the number of replicas, r that of the
 * own one; with one replica every variable is plain. Where a row gives numbers for R = 2, they are
 * checked there too.
 */
typedef struct row_list {
    const struct CMUnitTest *rows;
    size_t count;
} row_list;

extern const row_list creation_rows, on_write_rows, scatter_rows, on_read_rows, saved_rows,
    trained_rows;

/* One case of a row. */
typedef struct row {
    strata_context *ctx;
    int replicas, replica;
    strata_dtype dtype;
    strata_aggregation aggregation;
    const void *what; /* of row_run() */
} row;

enum { ROW_SIZE = 3 /* elements of a variable */, ROW_AGGREGATIONS = 4 };

/* How many of float32, float64, int32, int64, bool, in this order, a row allows. */
enum { ROW_FLOAT32 = 1, ROW_FLOATS = 2, ROW_NUMBERS = 4, ROW_TYPES = 5 };

/* Calls `check` for these types and all aggregations, with all ranks as replicas, or on a mesh. */
typedef void row_check(const row *row);
void row_run(int types, row_check *check, const void *what);
void row_run_on(const char *mesh, int types, row_check *check, const void *what);

/* A variable "v" (ROW_SIZE), not trainable, all elements `initial`. */
strata_variable *row_variable(const row *row, strata_synchronization synchronization,
                              double initial);

/* ROW_SIZE elements of the row's type, all `value`. Valid until the next call. */
const void *row_data(const row *row, double value);

/* A whole tensor of the current scope from numbers. */
strata_tensor *row_tensor(const row *row, strata_dtype dtype, strata_shape shape,
                          const double *values);

typedef strata_status row_operation(strata_variable *variable, strata_tensor *value);

/* One replica operation in a scope of its own, passing ROW_SIZE times `value`. */
void row_apply(const row *row, row_operation *operation, strata_variable *variable, double value);

/* What becomes of a number in a variable of the row's type. */
double row_number(const row *row, double value);

/* Element i of the own copy, and of what a cross read gives. */
double row_own(const strata_variable *variable, int i);
double row_read(const row *row, strata_variable *variable, int i);

/* All elements of the own copy, or of a cross read, are this number. */
void row_own_is(const row *row, const strata_variable *variable, double expected);
void row_read_is(const row *row, strata_variable *variable, double expected);

/* What the values that the replicas pass come to; NONE: the own one. */
typedef double row_value(int replica);
double row_aggregate(const row *row, row_value *value);

/* Words of the refusal of a replica operation on an ON_WRITE variable; NULL: it is allowed. */
const char *row_refusal(const row *row);

/* The numbers that a row gives for R = 2, by aggregation, are what the test expects. */
void row_as_written(const row *row, const double written[ROW_AGGREGATIONS], double expected);

#endif
