/* Replicas that drift apart are named: variable, ranks and step. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"
#include "state/variable.h"
#include "training/session.h"

/* A frozen layer, whose weights no update brings back in line, and one that learns. */
static strata_model *model_of(strata_context *ctx)
{
    strata_tensor *input = strata_input(ctx, .shape = {RUN_FEATURES});
    strata_tensor *x = strata_dense(input, .units = 4, .name = "frozen");
    x = strata_batch_normalization(x, .name = "norm");
    strata_model *model =
        strata_functional(input, strata_dense(x, .units = RUN_CLASSES, .name = "head"));
    strata_layer_set_trainable(strata_model_find_layer(model, "frozen"), false);
    strata_compile(model, .optimizer = "adam",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)");
    assert_all_ok(ctx);
    return model;
}

static strata_context *open_session(const char *mesh, int64_t check_replicas)
{
    strata_context *ctx =
        strata_init(MPI_COMM_WORLD,
                    (strata_options){
                        .mesh = mesh, .seed = 4, .verbosity = 1, .check_replicas = check_replicas});
    test_adopt(ctx, strata__session_close);
    assert_all_ok(ctx);
    return ctx;
}

static strata_variable *weight_of(strata_model *model, const char *layer, int index)
{
    strata_variable *weights[8];
    int count = strata_layer_weights(strata_model_find_layer(model, layer), weights, 8);
    assert_true(index < count);
    return weights[index];
}

/* The last bit of the last element of this rank's piece, if it has one. */
static bool flip(strata_variable *variable)
{
    if (variable->count > 0)
        ((unsigned char *)variable->value->data)[4 * (variable->count - 1)] ^= 1;
    return variable->count > 0;
}

static void steps(strata_model *model, int count)
{
    static float x[RUN_SAMPLES * RUN_FEATURES];
    static int32_t y[RUN_SAMPLES];
    strata_dataset *data = run_data(strata_model_context(model), x, y);
    for (int i = 0; i < count; i++)
        strata_train_on_batch(model, data);
}

/* Steps 1 and 2 are well, step 3 is not compared, step 4 is. */
static void check_weight(const char *mesh, const char *layer, int index, int odd)
{
    char words[160];
    strata_context *ctx = open_session(mesh, 2);
    strata_model *model = model_of(ctx);
    steps(model, 2);
    assert_all_ok(ctx);
    strata_variable *variable = weight_of(model, layer, index);
    int seen = test_rank() == odd && flip(variable) && strata__variable_replicas(variable) > 1;
    strata__max(ctx, STRATA__WORLD, &seen, 1, STRATA_INT32);
    steps(model, 1);
    assert_all_ok(ctx);
    steps(model, 1);
    snprintf(words, sizeof words,
             "replicas have drifted apart at step 4: variable '%s' on rank %d is not what rank",
             strata_variable_path(variable), odd);
    if (seen)
        assert_all_error(ctx, STRATA_DIVERGED, words);
    assert_all_ok(ctx);
}

static void test_a_weight_on_every_mesh(void **state)
{
    (void)state;
    char mesh[64];
    for (int i = 0; test_mesh(i); i++) {
        snprintf(mesh, sizeof mesh, "%s", test_mesh(i));
        check_weight(mesh, "frozen", 0, test_ranks() - 1);
        check_weight(mesh, "frozen", 1, test_ranks() - 1);
    }
}

/* Most are right, whoever is first. */
static void test_the_first_rank(void **state)
{
    (void)state;
    if (test_ranks() > 2)
        check_weight(NULL, "frozen", 0, 0);
}

/* What each replica has for itself may differ. */
static void test_moving_statistics(void **state)
{
    (void)state;
    strata_context *ctx = open_session(NULL, 1);
    strata_model *model = model_of(ctx);
    if (test_rank() == test_ranks() - 1)
        flip(weight_of(model, "norm", 2));
    steps(model, 3);
    assert_all_ok(ctx);
}

static void test_the_first_variable(void **state)
{
    (void)state;
    strata_context *ctx = open_session(NULL, 1);
    strata_model *model = model_of(ctx);
    if (test_rank() == 0)
        flip(weight_of(model, "frozen", 1));
    if (test_rank() == test_ranks() - 1)
        flip(weight_of(model, "frozen", 0));
    steps(model, 1);
    if (test_ranks() > 1)
        assert_all_error(ctx, STRATA_DIVERGED, "step 1: variable 'frozen/kernel' on rank");
    assert_all_ok(ctx);
}

/* Not asked for, not compared. */
static void test_without_the_option(void **state)
{
    (void)state;
    strata_context *ctx = open_session(NULL, 0);
    strata_model *model = model_of(ctx);
    if (test_rank() == 0)
        flip(weight_of(model, "frozen", 0));
    steps(model, 2);
    assert_all_ok(ctx);
}

/* --- fit --- */

static void flip_after_step_3(strata_callback *self, strata_model *model, int64_t batch,
                              const strata_logs *logs)
{
    (void)self;
    (void)logs;
    if (batch == 2 && test_rank() == test_ranks() - 1)
        flip(weight_of(model, "frozen", 0));
}

static void test_fit(void **state)
{
    (void)state;
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    strata_context *ctx = open_session(NULL, 5);
    strata_model *model = model_of(ctx);
    strata_callback *callback = strata_callback_new(
        ctx, &(strata_callback){.name = "Flip", .train_batch_end = flip_after_step_3});
    const strata_history *history = strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH,
                                               .callbacks = {callback}, .verbose = "0");
    assert_all((history != NULL) == (test_ranks() == 1));
    if (test_ranks() > 1)
        assert_all_error(ctx, STRATA_DIVERGED, "step 5: variable 'frozen/kernel' on rank");
    assert_all_ok(ctx);
}

/* Copies of trainable weights, each rank's own: equal to the last bit after every step. */
static void test_private_copies_stay_equal(void **state)
{
    (void)state;
    char mesh[64];
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    setenv("STRATA_SHARED", "0", 1);
    for (int i = 0; test_mesh(i); i++) {
        snprintf(mesh, sizeof mesh, "%s", test_mesh(i));
        strata_context *ctx = open_session(mesh, 1);
        strata_fit(run_model(ctx, "adam"), run_data(ctx, x, y), .batch_size = RUN_BATCH,
                   .verbose = "0");
        assert_all_ok(ctx);
    }
    unsetenv("STRATA_SHARED");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_weight_on_every_mesh),    cmocka_unit_test(test_the_first_rank),
        cmocka_unit_test(test_moving_statistics),         cmocka_unit_test(test_the_first_variable),
        cmocka_unit_test(test_without_the_option),        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_private_copies_stay_equal),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
