/* Variables: creation, placement, and what replica and cross operations give. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* --- creation --- */

static const struct {
    strata__variable_spec spec;
    int ranks; /* fewest ranks on which it is refused */
    const char *words;
} refusals[] = {
    {{.shape = {{STRATA_NONE, 2}, 2}},
     1,
     "must be fully-defined (no `None` dimensions). Received: shape=(None, 2)"},
    {{.shape = {{1 << 30, 1 << 30, 1 << 30}, 3}}, 1, "more elements than can be counted"},
    {{.dtype = STRATA_INT32, .trainable = true}, 1, "int32"},
    {{.dtype = STRATA_FLOAT64, .trainable = true}, 1, "float64"},
    {{.synchronization = 4},
     1,
     "Invalid variable synchronization mode: 4 for variable: layer/weight"},
    {{.aggregation = -1}, 1, "Invalid variable aggregation mode: -1 for variable: layer/weight"},
    {{.synchronization = STRATA_SYNCHRONIZATION_ON_READ, .trainable = true},
     1,
     "ON_READ only for non-trainable variables. You have specified trainable=True"},
    {{.synchronization = STRATA_SYNCHRONIZATION_NONE},
     2,
     "`NONE` variable synchronization mode is not supported"},
    {{.initializer = "glorot"}, 1, "initializer"},
    {{.initializer = "Orthogonal"}, 1, "at least two-dimensional"},
    {{.initializer = "None"}, 1, "initializer is None"},
};

static void test_creation_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(refusals); i++) {
        if (test_ranks() < refusals[i].ranks)
            continue;
        strata__variable_spec spec = refusals[i].spec;
        spec.name = "weight";
        spec.path = "layer";
        assert_all(strata__variable_new(ctx, &spec) == NULL);
        assert_all_error(ctx, STRATA_INVALID, refusals[i].words);
        assert_all(ctx->variables == NULL);
    }
}

static void test_properties(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *first =
        WEIGHT(ctx, .shape = STRATA_SHAPE(2, 3), .aggregation = STRATA_AGGREGATION_MEAN);
    strata_variable *second = strata__variable_new(
        ctx, &(strata__variable_spec){.name = "count",
                                      .dtype = STRATA_INT64,
                                      .synchronization = STRATA_SYNCHRONIZATION_ON_READ});
    assert_all_ok(ctx);
    assert_all_string_equal(strata_variable_name(first), "weight");
    assert_all_string_equal(strata_variable_path(first), "layer/weight");
    assert_all_string_equal(strata_variable_path(second), "count");
    assert_all_int_equal(strata_variable_synchronization(first), STRATA_SYNCHRONIZATION_ON_WRITE);
    assert_all_int_equal(strata_variable_synchronization(second), STRATA_SYNCHRONIZATION_ON_READ);
    assert_all_int_equal(strata_variable_aggregation(first), STRATA_AGGREGATION_MEAN);
    assert_all(strata_variable_trainable(first) && strata_variable_value(first)->wants_gradient);
    assert_all(!strata_variable_trainable(second) && !second->value->wants_gradient);
    assert_all_int_equal(strata_variable_shape(second).rank, 0);
    assert_all(ctx->variables == second && second->next == first);
    strata__variable_free(first);
    assert_all(ctx->variables == second && second->next == NULL);
    strata__variable_free(second);
}

/* Whole numbers beyond float32 are exact where the initializer gives one value; others are
 * converted. */
static void test_initial_values_of_every_type(void **state)
{
    (void)state;
    static const struct {
        strata_dtype dtype;
        const char *initializer;
        double value;
    } cases[] = {
        {STRATA_FLOAT64, "Constant(0.1)", 0.1},
        {STRATA_INT32, "Constant(16777217)", 16777217},
        {STRATA_INT64, NULL, 0},
        {STRATA_UINT8, "ones", 1},
        {STRATA_BOOL, "Constant(-2.0)", 1},
        {STRATA_BOOL, NULL, 0},
        {STRATA_INT32, "RandomUniform(3, 4)", 3},
    };
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata_variable *variable = strata__variable_new(
            ctx, &(strata__variable_spec){.name = "w",
                                          .shape = STRATA_SHAPE(600),
                                          .dtype = cases[i].dtype,
                                          .initializer = cases[i].initializer});
        assert_all_ok(ctx);
        char data[600 * sizeof(double)];
        strata_cross_read(variable, data);
        double last = cases[i].dtype == STRATA_FLOAT64 ? ((double *)data)[599]
                      : cases[i].dtype == STRATA_INT32 ? ((int32_t *)data)[599]
                      : cases[i].dtype == STRATA_INT64 ? (double)((int64_t *)data)[599]
                                                       : ((uint8_t *)data)[599];
        assert_all_near(last, cases[i].value, 0);
        strata__variable_free(variable);
    }
}

/* --- placement --- */

static const strata_shape shapes[] = {
    {{0}, 0},    {{5}, 1},          {{1}, 1},    {{7, 5}, 2},  {{1, 3}, 2},
    {{3, 1}, 2}, {{2, 3, 1, 5}, 4}, {{0, 4}, 2}, {{16, 8}, 2},
};

static float *counting(int64_t count)
{
    float *values = calloc((size_t)count + 1, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i + 1);
    return values;
}

typedef struct visit {
    const strata_variable *variable;
    int64_t next; /* local element that comes next */
    bool right;
} visit;

/* Runs follow each other, and element i of the global array, which is i + 1, lies where the run
 * says. */
static void check_run(void *user, int64_t global, int64_t local, int64_t length)
{
    visit *v = user;
    const float *piece = v->variable->value->data;
    v->right = v->right && local == v->next && length > 0;
    for (int64_t i = 0; i < length; i++)
        v->right = v->right && piece[local + i] == (float)(global + i + 1);
    v->next = local + length;
}

static void check_round_trip(strata_variable *variable)
{
    int64_t count = element_count(&variable->shape);
    float *given = counting(count);
    strata_cross_assign(variable, given);
    float *read = read_floats(variable);
    assert_all_floats_near(read, given, count, 0);
    visit v = {.variable = variable, .right = true};
    strata__variable_runs(variable, check_run, &v);
    assert_all(v.right && v.next == variable->count &&
               v.next == strata__local_count(variable->value));
    free(read);
    free(given);
}

/* The blocks of one replica's ranks cover the array: their sizes add up to it. */
static void check_blocks(strata_variable *variable)
{
    strata_context *ctx = variable->ctx;
    int64_t first[2], count[2], global[2];
    strata__variable_block(variable, first, count, global);
    int64_t covered = count[0] * count[1];
    bool inside = first[0] >= 0 && first[0] + count[0] <= global[0] && first[1] >= 0 &&
                  first[1] + count[1] <= global[1];
    assert_all(inside && global[0] * global[1] == element_count(&variable->shape));
    strata__sum(ctx, STRATA__GRID, &covered, 1, STRATA_INT64);
    int copies = variable->placement == STRATA__MATRIX   ? 1
                 : variable->placement == STRATA__VECTOR ? ctx->mesh->rows
                                                         : ctx->mesh->rows * ctx->mesh->cols;
    assert_all_int_equal(covered, copies * global[0] * global[1]);
}

static void test_values_survive_every_placement(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        for (size_t s = 0; s < TEST_COUNT(shapes); s++) {
            strata__placement placements[3];
            for (int p = placements_of(shapes[s].rank, placements); p-- > 0;) {
                strata_variable *variable =
                    WEIGHT(ctx, .shape = shapes[s], .placement = placements[p]);
                assert_all_ok(ctx);
                check_round_trip(variable);
                check_blocks(variable);
                bool grid = ctx->mesh->rows * ctx->mesh->cols > 1;
                assert_all_int_equal(variable->placement, grid ? placements[p] : STRATA__WHOLE);
                assert_all((variable->value->matrix != NULL) ==
                           (variable->placement == STRATA__MATRIX));
                strata__variable_free(variable);
            }
        }
    }
}

/* The value of a kernel with several columns is the matrix of the product, and of its bias the
 * vector. */
static const struct {
    strata_shape shape;
    strata__placement placement;
    int columns;
    const char *value; /* shape of the value */
} products[] = {
    {{{5, 3, 2}, 3}, STRATA__MATRIX, 2, "(5, 6)"},  {{{3, 2, 5}, 3}, STRATA__MATRIX, 1, "(6, 5)"},
    {{{2, 3, 4}, 3}, STRATA__MATRIX, 2, "(2, 12)"}, {{{1, 1, 7}, 3}, STRATA__MATRIX, 2, "(1, 7)"},
    {{{4, 3}, 2}, STRATA__MATRIX, 1, "(4, 3)"},     {{{3, 2}, 2}, STRATA__VECTOR, 2, "(6,)"},
    {{{5}, 1}, STRATA__VECTOR, 1, "(5,)"},          {{{2, 3, 4}, 3}, STRATA__WHOLE, 2, "(2, 12)"},
};

static void test_columns_of_products(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        for (size_t k = 0; k < TEST_COUNT(products); k++) {
            char text[STRATA__SHAPE_TEXT];
            strata_variable *variable =
                WEIGHT(ctx, .shape = products[k].shape, .placement = products[k].placement,
                       .columns = products[k].columns);
            assert_all_ok(ctx);
            check_round_trip(variable);
            check_blocks(variable);
            strata_shape shape = strata_variable_shape(variable);
            assert_all(strata__shape_equal(&shape, &products[k].shape));
            assert_all_string_equal(strata__shape_text(&variable->value->shape, text),
                                    products[k].value);
            const strata__matrix *matrix = variable->value->matrix;
            bool sharded = variable->placement == STRATA__MATRIX;
            assert_all((matrix != NULL) == sharded);
            assert_all(!sharded || (variable->value->local.dims[0] == matrix->local_m &&
                                    variable->value->local.dims[1] == matrix->local_n &&
                                    matrix->n == variable->value->shape.dims[1]));
            strata__variable_free(variable);
        }
    }
}

static void test_columns_need_axes(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    if (test_ranks() == 1)
        return;
    ctx = test_context(test_mesh(1));
    assert_all(
        !WEIGHT(ctx, .shape = STRATA_SHAPE(3, 2), .placement = STRATA__MATRIX, .columns = 2));
    assert_all_error(ctx, STRATA_INTERNAL, "too few axes (2) to be sharded");
}

/* --- replica operations --- */

static strata_variable *counter(strata_context *ctx, strata_dtype dtype,
                                strata_synchronization synchronization,
                                strata_aggregation aggregation, const char *initializer)
{
    strata_variable *variable =
        strata__variable_new(ctx, &(strata__variable_spec){.name = "v",
                                                           .shape = STRATA_SHAPE(2),
                                                           .dtype = dtype,
                                                           .initializer = initializer,
                                                           .synchronization = synchronization,
                                                           .aggregation = aggregation});
    assert_all_ok(ctx);
    return variable;
}

static strata_tensor *constant(strata_context *ctx, double value)
{
    float values[2] = {(float)value, (float)value};
    strata_tensor *tensor =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(2), (strata__layout){0});
    assert_all(tensor != NULL);
    memcpy(tensor->data, values, sizeof values);
    return tensor;
}

typedef strata_status operation(strata_variable *variable, strata_tensor *value);

static double own_value(const strata_variable *variable)
{
    return ((const float *)variable->value->data)[1];
}

/* What every copy holds after replica r has passed r, in a mesh of R replicas. */
static void check_on_write(strata_context *ctx, strata_aggregation aggregation, double passed)
{
    static const struct {
        operation *call;
        const char *start;
        double before, sign;
    } operations[] = {{strata_replica_assign, "zeros", 0, 1},
                      {strata_replica_assign_add, "ones", 1, 1},
                      {strata_replica_assign_sub, "Constant(5.0)", 5, -1}};
    for (size_t i = 0; i < TEST_COUNT(operations); i++) {
        strata_variable *variable = counter(ctx, STRATA_FLOAT32, STRATA_SYNCHRONIZATION_AUTO,
                                            aggregation, operations[i].start);
        strata_scope_begin(ctx);
        operations[i].call(variable, constant(ctx, ctx->mesh->groups[STRATA__BATCH].rank));
        strata_scope_end(ctx);
        assert_all_ok(ctx);
        assert_all_near(own_value(variable), operations[i].before + operations[i].sign * passed,
                        1e-6);
        float *read = read_floats(variable);
        assert_all_near(read[0], own_value(variable), 0);
        free(read);
        strata__variable_free(variable);
    }
}

static void test_on_write_aggregates_the_passed_value(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        int replicas = ctx->mesh->groups[STRATA__BATCH].size;
        check_on_write(ctx, STRATA_AGGREGATION_SUM, replicas * (replicas - 1) / 2);
        check_on_write(ctx, STRATA_AGGREGATION_MEAN, (replicas - 1) / 2.0);
        check_on_write(ctx, STRATA_AGGREGATION_ONLY_FIRST_REPLICA, 0);
    }
}

/* What is refused with several replicas is plain with one. */
static void test_on_write_without_a_rule_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *none =
        counter(ctx, STRATA_FLOAT32, STRATA_SYNCHRONIZATION_AUTO, STRATA_AGGREGATION_NONE, "ones");
    strata_variable *whole =
        counter(ctx, STRATA_INT32, STRATA_SYNCHRONIZATION_AUTO, STRATA_AGGREGATION_MEAN, "ones");
    strata_scope_begin(ctx);
    int32_t two[2] = {2, 2};
    strata_tensor *value =
        strata__tensor_borrow(ctx, STRATA_INT32, &STRATA_SHAPE(2), (strata__layout){0}, two);
    strata_replica_assign_add(none, constant(ctx, 2));
    if (test_ranks() > 1)
        assert_all_error(ctx, STRATA_INVALID, "You must specify an aggregation method to update");
    strata_replica_assign(whole, value);
    if (test_ranks() > 1)
        assert_all_error(ctx, STRATA_INVALID,
                         "Cannot update non-float variables with tf.VariableAggregation.MEAN");
    assert_all_ok(ctx);
    assert_all_near(own_value(none), test_ranks() > 1 ? 1 : 3, 0);
    assert_all_int_equal(((const int32_t *)whole->value->data)[0], test_ranks() > 1 ? 1 : 2);
    strata_scope_end(ctx);
    strata__variable_free(none);
    strata__variable_free(whole);
}

static void test_wrong_values_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variable =
        counter(ctx, STRATA_FLOAT32, STRATA_SYNCHRONIZATION_AUTO, STRATA_AGGREGATION_SUM, "ones");
    strata_variable *flag =
        counter(ctx, STRATA_BOOL, STRATA_SYNCHRONIZATION_AUTO, STRATA_AGGREGATION_SUM, "ones");
    strata_scope_begin(ctx);
    strata_tensor *batch =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(2), (strata__layout){.batch = true});
    strata_replica_assign(
        variable, strata__tensor_new(ctx, STRATA_INT32, &STRATA_SHAPE(2), (strata__layout){0}));
    assert_all_error(ctx, STRATA_INVALID, "assign: variable 'v' is float32, the value is int32");
    strata_replica_assign_sub(
        variable, strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(3), (strata__layout){0}));
    assert_all_error(ctx, STRATA_INVALID, "variable.shape=(2,), value.shape=(3,)");
    strata_replica_assign_add(variable, batch);
    assert_all_error(ctx, STRATA_INVALID, "split over the batch");
    strata_replica_assign_add(
        flag, strata__tensor_new(ctx, STRATA_BOOL, &STRATA_SHAPE(2), (strata__layout){0}));
    assert_all_error(ctx, STRATA_INVALID, "is bool");
    assert_all_int_equal(strata_replica_assign(variable, NULL), STRATA_INVALID);
    strata_scope_end(ctx);
    strata__variable_free(variable);
    strata__variable_free(flag);
}

/* A value may lie in another way than the variable: whole, split over the columns, or in pieces of
 * a matrix. */
static void check_layouts(strata_context *ctx, strata__placement placement)
{
    enum { ROWS = 5, COLUMNS = 3, COUNT = ROWS * COLUMNS };
    strata_shape shape = STRATA_SHAPE(ROWS, COLUMNS);
    float *given = counting(COUNT);
    strata_variable *variable = WEIGHT(ctx, .shape = shape, .placement = placement,
                                       .aggregation = STRATA_AGGREGATION_ONLY_FIRST_REPLICA);
    strata_variable *other = WEIGHT(ctx, .shape = shape, .placement = STRATA__MATRIX);
    strata_variable *vector = WEIGHT(ctx, .shape = shape, .placement = STRATA__VECTOR);
    strata_cross_assign(other, given);
    strata_cross_assign(vector, given);
    strata_scope_begin(ctx);
    strata_tensor *whole =
        strata__tensor_borrow(ctx, STRATA_FLOAT32, &shape, (strata__layout){0}, given);
    strata_tensor *values[] = {whole, other->value, vector->value};
    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        float zero[COUNT] = {0};
        strata_cross_assign(variable, zero);
        strata_replica_assign(variable, values[i]);
        assert_all_ok(ctx);
        float *read = read_floats(variable);
        assert_all_floats_near(read, given, COUNT, 0);
        free(read);
    }
    strata_scope_end(ctx);
    strata__variable_free(variable);
    strata__variable_free(other);
    strata__variable_free(vector);
    free(given);
}

static void test_values_of_every_layout_are_assigned(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        for (int p = STRATA__WHOLE; p <= STRATA__MATRIX; p++)
            check_layouts(ctx, (strata__placement)p);
    }
}

/* --- ON_READ --- */

/* Each replica assigns its number, without a word to the others; a cross read aggregates. */
static void check_on_read(strata_context *ctx, strata_aggregation aggregation, double expected)
{
    int replica = ctx->mesh->groups[STRATA__BATCH].rank;
    strata_variable *variable =
        counter(ctx, STRATA_FLOAT32, STRATA_SYNCHRONIZATION_ON_READ, aggregation, "zeros");
    strata_scope_begin(ctx);
    strata_replica_assign(variable, constant(ctx, replica + 3));
    strata_replica_assign_add(variable, constant(ctx, 1));
    strata_replica_assign_sub(variable, constant(ctx, 4));
    strata_scope_end(ctx);
    assert_all_near(own_value(variable), replica, 0);
    float *read = read_floats(variable);
    assert_all_near(read[1], expected, 1e-6);
    assert_all_near(own_value(variable), replica, 0);
    free(read);
    strata__variable_free(variable);
}

static void test_on_read_aggregates_when_read(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        int replicas = ctx->mesh->groups[STRATA__BATCH].size;
        check_on_read(ctx, STRATA_AGGREGATION_SUM, replicas * (replicas - 1) / 2);
        check_on_read(ctx, STRATA_AGGREGATION_MEAN, (replicas - 1) / 2.0);
        check_on_read(ctx, STRATA_AGGREGATION_ONLY_FIRST_REPLICA, 0);
    }
}

/* NONE cannot be read; with one replica there is nothing to aggregate. */
static void test_on_read_without_a_rule_cannot_be_read(void **state)
{
    (void)state;
    float read[2] = {0, 0};
    strata_context *ctx = test_context(NULL);
    strata_variable *variable = counter(ctx, STRATA_FLOAT32, STRATA_SYNCHRONIZATION_ON_READ,
                                        STRATA_AGGREGATION_NONE, "ones");
    strata_cross_read(variable, read);
    if (test_ranks() > 1)
        assert_all_error(
            ctx, STRATA_INVALID,
            "Could not convert from `tf.VariableAggregation` VariableAggregation.NONE");
    else
        assert_all_near(read[1], 1, 0);
    strata__variable_free(variable);
}

/* Writing 6 gives each its part of a sum, or 6; an initial value is not divided. */
static void test_on_read_written_and_read_back(void **state)
{
    (void)state;
    const float six[2] = {6, 6};
    strata_context *ctx = test_context(NULL);
    for (int a = STRATA_AGGREGATION_SUM; a <= STRATA_AGGREGATION_ONLY_FIRST_REPLICA; a++) {
        bool sum = a == STRATA_AGGREGATION_SUM;
        strata_variable *variable = counter(ctx, STRATA_FLOAT32, STRATA_SYNCHRONIZATION_ON_READ,
                                            (strata_aggregation)a, "ones");
        float *read = read_floats(variable);
        assert_all_near(read[0], sum ? test_ranks() : 1, 0);
        strata_cross_assign(variable, six);
        assert_all_near(own_value(variable), sum ? 6.0 / test_ranks() : 6, 1e-6);
        free(read);
        read = read_floats(variable);
        assert_all_near(read[0], 6, 1e-6);
        free(read);
        strata__variable_free(variable);
    }
}

/* The remainder of whole numbers goes to the low replicas, so that what was written is read. */
static void test_whole_numbers_are_read_as_written(void **state)
{
    (void)state;
    static const int64_t written[2] = {7, -11};
    strata_context *ctx = test_context(NULL);
    strata_variable *variable =
        counter(ctx, STRATA_INT64, STRATA_SYNCHRONIZATION_ON_READ, STRATA_AGGREGATION_SUM, NULL);
    strata_cross_assign(variable, written);
    int64_t read[2], own = ((const int64_t *)variable->value->data)[0];
    strata_cross_read(variable, read);
    assert_all_int_equal(read[0], 7);
    assert_all_int_equal(read[1], -11);
    assert_all_int_equal(own, 7 / test_ranks() + (test_rank() < 7 % test_ranks()));
    strata__variable_free(variable);
}

/* Sums of every type; of booleans it is whether any is true. */
static double first_value(strata_dtype dtype, const void *data)
{
    switch (dtype) {
    case STRATA_FLOAT64:
        return *(const double *)data;
    case STRATA_INT32:
        return *(const int32_t *)data;
    case STRATA_INT64:
        return (double)*(const int64_t *)data;
    default:
        return *(const uint8_t *)data;
    }
}

static void test_sums_of_every_type(void **state)
{
    (void)state;
    static const strata_dtype dtypes[] = {STRATA_FLOAT64, STRATA_INT32, STRATA_INT64, STRATA_UINT8,
                                          STRATA_BOOL};
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(dtypes); i++) {
        double storage[2];
        strata_variable *on_write =
            counter(ctx, dtypes[i], STRATA_SYNCHRONIZATION_AUTO, STRATA_AGGREGATION_SUM, "zeros");
        strata_variable *one =
            counter(ctx, dtypes[i], STRATA_SYNCHRONIZATION_ON_READ, STRATA_AGGREGATION_SUM, "ones");
        strata_scope_begin(ctx);
        strata_replica_assign(on_write, one->value);
        strata_scope_end(ctx);
        assert_all_ok(ctx);
        strata_cross_read(one, storage);
        assert_all(memcmp(storage, on_write->value->data, 2 * strata_dtype_size(dtypes[i])) == 0);
        double first = first_value(dtypes[i], storage);
        assert_all_near(first, dtypes[i] == STRATA_BOOL ? 1 : test_ranks(), 0);
        strata__variable_free(on_write);
        strata__variable_free(one);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creation_is_refused),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_initial_values_of_every_type),
        cmocka_unit_test(test_values_survive_every_placement),
        cmocka_unit_test(test_columns_of_products),
        cmocka_unit_test(test_columns_need_axes),
        cmocka_unit_test(test_on_write_aggregates_the_passed_value),
        cmocka_unit_test(test_on_write_without_a_rule_is_refused),
        cmocka_unit_test(test_wrong_values_are_refused),
        cmocka_unit_test(test_values_of_every_layout_are_assigned),
        cmocka_unit_test(test_on_read_aggregates_when_read),
        cmocka_unit_test(test_on_read_without_a_rule_cannot_be_read),
        cmocka_unit_test(test_on_read_written_and_read_back),
        cmocka_unit_test(test_whole_numbers_are_read_as_written),
        cmocka_unit_test(test_sums_of_every_type),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
