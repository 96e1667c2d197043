/* The library as a guest: several contexts in one process, on communicators apart and overlapping,
 * that leave no traces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "base/context.h"
#include "runs.h"
#include "training/session.h"

enum { STEPS = 4, MOST_WEIGHTS = 512 };

/* One training: its context, its model, and a batch that is learned again and again. */
typedef struct training {
    MPI_Comm comm;
    strata_context *ctx;
    strata_model *model;
    strata_dataset *data;
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
} training;

/* Without the harness's assertions, which are for all ranks together. */
static strata_model *small_model(strata_context *ctx, const char *optimizer)
{
    strata_tensor *input = strata_input(ctx, .shape = {RUN_FEATURES});
    strata_tensor *x = strata_dense(input, .units = 9, .activation = "relu");
    x = strata_batch_normalization(x);
    x = strata_dropout(x, .rate = 0.3);
    x = strata_dense(x, .units = RUN_CLASSES);
    strata_model *model = strata_functional(input, x);
    strata_compile(model, .optimizer = optimizer,
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)");
    return model;
}

static void training_open(training *t, MPI_Comm comm, int64_t seed)
{
    MPI_Comm_dup(comm, &t->comm);
    t->ctx = strata_init(t->comm, (strata_options){.seed = seed, .verbosity = 1});
    t->model = small_model(t->ctx, seed % 2 ? "adam" : "SGD(0.1, momentum=0.9)");
    t->data = run_data(t->ctx, t->x, t->y);
}

static void training_step(training *t)
{
    strata_train_on_batch(t->model, t->data);
}

static int read_weights(strata_model *model, float *values)
{
    strata_variable *weights[32];
    int count = strata_layer_weights(strata_model_layer(model), weights, 32), filled = 0;
    for (int i = 0; i < count; i++) {
        strata_shape shape = strata_variable_shape(weights[i]);
        strata_cross_read(weights[i], values + filled);
        filled += (int)strata__product(&shape, 0, shape.rank);
    }
    return filled;
}

/* The weights, bit for bit; all memory is given back. −1 after an error. */
static int training_close(training *t, float weights[MOST_WEIGHTS])
{
    int count = read_weights(t->model, weights);
    bool right = strata_error(t->ctx) == STRATA_OK;
    strata__session_close(t->ctx);
    right &= strata__context_free(t->ctx) == 0;
    MPI_Comm_free(&t->comm);
    return right ? count : -1;
}

/* What a training comes to when it has the process for itself. */
static int alone(MPI_Comm comm, int64_t seed, float *weights)
{
    static training t;
    training_open(&t, comm, seed);
    for (int i = 0; i < STEPS; i++)
        training_step(&t);
    return training_close(&t, weights);
}

static bool same(const float *a, int a_count, const float *b, int b_count)
{
    return a_count > 0 && a_count == b_count && memcmp(a, b, (size_t)a_count * sizeof *a) == 0;
}

/* The lower half of the ranks and the upper one; on one rank both are all. */
static MPI_Comm half(void)
{
    MPI_Comm part;
    MPI_Comm_split(MPI_COMM_WORLD, 2 * test_rank() < test_ranks(), test_rank(), &part);
    return part;
}

/* Both halves train at once, each its own model. */
static void test_contexts_on_disjoint_communicators(void **state)
{
    (void)state;
    static float together[MOST_WEIGHTS], expected[MOST_WEIGHTS];
    MPI_Comm part = half();
    bool lower = 2 * test_rank() < test_ranks();
    int count = 0, expected_count = alone(part, lower ? 3 : 4, together);
    for (int turn = 0; turn < 2; turn++) {
        if (lower == (turn == 0))
            count = alone(part, lower ? 3 : 4, expected);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Comm_free(&part);
    assert_all(same(together, expected_count, expected, count));
}

/* A training on all ranks and one on a half of them take turns. */
static void test_contexts_on_overlapping_communicators(void **state)
{
    (void)state;
    static training whole, partial;
    static float weights[2][MOST_WEIGHTS], expected[2][MOST_WEIGHTS];
    int counts[2], expected_counts[2];
    MPI_Comm part = half();
    expected_counts[0] = alone(MPI_COMM_WORLD, 5, expected[0]);
    expected_counts[1] = alone(part, 6, expected[1]);
    training_open(&whole, MPI_COMM_WORLD, 5);
    training_open(&partial, part, 6);
    for (int i = 0; i < STEPS; i++) {
        training_step(&whole);
        training_step(&partial);
    }
    counts[0] = training_close(&whole, weights[0]);
    counts[1] = training_close(&partial, weights[1]);
    MPI_Comm_free(&part);
    assert_all(same(weights[0], counts[0], expected[0], expected_counts[0]));
    assert_all(same(weights[1], counts[1], expected[1], expected_counts[1]));
}

/* An error of one context is not one of the other. */
static void test_error_stays_in_its_context(void **state)
{
    (void)state;
    static training good, bad;
    static float weights[MOST_WEIGHTS], expected[MOST_WEIGHTS];
    int expected_count = alone(MPI_COMM_WORLD, 7, expected);
    training_open(&good, MPI_COMM_WORLD, 7);
    training_open(&bad, MPI_COMM_WORLD, 8);
    for (int i = 0; i < STEPS; i++) {
        if (i == 1)
            strata_fail(bad.ctx, STRATA_BAD_DATA, "spoiled");
        training_step(&bad);
        training_step(&good);
    }
    assert_all_error(bad.ctx, STRATA_BAD_DATA, "spoiled");
    training_close(&bad, weights);
    int count = training_close(&good, weights);
    assert_all(same(weights, count, expected, expected_count));
}

/* --- traces --- */

static bool same_handlers(const struct sigaction *before)
{
    bool same = true;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) == 0)
            same &= now.sa_handler == before[number].sa_handler;
    }
    return same;
}

static void test_signals_are_the_programs(void **state)
{
    (void)state;
    struct sigaction before[NSIG] = {0};
    static training t;
    static float weights[MOST_WEIGHTS];
    for (int number = 1; number < NSIG; number++)
        sigaction(number, NULL, &before[number]);
    training_open(&t, MPI_COMM_WORLD, 9);
    training_step(&t);
    bool during = same_handlers(before);
    training_close(&t, weights);
    assert_all(during);
    assert_all(same_handlers(before));
}

static void test_mpi_goes_on(void **state)
{
    (void)state;
    strata_context *ctx = strata_init(MPI_COMM_WORLD, (strata_options){.verbosity = 1});
    strata_fail(ctx, STRATA_IO, "a failure that ends the training, not the program");
    /* rank 0 prints it */
    int code = strata_finish(&ctx), ended = 0, ranks = 1;
    MPI_Finalized(&ended);
    MPI_Allreduce(MPI_IN_PLACE, &ranks, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    assert_all_int_equal(code, strata_status_exit_code(STRATA_IO));
    assert_all(!ended && ctx == NULL);
    assert_all_int_equal(ranks, test_ranks());
}

/* --- data and words --- */

/* Training on the samples where they lie is training on one array of them. */
static void test_local_samples_train_alike(void **state)
{
    (void)state;
    static float x[RUN_SAMPLES * RUN_FEATURES];
    static int32_t y[RUN_SAMPLES];
    static float weights[2][MOST_WEIGHTS];
    int counts[2];
    for (int m = 0; test_mesh(m); m++) {
        for (int local = 0; local < 2; local++) {
            strata_context *ctx = run_open(test_mesh(m));
            strata_model *model = run_model(ctx, "adam");
            strata_dataset *data = run_data(ctx, x, y);
            int64_t first = RUN_SAMPLES * test_rank() / test_ranks();
            int64_t count = RUN_SAMPLES * (test_rank() + 1) / test_ranks() - first;
            if (local)
                data =
                    strata_local_dataset(ctx,
                                         .x = {{x + first * RUN_FEATURES,
                                                STRATA_SHAPE(count, RUN_FEATURES), STRATA_FLOAT32}},
                                         .y = {{y + first, STRATA_SHAPE(count), STRATA_INT32}});
            strata_fit(model, data, .batch_size = RUN_BATCH, .epochs = 2, .validation_split = 0.2,
                       .verbose = "0");
            assert_all_ok(ctx);
            counts[local] = read_weights(model, weights[local]);
            run_close(ctx);
        }
        assert_all(same(weights[0], counts[0], weights[1], counts[1]));
    }
}

static const char network[] =
    "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"plain\", \"layers\": ["
    "{\"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": [null, 6]}}, "
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 3, \"name\": \"last\"}}]}}";

static void test_plain_functions_train(void **state)
{
    (void)state;
    static float x[RUN_SAMPLES * RUN_FEATURES], y[RUN_SAMPLES * 3];
    static int32_t labels[RUN_SAMPLES];
    strata_context *ctx =
        strata_plain_init(MPI_Comm_c2f(MPI_COMM_WORLD), " --seed=3  --mesh data=1,cols=1 ");
    bool right = test_ranks() == 1 ? strata_error(ctx) == STRATA_OK
                                   : strstr(strata_error_message(ctx), "needs 1 ranks") != NULL;
    strata__session_close(ctx);
    strata__context_free(ctx);
    assert_all(right);
    ctx = strata_plain_init(MPI_Comm_c2f(MPI_COMM_WORLD), "--verbosity=1");
    run_data(ctx, x, labels);
    for (int i = 0; i < RUN_SAMPLES; i++)
        y[3 * i + labels[i]] = 1;
    bool mine = test_rank() == test_ranks() - 1; /* all samples lie on the last rank */
    strata_model *model = strata_model_from_json(ctx, network);
    strata_plain_compile(model, "adam", "mse", NULL);
    strata_dataset *data = strata_plain_local_dataset(ctx, mine ? RUN_SAMPLES : 0, RUN_FEATURES,
                                                      mine ? x : NULL, 3, mine ? y : NULL);
    double before = strata_plain_evaluate(model, data, 16);
    double fitted = strata_plain_fit(model, data, 16, 20);
    double step = strata_plain_train_on_batch(model, data);
    double after = strata_plain_evaluate(model, data, 16);
    assert_all_ok(ctx);
    run_close(ctx);
    assert_all(fitted < before && after < before && step > 0 && step < before);
}

static void test_plain_words_are_checked(void **state)
{
    (void)state;
    char many[200] = "";
    for (int i = 0; i < 40; i++)
        strcat(many, "a ");
    strata_context *ctx = strata_plain_init(MPI_Comm_c2f(MPI_COMM_WORLD), "--sead=3");
    test_adopt(ctx, strata__session_close);
    assert_all_error(ctx, STRATA_INVALID, "option '--sead=3' is unknown");
    ctx = strata_plain_init(MPI_Comm_c2f(MPI_COMM_WORLD), many);
    test_adopt(ctx, strata__session_close);
    assert_all_error(ctx, STRATA_INVALID, "more than 31 options");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contexts_on_disjoint_communicators),
        cmocka_unit_test(test_contexts_on_overlapping_communicators),
        cmocka_unit_test(test_error_stays_in_its_context),
        cmocka_unit_test(test_signals_are_the_programs),
        cmocka_unit_test(test_mpi_goes_on),
        cmocka_unit_test(test_local_samples_train_alike),
        cmocka_unit_test(test_plain_functions_train),
        cmocka_unit_test(test_plain_words_are_checked),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
