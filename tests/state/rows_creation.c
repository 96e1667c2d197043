/* Rows C1 to C10: creation of distributed variables. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include <strata/layer.h>

/* A refused one, or NULL and no error. */
static strata_variable *make(strata_context *ctx, const strata__variable_spec *spec)
{
    strata__variable_spec named = *spec;
    named.name = "v";
    return strata__variable_new(ctx, &named);
}

static void c1_auto(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_variable *variable = make(ctx, &(strata__variable_spec){0});
    assert_all_ok(ctx);
    assert_all_int_equal(strata_variable_synchronization(variable),
                         STRATA_SYNCHRONIZATION_ON_WRITE);
    strata__variable_free(variable);
}

static void c2_no_aggregation(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_variable *variable = make(ctx, &(strata__variable_spec){0});
    assert_all_ok(ctx);
    assert_all_int_equal(strata_variable_aggregation(variable), STRATA_AGGREGATION_NONE);
    strata__variable_free(variable);
}

/* The values of the enumerations are TensorFlow's. */
static void c3_outside_the_enums(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_int_equal(STRATA_SYNCHRONIZATION_ON_READ, 3);
    assert_int_equal(STRATA_AGGREGATION_ONLY_FIRST_TOWER, 3);
    assert_all(!make(ctx, &(strata__variable_spec){.synchronization = 4}));
    assert_all_error(ctx, STRATA_INVALID,
                     "Invalid variable synchronization mode: 4 for variable: v");
    assert_all(!make(ctx, &(strata__variable_spec){.aggregation = -1}));
    assert_all_error(ctx, STRATA_INVALID, "Invalid variable aggregation mode: -1 for variable: v");
}

static const char refused_none[] =
    "`NONE` variable synchronization mode is not supported with tf.distribute strategy. Please "
    "change the `synchronization` for variable: v";

static void c4_none(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_variable *variable =
        make(ctx, &(strata__variable_spec){.synchronization = STRATA_SYNCHRONIZATION_NONE});
    assert_all((variable == NULL) == (test_ranks() > 1));
    if (test_ranks() > 1)
        assert_all_error(ctx, STRATA_INVALID, refused_none);
    strata__variable_free(variable);
}

/* Every setting is accepted, assigned to, read. */
static void check_plain(const row *row)
{
    assert_all_int_equal(row->replicas, 1);
    for (int s = STRATA_SYNCHRONIZATION_AUTO; s <= STRATA_SYNCHRONIZATION_ON_READ; s++) {
        strata_variable *variable = row_variable(row, (strata_synchronization)s, 1);
        row_own_is(row, variable, 1);
        row_apply(row, strata_replica_assign, variable, 6);
        row_own_is(row, variable, 6);
        row_read_is(row, variable, 6);
        strata_cross_assign(variable, row_data(row, 7));
        row_own_is(row, variable, 7);
        strata__variable_free(variable);
    }
}

/* However many ranks there are: those of one model grid are one replica. */
static void c5_one_replica(void **state)
{
    (void)state;
    char mesh[32];
    snprintf(mesh, sizeof mesh, "data=1,cols=%d", test_ranks());
    row_run_on(mesh, ROW_TYPES, check_plain, NULL);
}

/* add_weight knows what was not given. */
static void c6_trainable_not_given(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = strata_layer_from_text(ctx, "Flatten()");
    strata_variable *plain = strata_layer_add_weight(layer, .name = "a", .initializer = "zeros");
    strata_variable *on_read =
        strata_layer_add_weight(layer, .name = "b", .initializer = "zeros",
                                .synchronization = STRATA_SYNCHRONIZATION_ON_READ);
    assert_all_ok(ctx);
    assert_all(strata_variable_trainable(plain) && !strata_variable_trainable(on_read));
}

/* Decision 5: refused, as in Keras 2, on any number of replicas. */
static void c7_trainable_on_read(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__variable_spec spec = {.trainable = true,
                                  .synchronization = STRATA_SYNCHRONIZATION_ON_READ};
    assert_all(!make(ctx, &spec));
    assert_all_error(ctx, STRATA_INVALID,
                     "Synchronization value can be set to VariableSynchronization.ON_READ only for "
                     "non-trainable variables. You have specified trainable=True and "
                     "synchronization=VariableSynchronization.ON_READ");
}

/* Random ones too: all hold what replica 0 has. */
static void check_equal_copies(const row *row)
{
    strata__variable_spec spec = {.shape = STRATA_SHAPE(ROW_SIZE),
                                  .dtype = row->dtype,
                                  .initializer = "RandomUniform(-9.0, 9.0)",
                                  .aggregation = row->aggregation};
    for (int s = STRATA_SYNCHRONIZATION_ON_WRITE; s <= STRATA_SYNCHRONIZATION_ON_READ; s++) {
        double first[ROW_SIZE] = {0};
        size_t bytes = ROW_SIZE * strata_dtype_size(row->dtype);
        spec.synchronization = (strata_synchronization)s;
        strata_variable *variable = make(row->ctx, &spec);
        assert_all_ok(row->ctx);
        memcpy(first, variable->value->data, bytes);
        strata__broadcast(row->ctx, STRATA__WORLD, 0, first, (int64_t)bytes);
        assert_all(memcmp(first, variable->value->data, bytes) == 0);
        strata__variable_free(variable);
    }
}

static void c8_copies_start_equal(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_equal_copies, NULL);
}

static void check_initial_sum(const row *row)
{
    if (row->aggregation != STRATA_AGGREGATION_SUM)
        return;
    strata_variable *variable = row_variable(row, STRATA_SYNCHRONIZATION_ON_READ, 1);
    row_own_is(row, variable, 1);
    row_read_is(row, variable, row->replicas);
    strata__variable_free(variable);
}

static void c9_initial_value_of_a_sum(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_initial_sum, NULL);
}

static void c10_keras_names(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_synchronization synchronization;
    strata_aggregation aggregation;
    for (int i = 0; i < 4; i++) {
        const char *name = strata_synchronization_name((strata_synchronization)i);
        strata_synchronization_from_name(ctx, name, &synchronization);
        assert_int_equal(synchronization, i);
        name = strata_aggregation_name((strata_aggregation)i);
        strata_aggregation_from_name(ctx, name, &aggregation);
        assert_int_equal(aggregation, i);
    }
    strata_synchronization_from_name(ctx, NULL, &synchronization);
    strata_aggregation_from_name(ctx, NULL, &aggregation);
    assert_all_ok(ctx);
    assert_int_equal(synchronization, STRATA_SYNCHRONIZATION_NONE);
    assert_int_equal(aggregation, STRATA_AGGREGATION_NONE);
    assert_string_equal(strata_aggregation_name(3), "only_first_replica");
    strata_aggregation_from_name(ctx, "average", &aggregation);
    assert_all_error(ctx, STRATA_INVALID,
                     "Invalid value for argument `aggregation`. Expected one of (None, 'none', "
                     "'sum', 'mean', 'only_first_replica'). Received: aggregation='average'");
    strata_synchronization_from_name(ctx, "mirrored", &synchronization);
    assert_all_error(ctx, STRATA_INVALID, "Invalid value for argument `synchronization`");
}

static const struct CMUnitTest rows[] = {
    {.name = "C1 AUTO becomes ON_WRITE", .test_func = c1_auto},
    {.name = "C2 no aggregation is NONE", .test_func = c2_no_aggregation},
    {.name = "C3 outside the enumerations", .test_func = c3_outside_the_enums},
    {.name = "C4 synchronization NONE is refused, decision 8", .test_func = c4_none},
    {.name = "C5 one replica: every setting is plain", .test_func = c5_one_replica},
    {.name = "C6 trainable not given", .test_func = c6_trainable_not_given},
    {.name = "C7 trainable ON_READ is refused, decision 5", .test_func = c7_trainable_on_read},
    {.name = "C8 copies start equal", .test_func = c8_copies_start_equal},
    {.name = "C9 initial value of an ON_READ sum", .test_func = c9_initial_value_of_a_sum},
    {.name = "C10 names of Keras", .test_func = c10_keras_names},
};

const row_list creation_rows = {rows, TEST_COUNT(rows)};
