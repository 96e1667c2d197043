/* Runs that are told to stop: by a signal to any rank, or because their time is over. They go on
 * bit for bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"
#include "training/trainer.h"

enum { EPOCHS = 3 };

static float x[RUN_SAMPLES * RUN_FEATURES];
static int32_t y[RUN_SAMPLES];

/* --- runs --- */

/* `path`: of the checkpoint, or NULL. */
static void run_in(strata_context *ctx, const char *path, bool resumes, strata_callback *caller,
                   run_outcome *o)
{
    char text[600];
    strata_callback *callbacks[2] = {NULL, NULL};
    int count = 0;
    strata_model *model = run_model(ctx, "Adam(0.01, use_ema=True, gradient_accumulation_steps=2)");
    if (caller)
        callbacks[count++] = caller;
    snprintf(text, sizeof text, "Checkpoint('%s')", path ? path : "");
    if (path)
        callbacks[count] = strata_callback_from_text(ctx, text);
    const strata_history *history =
        strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH, .epochs = EPOCHS,
                   .validation_split = 0.4, .verbose = "0", .resume = resumes ? path : NULL,
                   .callbacks = {callbacks[0], callbacks[1]});
    run_note(model, history, o);
}

static run_outcome run(strata_options options, const char *path, bool resumes,
                       strata_callback *caller)
{
    run_outcome o;
    strata_context *ctx = run_open_with(options);
    run_in(ctx, path, resumes, caller, &o);
    run_close(ctx);
    return o;
}

/* --- signals --- */

enum { EVERY_RANK = -1, LAST_RANK = -2, STEPS = 4 /* of training in an epoch */ };

/* When a signal comes, and to whom. */
typedef struct call {
    int signal, rank;
    int epoch;
    int64_t batch; /* of the epoch, or of its validation */
    bool in_validation;
    const char *words; /* of the message */
} call;

static const call calls[] = {
    {SIGUSR1, EVERY_RANK, 0, 0, false,
     "signal USR1 came: training stopped after step 1 of epoch 1"},
    {SIGUSR1, 0, 1, 1, false, "stopped after step 2 of epoch 2"},
    {SIGUSR1, LAST_RANK, 1, 2, false, "stopped after step 3 of epoch 2"},
    {SIGTERM, LAST_RANK, 2, STEPS - 1, false, "signal TERM came: training stopped after step 4"},
    {SIGUSR1, LAST_RANK, 0, 0, true, "stopped after step 4 of epoch 1"},
    {SIGUSR1, 0, 2, 2, true, "stopped after step 4 of epoch 3"},
};

typedef struct caller {
    const call *call;
    int epoch;
} caller;

static void call_now(const call *c)
{
    int rank = c->rank == LAST_RANK ? test_ranks() - 1 : c->rank;
    if (rank == EVERY_RANK || rank == test_rank())
        raise(c->signal);
}

static void begin_epoch(strata_callback *self, strata_model *model, int epoch)
{
    caller *state = self->state;
    (void)model;
    state->epoch = epoch;
}

static void begin_batch(strata_callback *self, strata_model *model, int64_t batch)
{
    const caller *state = self->state;
    (void)model;
    if (!state->call->in_validation && state->epoch == state->call->epoch &&
        batch == state->call->batch)
        call_now(state->call);
}

static void begin_test_batch(strata_callback *self, strata_model *model, int64_t batch)
{
    const caller *state = self->state;
    (void)model;
    if (state->call->in_validation && state->epoch == state->call->epoch &&
        batch == state->call->batch)
        call_now(state->call);
}

static strata_callback calling(caller *state)
{
    return (strata_callback){.state = state,
                             .epoch_begin = begin_epoch,
                             .train_batch_begin = begin_batch,
                             .test_batch_begin = begin_test_batch};
}

static void check_call(const call *c, const char *mesh, const run_outcome *undisturbed)
{
    char path[512];
    caller state = {.call = c};
    strata_callback callback = calling(&state);
    snprintf(path, sizeof path, "%s", test_path("called.h5"));
    run_outcome stopped =
        run((strata_options){.mesh = mesh, .signals = "USR1,TERM"}, path, false, &callback);
    assert_all_int_equal(stopped.status, STRATA_RESTART);
    assert_all(strstr(stopped.message, c->words) && strstr(stopped.message, path));
    run_outcome rest = run((strata_options){.mesh = mesh}, path, true, NULL);
    run_assert_same(&rest, undisturbed);
}

static void test_a_signal_stops_a_run_that_goes_on(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        char mesh[64];
        snprintf(mesh, sizeof mesh, "%s", test_mesh(m));
        run_outcome undisturbed = run((strata_options){.mesh = mesh}, NULL, false, NULL);
        for (size_t i = 0; i < TEST_COUNT(calls); i++)
            check_call(&calls[i], mesh, &undisturbed);
    }
}

/* The job may be called before it trains. */
static void test_a_signal_waits_for_the_run(void **state)
{
    (void)state;
    char path[512];
    run_outcome o;
    snprintf(path, sizeof path, "%s", test_path("early.h5"));
    strata_context *ctx = run_open_with((strata_options){.signals = "USR1"});
    raise(SIGUSR1);
    run_in(ctx, path, false, NULL, &o);
    run_close(ctx);
    assert_all_int_equal(o.status, STRATA_RESTART);
    assert_all(strstr(o.message, "after step 1 of epoch 1") != NULL);
}

/* Nobody saves: it must not be lost. */
static void test_a_signal_without_checkpoint_changes_nothing(void **state)
{
    (void)state;
    caller calls_state = {.call = &calls[1]};
    strata_callback callback = calling(&calls_state);
    run_outcome undisturbed = run((strata_options){0}, NULL, false, NULL);
    run_outcome called = run((strata_options){.signals = "USR1,TERM"}, NULL, false, &callback);
    run_assert_same(&called, &undisturbed);
}

/* --- handlers --- */

static void own_handler(int signal)
{
    (void)signal;
}

static bool is_own(int signal)
{
    struct sigaction action;
    sigaction(signal, NULL, &action);
    return action.sa_handler == own_handler;
}

static void look_at_handlers(strata_callback *self, strata_model *model)
{
    bool *taken = self->state;
    (void)model;
    taken[0] = !is_own(SIGUSR1);
    taken[1] = !is_own(SIGTERM);
}

static void check_handlers(const char *signals, bool usr1, bool term)
{
    bool taken[2] = {false};
    run_outcome o;
    strata_callback callback = {.state = taken, .train_begin = look_at_handlers};
    strata_context *ctx = run_open_with((strata_options){.signals = signals});
    assert_all_int_equal(is_own(SIGUSR1), !usr1);
    assert_all(is_own(SIGTERM));
    run_in(ctx, test_path("handlers.h5"), false, &callback, &o);
    assert_all_int_equal(taken[0], usr1);
    assert_all_int_equal(taken[1], term);
    assert_all(is_own(SIGTERM));
    run_in(ctx, NULL, false, &callback, &o);
    assert_all_int_equal(taken[1], false);
    run_close(ctx);
    assert_all(is_own(SIGUSR1) && is_own(SIGTERM));
}

static void test_handlers_come_only_when_asked_for_and_go(void **state)
{
    (void)state;
    signal(SIGUSR1, own_handler);
    signal(SIGTERM, own_handler);
    check_handlers(NULL, false, false);
    check_handlers("none", false, false);
    check_handlers("TERM", false, true);
    check_handlers("USR1,TERM", true, true);
    setenv("STRATA_SIGNALS", "USR1", 1);
    check_handlers(NULL, true, false);
    unsetenv("STRATA_SIGNALS");
    signal(SIGUSR1, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static strata_context *refused_start(strata_options options)
{
    options.verbosity = 1;
    return strata_init(MPI_COMM_WORLD, options);
}

static void test_options_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        strata_options options;
        const char *words;
    } wrong[] = {{{.signals = "HUP"}, "signals='HUP'"},     {{.signals = "USR1,"}, "USR1 and TERM"},
                 {{.signals = "USR12"}, "USR1 and TERM"},   {{.max_time = "soon"}, "'soon'"},
                 {{.max_time = "-5"}, "no length of time"}, {{.max_time = "1:99"}, "1:30:00"}};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        strata_context *ctx = refused_start(wrong[i].options);
        assert_all_error(ctx, STRATA_INVALID, wrong[i].words);
        run_close(ctx);
    }
    strata_context *first = run_open_with((strata_options){.signals = "USR1"});
    strata_context *second = refused_start((strata_options){.signals = "TERM"});
    assert_all_error(second, STRATA_INVALID, "another context");
    run_close(second);
    run_close(first);
    run_close(run_open_with((strata_options){.signals = "USR1"}));
}

/* --- time --- */

/* A run that has time for one step only, again and again, and at last for a validation. */
static void check_short_runs(strata_options options)
{
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("short.h5"));
    run_outcome undisturbed = run((strata_options){.max_time = "none"}, NULL, false, NULL);
    run_outcome o = run(options, path, false, NULL);
    int runs = 1;
    for (; o.status == STRATA_RESTART && runs < 2 * STEPS * EPOCHS; runs++) {
        assert_all(strstr(o.message, "the time is nearly up") != NULL);
        o = run(options, path, true, NULL);
    }
    assert_all_int_equal(runs, STEPS * EPOCHS + 1);
    run_assert_same(&o, &undisturbed);
}

static void test_runs_end_before_their_time(void **state)
{
    (void)state;
    check_short_runs((strata_options){.max_time = "4"});
}

static void test_runs_end_before_their_slurm_job(void **state)
{
    (void)state;
    setenv("SLURM_JOB_END_TIME", "1000000000", 1);
    check_short_runs((strata_options){.max_time = "1:00:00"});
    unsetenv("SLURM_JOB_END_TIME");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signal_stops_a_run_that_goes_on),
        cmocka_unit_test(test_a_signal_waits_for_the_run),
        cmocka_unit_test(test_a_signal_without_checkpoint_changes_nothing),
        cmocka_unit_test(test_handlers_come_only_when_asked_for_and_go),
        cmocka_unit_test(test_options_that_cannot_be),
        cmocka_unit_test(test_runs_end_before_their_time),
        cmocka_unit_test(test_runs_end_before_their_slurm_job),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
