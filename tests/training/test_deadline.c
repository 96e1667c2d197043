/* Deadlines: what counts as the end, what is left at a step, a save to learn its cost. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runs.h"
#include "training/deadline.h"

/* What rank 0 is told after a step; others know nothing. */
static void assert_left(strata_context *ctx, strata__time_left expected)
{
    assert_all_int_equal(strata__deadline_step(ctx), test_rank() == 0 ? expected : STRATA__ENOUGH);
}

static void set_slurm(long seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", (long)time(NULL) + seconds);
    setenv("SLURM_JOB_END_TIME", text, 1);
}

/* The end of the Slurm job in seconds from now (0: no job), max_time, and whether the end is near.
 */
typedef struct limit {
    long slurm;
    const char *max_time;
    bool near;
} limit;

static void test_the_earlier_limit_holds(void **state)
{
    (void)state;
    static const limit limits[] = {
        {0, NULL, false},   {0, "1h", false},   {0, "2", true},       {3600, NULL, false},
        {2, NULL, true},    {2, "1h", true},    {3600, "2", true},    {3600, "2h", false},
        {2, "none", false}, {-100, NULL, true}, {0, "0:00:01", true}, {3600, "none", false}};
    for (size_t i = 0; i < TEST_COUNT(limits); i++) {
        if (limits[i].slurm)
            set_slurm(limits[i].slurm);
        strata_context *ctx = run_open_with((strata_options){.max_time = limits[i].max_time});
        unsetenv("SLURM_JOB_END_TIME");
        assert_left(ctx, limits[i].near ? STRATA__DUE : STRATA__ENOUGH);
        run_close(ctx);
    }
}

static void test_slurm_times_that_are_none(void **state)
{
    (void)state;
    static const char *const stamps[] = {"", "soon", "0", "-5", "12x", "UNLIMITED"};
    for (size_t i = 0; i < TEST_COUNT(stamps); i++) {
        setenv("SLURM_JOB_END_TIME", stamps[i], 1);
        strata_context *ctx = run_open(NULL);
        unsetenv("SLURM_JOB_END_TIME");
        assert_all(ctx->deadline == NULL);
        run_close(ctx);
    }
}

static void test_saves_that_take_long(void **state)
{
    (void)state;
    strata_context *ctx = run_open_with((strata_options){.max_time = "100"});
    strata__deadline_begin_run(ctx);
    assert_left(ctx, STRATA__ENOUGH);
    strata__deadline_saved(ctx, 40);
    assert_left(ctx, STRATA__ENOUGH);
    strata__deadline_saved(ctx, 64);
    assert_left(ctx, STRATA__DUE);
    strata__deadline_saved(ctx, 1);
    assert_left(ctx, STRATA__DUE);
    run_close(ctx);
}

static void pass(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&time, NULL);
}

static void pass_quarter(strata_callback *self, strata_model *model, int64_t batch)
{
    bool *passed = self->state;
    (void)model;
    (void)batch;
    if (!*passed)
        pass(4.1);
    *passed = true;
}

/* Nothing else asks for a file: the run is to go on for hours, but for its deadline. */
static void test_a_save_is_made_to_learn_its_cost(void **state)
{
    (void)state;
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    char text[600], path[512];
    bool passed = false;
    strata_callback sleeper = {.state = &passed, .train_batch_begin = pass_quarter};
    snprintf(path, sizeof path, "%s", test_path("cost.h5"));
    snprintf(text, sizeof text, "Checkpoint('%s', save_freq='5h')", path);
    strata_context *ctx = run_open_with((strata_options){.max_time = "16"});
    strata_model *model = run_model(ctx, "SGD(0.1)");
    strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH, .verbose = "0",
               .callbacks = {&sleeper, strata_callback_from_text(ctx, text)});
    assert_all_ok(ctx);
    strata_checkpoint_load(model, path);
    assert_all_ok(ctx);
    assert_all_int_equal(ctx->step, 1);
    run_close(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_earlier_limit_holds),
        cmocka_unit_test(test_slurm_times_that_are_none),
        cmocka_unit_test(test_saves_that_take_long),
        cmocka_unit_test(test_a_save_is_made_to_learn_its_cost),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
