/* Rows K1 to K5: distributed variables in files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <string.h>

#include <strata.h>

/* --- a layer with one variable of any kind --- */

typedef struct holder_config {
    STRATA_LAYER_COMMON
} holder_config;

static const holder_config defaults = {STRATA_LAYER_DEFAULTS};
static const strata_field fields[] = {STRATA_LAYER_FIELDS(holder_config)};

/* What the next holder's variable is like. */
static strata_weight wanted;

static strata_status create(strata_layer *layer)
{
    strata_layer_add_weight_from(layer, &wanted);
    return strata_error(strata_layer_context(layer));
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    (void)layer;
    return strata_ops_affine(call->inputs[0], 2, 0);
}

static const strata_layer_class holder = {
    .name = "Holder",
    .package = "Test",
    STRATA_CLASS_CONFIG(holder_config, defaults, fields),
    .create = create,
    .call = call,
};

static strata_model *model_of(const row *row, strata_synchronization synchronization,
                              strata_aggregation aggregation, strata_variable **variable)
{
    wanted = (strata_weight){.name = "v",
                             .shape = STRATA_SHAPE(ROW_SIZE),
                             .dtype = strata_dtype_name(row->dtype),
                             .initializer = "zeros",
                             .synchronization = synchronization,
                             .aggregation = aggregation};
    strata_layer *layer = strata_layer_new(
        row->ctx, &holder, &(holder_config){STRATA_LAYER_DEFAULTS, .name = "holder"});
    strata_tensor *input = strata_input(row->ctx, .shape = {2});
    strata_model *model = strata_functional(input, strata_layer_call(layer, input));
    assert_all_ok(row->ctx);
    assert_all_int_equal(strata_layer_weights(layer, variable, 1), 1);
    return model;
}

/* --- files --- */

static void set_own(strata_variable *variable, const row *row, double value)
{
    memcpy(variable->value->data, row_data(row, value),
           ROW_SIZE * strata_dtype_size(variable->dtype));
}

/* The file after a save in which each replica holds `own`. */
static const char *saved(const row *row, strata_synchronization synchronization,
                         strata_aggregation aggregation, double own)
{
    static char path[512];
    strata_variable *variable;
    strata_model *model = model_of(row, synchronization, aggregation, &variable);
    set_own(variable, row, own);
    snprintf(path, sizeof path, "%s", test_path("row.weights.h5"));
    strata_save(model, path);
    strata_model_free(model);
    return path;
}

/* A variable that has just been loaded. */
static strata_variable *loaded(const row *row, strata_synchronization synchronization,
                               strata_aggregation aggregation, const char *path)
{
    strata_variable *variable;
    strata_model *model = model_of(row, synchronization, aggregation, &variable);
    set_own(variable, row, 1 - row->replica % 2);
    strata_load_weights(model, path);
    assert_all_ok(row->ctx);
    return variable;
}

/* --- K1 --- */

/* Copies that have gone apart show which one is saved. */
static void check_on_write(const row *row)
{
    const strata_synchronization mode = STRATA_SYNCHRONIZATION_ON_WRITE;
    const char *path = saved(row, mode, row->aggregation, row->replica + 4);
    assert_all_ok(row->ctx);
    row_own_is(row, loaded(row, mode, row->aggregation, path), 4);
}

static void k1_on_write(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_on_write, NULL);
}

/* --- K2, K3, K4 --- */

static double three_and_up(int replica)
{
    return replica + 3;
}

static const strata_synchronization on_read = STRATA_SYNCHRONIZATION_ON_READ;

/* A number that was saved, restored to variables of all rules: the shares of a sum add up to it. */
static void check_restored(const row *row, const char *path, double value)
{
    strata_variable *sum = loaded(row, on_read, STRATA_AGGREGATION_SUM, path);
    assert_all_near(row_read(row, sum, 1), row_number(row, value), 1e-5);
    bool whole = row->dtype >= STRATA_INT32;
    if (row->dtype != STRATA_BOOL)
        assert_all_near(row_own(sum, 0), row_number(row, value) / row->replicas, whole ? 1 : 1e-5);
    row_own_is(row, loaded(row, on_read, STRATA_AGGREGATION_MEAN, path), value);
    row_own_is(row, loaded(row, on_read, STRATA_AGGREGATION_ONLY_FIRST_REPLICA, path), value);
    row_own_is(row, loaded(row, STRATA_SYNCHRONIZATION_AUTO, STRATA_AGGREGATION_SUM, path), value);
}

static void check_on_read(const row *row)
{
    static const double written[ROW_AGGREGATIONS] = {0, 7, 3.5, 3};
    const char *path = saved(row, on_read, row->aggregation, three_and_up(row->replica));
    if (row->aggregation == STRATA_AGGREGATION_NONE && row->replicas > 1) {
        assert_all_error(row->ctx, STRATA_INVALID, "Could not convert from");
        return;
    }
    assert_all_ok(row->ctx);
    double value = row_aggregate(row, three_and_up);
    if (row->dtype != STRATA_BOOL)
        row_as_written(row, written, value);
    check_restored(row, path, row_number(row, value));
}

static void k2_k3_k4_on_read(void **state)
{
    (void)state;
    row_run(ROW_TYPES, check_on_read, NULL);
}

/* --- K5 --- */

static void check_plain(const row *row)
{
    if (row->aggregation != STRATA_AGGREGATION_SUM)
        return;
    const strata_synchronization plain = STRATA_SYNCHRONIZATION_AUTO;
    strata_variable *sum =
        loaded(row, on_read, row->aggregation, saved(row, plain, row->aggregation, 2));
    if (row->replicas == 2)
        row_own_is(row, sum, 1);
    row_read_is(row, sum, 2);
    const char *path = saved(row, on_read, row->aggregation, three_and_up(row->replica));
    row_own_is(row, loaded(row, plain, STRATA_AGGREGATION_NONE, path),
               row_aggregate(row, three_and_up));
}

static void k5_plain(void **state)
{
    (void)state;
    row_run(ROW_NUMBERS, check_plain, NULL);
}

static const struct CMUnitTest rows[] = {
    {.name = "K1 ON_WRITE: the primary copy is saved", .test_func = k1_on_write},
    {.name = "K2 K3 K4 ON_READ saved and restored, decision 3", .test_func = k2_k3_k4_on_read},
    {.name = "K5 plain into a sum and back", .test_func = k5_plain},
};

const row_list saved_rows = {rows, TEST_COUNT(rows)};
