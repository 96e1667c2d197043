/* Checkpoints of what differs from rank to rank: copies of ON_READ weights, sums of metrics. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runs.h"
#include "training/checkpoint.h"

/* --- a layer with weights of all kinds, two of one name --- */

typedef struct tally_config {
    STRATA_LAYER_COMMON
} tally_config;
#define tally_defaults STRATA_LAYER_DEFAULTS

static const tally_config defaults = {tally_defaults};
static const strata_field fields[] = {STRATA_LAYER_FIELDS(tally_config)};

static strata_status create(strata_layer *layer)
{
    static const strata_aggregation ways[] = {STRATA_AGGREGATION_SUM, STRATA_AGGREGATION_MEAN};
    for (size_t i = 0; i < TEST_COUNT(ways); i++)
        strata_layer_add_weight(
            layer, .name = "seen", .shape = STRATA_SHAPE(2, 3), .initializer = "zeros",
            .synchronization = STRATA_SYNCHRONIZATION_ON_READ, .aggregation = ways[i]);
    strata_layer_add_weight(layer, .name = "count", .dtype = "int32", .trainable = 0);
    return strata_error(strata_layer_context(layer));
}

static strata_tensor *call(strata_layer *layer, const strata_call *call)
{
    (void)layer;
    return strata_ops_affine(call->inputs[0], 2, 0);
}

static const strata_layer_class tally_class = {
    .name = "Tally",
    .package = "Test",
    STRATA_CLASS_CONFIG(tally_config, defaults, fields),
    .create = create,
    .call = call,
};

static strata_model *tally_model(strata_context *ctx, strata_variable *weights[3])
{
    strata_layer *tally =
        strata_layer_new(ctx, &tally_class, &(tally_config){tally_defaults, .name = "tally"});
    strata_tensor *input = strata_input(ctx, .shape = {2});
    strata_tensor *x = strata_layer_call(tally, input);
    strata_model *model = strata_functional(input, strata_dense(x, .units = 1, .name = "head"));
    strata_compile(model, .optimizer = "sgd", .loss = "mse", .metrics = {"mae"});
    assert_all_ok(ctx);
    assert_all_int_equal(strata_layer_weights(tally, weights, 3), 3);
    return model;
}

static int replica_of(const strata_context *ctx)
{
    return ctx->mesh->groups[STRATA__BATCH].rank;
}

/* --- copies --- */

static void set_copies(const strata_context *ctx, strata_variable *const *weights, float first)
{
    for (int w = 0; w < 2; w++) {
        for (int e = 0; e < 6; e++)
            ((float *)weights[w]->value->data)[e] = first + (float)(10 * replica_of(ctx) + e + w);
    }
}

static void check_copies(const strata_context *ctx, strata_variable *const *weights, double first,
                         bool same, int replicas)
{
    double mean = first + 10 * (replicas - 1) / 2.0;
    for (int w = 0; w < 2; w++) {
        float whole[6];
        const float *own = weights[w]->value->data;
        strata_cross_read(weights[w], whole);
        for (int e = 0; e < 6; e++) {
            double one = mean + e + w;
            assert_all_near(whole[e], w == 0 ? replicas * one : one, 1e-5 * (1 + whole[e]));
            if (same)
                assert_all_near(own[e], first + 10 * replica_of(ctx) + e + w, 0);
        }
    }
}

static void save_copies(const char *mesh, const char *path)
{
    strata_context *ctx = run_open(mesh);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    set_copies(ctx, weights, 0);
    strata_cross_assign(weights[2], &(int32_t){12345});
    strata_checkpoint_save(model, path);
    assert_all_ok(ctx);
    run_close(ctx);
}

static void load_copies(const char *mesh, const char *path, bool same, int replicas)
{
    strata_context *ctx = run_open(mesh);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    strata_checkpoint_load(model, path);
    assert_all_ok(ctx);
    check_copies(ctx, weights, 0, same, replicas);
    int32_t count;
    strata_cross_read(weights[2], &count);
    assert_all_int_equal(count, 12345);
    run_close(ctx);
}

/* --- copies that were set aside --- */

static strata__hooks stopping_hooks(strata_model *model)
{
    strata__hooks hooks;
    strata_callback *stopping = strata_callback_from_text(
        model->ctx, "EarlyStopping(monitor='loss', restore_best_weights=True)");
    assert_all_ok(model->ctx);
    strata__hooks_take(&hooks, model, (strata_callback *[STRATA_MAX_CALLBACKS]){stopping});
    return hooks;
}

/* Set aside are copies from 100 on, the weights are others then. */
static void save_aside(const char *mesh, const char *path)
{
    strata_context *ctx = run_open(mesh);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    strata__hooks hooks = stopping_hooks(model);
    set_copies(ctx, weights, 100);
    strata__kept_weights_take(strata__kept_of(&hooks, 0), model);
    set_copies(ctx, weights, 3);
    model->trainer->hooks = &hooks;
    strata_checkpoint_save(model, path);
    assert_all_ok(ctx);
    model->trainer->hooks = NULL;
    run_close(ctx);
}

static void load_aside(const char *mesh, const char *path, bool same, int replicas)
{
    strata_context *ctx = run_open(mesh);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    strata__hooks hooks = stopping_hooks(model);
    int epoch = 0;
    strata_checkpoint_load(model, path);
    assert_all_ok(ctx);
    check_copies(ctx, weights, 3, same, replicas);
    assert_all_int_equal(strata__resume_take(model->trainer, &hooks, &epoch), STRATA_OK);
    check_copies(ctx, weights, 3, same, replicas);
    strata__kept_weights_put_back(strata__kept_of(&hooks, 0));
    check_copies(ctx, weights, 100, same, replicas);
    run_close(ctx);
}

/* --- sums --- */

/* Numbers that round when they are added. */
static double own_total(const strata_context *ctx)
{
    return 0.1 * (1 + replica_of(ctx)) + 1e9;
}

static void save_sums(const char *mesh, const char *path)
{
    strata_context *ctx = run_open(mesh);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    strata__trainer *trainer = model->trainer;
    for (int i = 0; i < trainer->log_count; i++) {
        trainer->logged[i]->total = own_total(ctx) + i;
        trainer->logged[i]->count = 1 + replica_of(ctx);
    }
    trainer->step = 3;
    trainer->order.samples = trainer->order.batch_size = 5;
    strata_checkpoint_save(model, path);
    assert_all_ok(ctx);
    run_close(ctx);
}

static void load_sums(const char *mesh, const char *path, bool same, int replicas)
{
    strata_context *ctx = run_open(mesh);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    strata__trainer *trainer = model->trainer;
    strata__hooks hooks = {.model = model};
    int epoch = 7;
    strata_checkpoint_load(model, path);
    trainer->order.samples = trainer->order.batch_size = 5;
    assert_all_int_equal(strata__resume_take(trainer, &hooks, &epoch), STRATA_OK);
    assert_all_int_equal(epoch, 0);
    assert_all_int_equal(trainer->step, 3);
    for (int i = 0; i < trainer->log_count; i++) {
        double sums[2] = {trainer->logged[i]->total, trainer->logged[i]->count};
        if (same) {
            assert_all_near(sums[0], own_total(ctx) + i, 0);
            assert_all_near(sums[1], 1 + replica_of(ctx), 0);
        }
        strata__sum(ctx, STRATA__BATCH, sums, 2, STRATA_FLOAT64);
        double ranks = replicas * (replicas + 1) / 2.0;
        assert_all_near(sums[0], 0.1 * ranks + (1e9 + i) * replicas, 1e-5);
        assert_all_near(sums[1], ranks, 0);
    }
    run_close(ctx);
}

/* --- from every mesh to every mesh --- */

typedef struct way {
    void (*save)(const char *mesh, const char *path);
    void (*load)(const char *mesh, const char *path, bool same, int replicas);
} way;

static void check_pairs(const way *way)
{
    char path[512], from[64];
    snprintf(path, sizeof path, "%s", test_path("pairs.h5"));
    for (int i = 0; test_mesh(i); i++) {
        snprintf(from, sizeof from, "%s", test_mesh(i));
        way->save(from, path);
        int data, rows, cols;
        assert_int_equal(sscanf(from, "data=%d,rows=%d,cols=%d", &data, &rows, &cols), 3);
        for (int to = 0; test_mesh(to); to++)
            way->load(test_mesh(to), path, to == i, data * rows);
    }
}

/* The same mesh takes each copy up, another one what they come to. */
static void test_copies_of_weights(void **state)
{
    (void)state;
    check_pairs(&(way){save_copies, load_copies});
}

static void test_copies_that_were_set_aside(void **state)
{
    (void)state;
    check_pairs(&(way){save_aside, load_aside});
}

static void test_sums_of_an_epoch(void **state)
{
    (void)state;
    check_pairs(&(way){save_sums, load_sums});
}

/* Compiled with other metrics, the epoch cannot go on; between epochs it may. */
static void test_sums_of_other_metrics(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("metrics.h5"));
    save_sums(test_mesh(0), path);
    strata_context *ctx = run_open(NULL);
    strata_variable *weights[3];
    strata_model *model = tally_model(ctx, weights);
    strata__hooks hooks = {.model = model};
    int epoch;
    strata_compile(model, .optimizer = "sgd", .loss = "mse");
    strata_checkpoint_load(model, path);
    assert_all_ok(ctx);
    model->trainer->order.samples = model->trainer->order.batch_size = 5;
    strata__resume_take(model->trainer, &hooks, &epoch);
    assert_all_error(ctx, STRATA_INVALID, "other metrics");
    run_close(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_of_weights),
        cmocka_unit_test(test_copies_that_were_set_aside),
        cmocka_unit_test(test_sums_of_an_epoch),
        cmocka_unit_test(test_sums_of_other_metrics),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
