/* LearningRateScheduler: the rates of epochs, and who gets to see them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runs.h"

static float x[RUN_SAMPLES * RUN_FEATURES];
static int32_t y[RUN_SAMPLES];

/* Ranks that disagree follow rank 0. */
static double halve(int epoch, double rate, void *user)
{
    ++*(int *)user;
    return epoch == 0 ? 0.25 : rate / 2 * (test_rank() + 1);
}

static void test_learning_rates_follow_a_function(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "SGD(0.1)");
    int calls = 0;
    const strata_history *history =
        strata_fit(model, run_data(ctx, x, y), .epochs = 4, .initial_epoch = 1, .verbose = "0",
                   .callbacks = {strata_learning_rate_scheduler(ctx, halve, &calls)});
    assert_all_ok(ctx);
    assert_all_int_equal(calls, 3);
    const double *rates = strata_history_get(history, "learning_rate");
    assert_all(rates != NULL && history->epochs == 3);
    for (int epoch = 0; epoch < 3; epoch++)
        assert_all_near(rates[epoch], 0.05 / (1 << epoch), 1e-9);
    assert_all_near(strata_model_learning_rate(model), 0.0125, 1e-9);
    run_close(ctx);
}

static double no_rate(int epoch, double rate, void *user)
{
    (void)epoch;
    (void)user;
    return rate * INFINITY;
}

static void test_learning_rates_that_cannot_be(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_dataset *data = run_data(ctx, x, y);
    strata_callback *callback = strata_learning_rate_scheduler(ctx, no_rate, NULL);
    strata_fit(run_model(ctx, "sgd"), data, .verbose = "0", .callbacks = {callback});
    assert_all_error(ctx, STRATA_INVALID, "gave inf for epoch 0");
    strata_fit(run_model(ctx, "SGD(ExponentialDecay(0.1, 10, 0.9))"), data, .verbose = "0",
               .callbacks = {strata_learning_rate_scheduler(ctx, halve, &(int){0})});
    assert_all_error(ctx, STRATA_INVALID, "not settable");
    run_close(ctx);
}

/* Callbacks that come after it have the rate among their numbers, as in Keras; those before do not.
 */
static void test_logs_have_the_learning_rate(void **state)
{
    (void)state;
    int calls = 0;
    char texts[2][600];
    strata_context *ctx = run_open(NULL);
    for (int i = 0; i < 2; i++)
        snprintf(texts[i], sizeof texts[i], "CSVLogger('%s')",
                 test_path(i ? "after.csv" : "before.csv"));
    strata_callback *before = strata_callback_from_text(ctx, texts[0]);
    strata_callback *after = strata_callback_from_text(ctx, texts[1]);
    strata_fit(run_model(ctx, "SGD(0.1)"), run_data(ctx, x, y), .epochs = 2, .verbose = "0",
               .callbacks = {before, strata_learning_rate_scheduler(ctx, halve, &calls), after});
    assert_all_ok(ctx);
    const char *text = run_text(test_path("before.csv"));
    assert_all(strncmp(text, "epoch,accuracy,loss", 19) == 0 && !strstr(text, "learning_rate"));
    text = run_text(test_path("after.csv"));
    assert_all(strncmp(text, "epoch,accuracy,learning_rate,loss", 33) == 0);
    assert_all(strstr(text, ",0.25,") != NULL && strstr(text, ",0.125,") != NULL);
    run_close(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learning_rates_follow_a_function),
        cmocka_unit_test(test_learning_rates_that_cannot_be),
        cmocka_unit_test(test_logs_have_the_learning_rate),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
