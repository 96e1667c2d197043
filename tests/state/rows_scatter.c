/* Rows W11, W12 and R8: scatter operations on slices along axis 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

enum { MOST = 16 /* elements */ };

/* Slices that replica r passes: values[i] to numbers[i]. */
typedef struct slices {
    int count;
    int numbers[2];
    double values[2];
} slices;
typedef slices pass(int replica);

/* The row's A: r and r + 1 to themselves. B: r + 2 to r. */
static slices pass_a(int replica)
{
    return (slices){2, {replica, replica + 1}, {replica, replica + 1}};
}

static slices pass_b(int replica)
{
    return (slices){1, {replica}, {replica + 2}};
}

/* Another number of slices on each replica, the same slice twice on the first. */
static slices pass_uneven(int replica)
{
    return replica == 0   ? (slices){2, {1, 1}, {3, 4}}
           : replica == 1 ? (slices){0, {0}, {0}}
                          : (slices){1, {replica}, {2}};
}

typedef struct scatter_case {
    pass *passes;
    double start[3];      /* of elements 0, 1 and all others */
    double written[2][3]; /* for R = 2, elements 0 to 2: of SUM and MEAN */
    bool checks_written[2];
} scatter_case;

/* --- the oracle --- */

static double apply(strata_scatter operation, const row *row, double x, double by)
{
    switch (operation) {
    case STRATA_SCATTER_ADD:
        return x + by;
    case STRATA_SCATTER_SUB:
        return x - by;
    case STRATA_SCATTER_MUL:
        return x * by;
    case STRATA_SCATTER_DIV:
        return row->dtype >= STRATA_INT32 && by == 0 ? 0 : row_number(row, x / by);
    case STRATA_SCATTER_MIN:
        return by < x ? by : x;
    case STRATA_SCATTER_MAX:
        return by > x ? by : x;
    default:
        return by;
    }
}

static void expect_sums(const row *row, strata_scatter operation, pass *passes, double *x)
{
    double sums[MOST] = {0};
    bool touched[MOST] = {false};
    for (int r = 0; r < row->replicas; r++) {
        slices s = passes(r);
        for (int i = 0; i < s.count; i++) {
            sums[s.numbers[i]] += s.values[i];
            touched[s.numbers[i]] = true;
        }
    }
    int parts = row->aggregation == STRATA_AGGREGATION_MEAN ? row->replicas : 1;
    for (int e = 0; e < MOST; e++)
        x[e] = touched[e] ? apply(operation, row, x[e], sums[e] / parts) : x[e];
}

static void expect_first(const row *row, strata_scatter operation, pass *passes, double *x)
{
    slices s = passes(0);
    for (int i = 0; i < s.count; i++)
        x[s.numbers[i]] = apply(operation, row, x[s.numbers[i]], s.values[i]);
}

static bool adds_up(const row *row, strata_scatter operation)
{
    return operation < STRATA_SCATTER_MIN && (row->aggregation == STRATA_AGGREGATION_SUM ||
                                              row->aggregation == STRATA_AGGREGATION_MEAN);
}

/* --- one case --- */

static strata_variable *make(const row *row, strata_synchronization synchronization,
                             const double start[3])
{
    strata_variable *variable =
        strata__variable_new(row->ctx, &(strata__variable_spec){.name = "v",
                                                                .shape = STRATA_SHAPE(MOST),
                                                                .dtype = row->dtype,
                                                                .initializer = "zeros",
                                                                .synchronization = synchronization,
                                                                .aggregation = row->aggregation});
    assert_all_ok(row->ctx);
    strata_scope_begin(row->ctx);
    double values[MOST];
    for (int e = 0; e < MOST; e++)
        values[e] = start[e < 2 ? e : 2];
    strata_tensor *tensor = row_tensor(row, row->dtype, STRATA_SHAPE(MOST), values);
    strata_cross_assign(variable, tensor->data);
    strata_scope_end(row->ctx);
    return variable;
}

static strata_status scatter(const row *row, strata_variable *variable, strata_scatter operation,
                             pass *passes)
{
    slices s = passes(row->replica);
    double numbers[2] = {s.numbers[0], s.numbers[1]};
    strata_scope_begin(row->ctx);
    strata_status status = strata_replica_scatter(
        variable, operation, row_tensor(row, STRATA_INT64, STRATA_SHAPE(s.count), numbers),
        row_tensor(row, row->dtype, STRATA_SHAPE(s.count), s.values));
    strata_scope_end(row->ctx);
    return status;
}

static void check_values(const row *row, const strata_variable *variable, const double *expected)
{
    for (int e = 0; e < MOST; e++)
        assert_all_near(row_own(variable, e), row_number(row, expected[e]), 1e-5);
}

static void check_scatter(const row *row, strata_scatter operation, const scatter_case *c)
{
    strata_variable *variable = make(row, STRATA_SYNCHRONIZATION_AUTO, c->start);
    strata_status status = scatter(row, variable, operation, c->passes);
    double x[MOST];
    for (int e = 0; e < MOST; e++)
        x[e] = c->start[e < 2 ? e : 2];
    if (row_refusal(row)) {
        assert_all_error(row->ctx, STRATA_INVALID, row_refusal(row));
    } else {
        assert_all_int_equal(status, STRATA_OK);
        if (adds_up(row, operation))
            expect_sums(row, operation, c->passes, x);
        else
            expect_first(row, operation, c->passes, x);
        int mean = row->aggregation == STRATA_AGGREGATION_MEAN;
        for (int e = 0; row->replicas == 2 && adds_up(row, operation) && c->checks_written[mean];
             e++) {
            if (e == 3)
                break;
            assert_all_near(x[e], c->written[mean][e], 1e-6);
        }
    }
    check_values(row, variable, x);
    strata__variable_free(variable);
}

/* --- W11 --- */

static const scatter_case add_a = {pass_a, {0, 0, 0}, {{0, 2, 2}, {0, 1, 1}}, {true, true}};
static const scatter_case sub_a = {pass_a, {0, 0, 0}, {{0, -2, -2}, {0, -1, -1}}, {true, true}};
static const scatter_case mul_b = {pass_b, {2, 1, 1}, {{4, 3, 1}, {2, 1.5, 1}}, {true, true}};
static const scatter_case div_b = {pass_b, {1, 6, 1}, {{0.5, 2, 1}}, {false, false}};
static const scatter_case div_b_whole = {pass_b, {1, 6, 1}, {{0, 2, 1}}, {true, false}};
static const scatter_case uneven = {pass_uneven, {7, 30, 5}, {{0}}, {false, false}};

static void check_w11(const row *row)
{
    bool whole = row->dtype >= STRATA_INT32;
    check_scatter(row, STRATA_SCATTER_ADD, &add_a);
    check_scatter(row, STRATA_SCATTER_SUB, &sub_a);
    check_scatter(row, STRATA_SCATTER_MUL, &mul_b);
    check_scatter(row, STRATA_SCATTER_DIV, whole ? &div_b_whole : &div_b);
    for (int o = STRATA_SCATTER_ADD; o <= STRATA_SCATTER_DIV; o++)
        check_scatter(row, (strata_scatter)o, &uneven);
}

/* NONE: decision 1 holds for scatter too, since copies would go apart. */
static void w11_scatter(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_w11, NULL);
}

static const double ones[3] = {1, 1, 1};

/* Whole numbers divided by 0 are 0, as NumPy's are. */
static slices pass_zero(int replica)
{
    (void)replica;
    return (slices){1, {1}, {0}};
}

static void check_division_by_zero(const row *row)
{
    if (row->dtype >= STRATA_INT32)
        check_scatter(row, STRATA_SCATTER_DIV, &(scatter_case){.passes = pass_zero});
}

static void w11_division_by_zero(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_division_by_zero, NULL);
}

static slices pass_outside(int replica)
{
    return replica == 0 ? (slices){2, {0, MOST}, {1, 1}} : (slices){1, {-1}, {1}};
}

/* Seen by one rank alone, everybody's when the ranks agree; what is inside has been applied. */
static void check_outside(const row *row)
{
    if (row->aggregation != STRATA_AGGREGATION_ONLY_FIRST_REPLICA)
        return;
    strata_variable *variable = make(row, STRATA_SYNCHRONIZATION_AUTO, ones);
    assert_all_int_equal(scatter(row, variable, STRATA_SCATTER_ADD, pass_outside), STRATA_OK);
    strata__agree(row->ctx);
    assert_all_error(row->ctx, STRATA_BAD_DATA,
                     "scatter_add: index 16 for variable 'v' is not in 0 … 15");
    assert_all_near(row_own(variable, 0), 2, 0);
    assert_all_near(row_own(variable, MOST - 1), 1, 0);
    strata__variable_free(variable);
}

static void w11_outside(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_outside, NULL);
}

/* --- W12 --- */

static const char *const names[] = {"scatter_add", "scatter_sub", "scatter_mul",   "scatter_div",
                                    "scatter_min", "scatter_max", "scatter_update"};

/* Decision 6: the message names the operation that was called. */
static void check_w12(const row *row)
{
    static const scatter_case start = {pass_uneven, {5, 3.5, 1}, {{0}}, {false, false}};
    bool summed =
        row->aggregation == STRATA_AGGREGATION_SUM || row->aggregation == STRATA_AGGREGATION_MEAN;
    for (int o = STRATA_SCATTER_MIN; o <= STRATA_SCATTER_UPDATE; o++) {
        if (!summed || row_refusal(row) || row->replicas == 1) {
            check_scatter(row, (strata_scatter)o, &start);
            continue;
        }
        char words[128];
        snprintf(words, sizeof words,
                 "%s is only supported for mirrored variable with NONE or `ONLY_FIRST_REPLICA` "
                 "aggregation, got: %s",
                 names[o], strata_aggregation_name(row->aggregation));
        strata_variable *variable = make(row, STRATA_SYNCHRONIZATION_AUTO, ones);
        assert_all_int_equal(scatter(row, variable, (strata_scatter)o, pass_a), STRATA_UNSUPPORTED);
        assert_all_error(row->ctx, STRATA_UNSUPPORTED, words);
        strata__variable_free(variable);
    }
}

static void w12_min_max_update(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_w12, NULL);
}

static slices pass_true(int replica)
{
    return (slices){2, {replica, 5}, {1, 0}};
}

/* bool: only update, and the first replica's. */
static void check_bool(const row *row)
{
    static const scatter_case start = {pass_true, {0, 0, 1}, {{0}}, {false, false}};
    if (row->dtype != STRATA_BOOL || row->aggregation != STRATA_AGGREGATION_ONLY_FIRST_REPLICA)
        return;
    check_scatter(row, STRATA_SCATTER_UPDATE, &start);
    strata_variable *variable = make(row, STRATA_SYNCHRONIZATION_AUTO, ones);
    scatter(row, variable, STRATA_SCATTER_MAX, pass_true);
    assert_all_error(row->ctx, STRATA_INVALID, "scatter_max: variable 'v' is bool");
    strata__variable_free(variable);
}

static void w12_bool(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_bool, NULL);
}

/* --- R8 --- */

static void check_r8(const row *row)
{
    for (int o = STRATA_SCATTER_ADD; o <= STRATA_SCATTER_UPDATE; o++) {
        char words[96];
        snprintf(words, sizeof words,
                 "Variables with `synchronization=ON_READ` doesn't support `%s`", names[o]);
        strata_variable *variable = make(row, STRATA_SYNCHRONIZATION_ON_READ, ones);
        scatter(row, variable, (strata_scatter)o, pass_a);
        if (row->replicas > 1)
            assert_all_error(row->ctx, STRATA_UNSUPPORTED, words);
        assert_all_ok(row->ctx);
        strata__variable_free(variable);
    }
}

static void r8_scatter(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_r8, NULL);
}

/* --- slices of several elements, pieces of variables --- */

enum { ROWS = 5, COLUMNS = 3 };

/* Row 0 twice, row 4 once, from each rank: values 1 … 9, in whatever pieces the variable lies. */
static void check_pieces(strata_context *ctx, strata__placement placement)
{
    strata_variable *variable =
        strata__variable_new(ctx, &(strata__variable_spec){.name = "v",
                                                           .shape = STRATA_SHAPE(ROWS, COLUMNS),
                                                           .initializer = "ones",
                                                           .aggregation = STRATA_AGGREGATION_MEAN,
                                                           .placement = placement});
    assert_all_ok(ctx);
    strata_scope_begin(ctx);
    const int32_t numbers[3] = {0, 4, 0};
    float values[3 * COLUMNS], whole[ROWS * COLUMNS];
    for (int i = 0; i < 3 * COLUMNS; i++)
        values[i] = (float)(i + 1);
    strata_replica_scatter(variable, STRATA_SCATTER_SUB,
                           strata__tensor_borrow(ctx, STRATA_INT32, &STRATA_SHAPE(3),
                                                 (strata__layout){0}, (void *)numbers),
                           strata__tensor_borrow(ctx, STRATA_FLOAT32, &STRATA_SHAPE(3, COLUMNS),
                                                 (strata__layout){0}, values));
    strata_scope_end(ctx);
    assert_all_ok(ctx);
    strata_cross_read(variable, whole);
    static const float expected[ROWS * COLUMNS] = {-7, -9, -11, 1, 1,  1,  1, 1,
                                                   1,  1,  1,   1, -3, -4, -5};
    assert_all_floats_near(whole, expected, ROWS * COLUMNS, 1e-6);
    strata__variable_free(variable);
}

static void w11_pieces(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_session(test_mesh(i));
        for (int p = STRATA__WHOLE; p <= STRATA__MATRIX; p++)
            check_pieces(ctx, (strata__placement)p);
    }
}

static void w11_wrong_arguments(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    row case_ = {.ctx = ctx,
                 .replicas = test_ranks(),
                 .dtype = STRATA_INT32,
                 .aggregation = STRATA_AGGREGATION_SUM};
    strata_variable *variable = make(&case_, STRATA_SYNCHRONIZATION_AUTO, ones);
    strata_scope_begin(ctx);
    strata_tensor *two = row_tensor(&case_, STRATA_INT32, STRATA_SHAPE(2), (double[]){1, 2});
    strata_tensor *three = row_tensor(&case_, STRATA_INT32, STRATA_SHAPE(3), (double[]){1, 2, 3});
    strata_tensor *real = row_tensor(&case_, STRATA_FLOAT32, STRATA_SHAPE(2), (double[]){1, 2});
    strata_tensor *split =
        strata__tensor_new(ctx, STRATA_INT32, &STRATA_SHAPE(2), (strata__layout){.batch = true});
    strata_replica_scatter(variable, STRATA_SCATTER_ADD, two, three);
    assert_all_error(ctx, STRATA_INVALID,
                     "scatter_add: Must have updates.shape = indices.shape + variable.shape[1:], "
                     "got updates.shape (3,), indices.shape (2,), variable.shape (16,)");
    strata_replica_scatter(variable, STRATA_SCATTER_MUL, real, two);
    assert_all_error(ctx, STRATA_INVALID, "scatter_mul: the indices for variable 'v' are float32");
    strata_replica_scatter(variable, STRATA_SCATTER_SUB, two, real);
    assert_all_error(ctx, STRATA_INVALID,
                     "scatter_sub: variable 'v' is int32, the values are float32");
    strata_replica_scatter(variable, STRATA_SCATTER_SUB, two, split);
    assert_all_error(ctx, STRATA_INVALID, "scatter_sub: Cannot use DistributedValues");
    assert_all_int_equal(strata_replica_scatter(variable, STRATA_SCATTER_ADD, NULL, two),
                         STRATA_INVALID);
    strata_scope_end(ctx);
    strata__variable_free(variable);
}

static const struct CMUnitTest rows[] = {
    {.name = "W11 replica scatter add, sub, mul, div", .test_func = w11_scatter},
    {.name = "W11 whole numbers divided by 0", .test_func = w11_division_by_zero},
    {.name = "W11 numbers out of range", .test_func = w11_outside},
    {.name = "W11 slices in pieces on every mesh", .test_func = w11_pieces},
    {.name = "W11 wrong arguments", .test_func = w11_wrong_arguments},
    {.name = "W12 replica scatter min, max, update, decision 6", .test_func = w12_min_max_update},
    {.name = "W12 bool", .test_func = w12_bool},
    {.name = "R8 no scatter on ON_READ", .test_func = r8_scatter},
};

const row_list scatter_rows = {rows, TEST_COUNT(rows)};
