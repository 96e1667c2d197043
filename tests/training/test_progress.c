/* Progress: the lines of Keras, on rank 0 alone. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runs.h"
#include "sessions.h"
#include "training/progress.h"

static const char *const names[] = {"loss", "accuracy", "val_loss", "zeta", "val_accuracy"};
static const double values[] = {0.52341, 0.81234, 5e-4, 12, NAN};
static const strata_logs logs = {5, names, values};
#define NUMBERS                                                                                    \
    " - accuracy: 0.8123 - loss: 0.5234 - zeta: 12.0000 - val_accuracy: nan - val_loss: "          \
    "5.0000e-04"

/* --- what is printed --- */

static int terminal = -1;
static char captured[512];

static void capture(void)
{
    char name[32];
    snprintf(name, sizeof name, "out-%d", test_rank());
    snprintf(captured, sizeof captured, "%s", test_path(name));
    fflush(stdout);
    terminal = dup(STDOUT_FILENO);
    int file = open(captured, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(file, STDOUT_FILENO);
    close(file);
}

/* Seconds, "0s" or "12us", become T. */
static const char *without_times(const char *from)
{
    static char text[1 << 14];
    char *to = text;
    while (*from) {
        size_t digits = strspn(from, "0123456789");
        const char *unit = from + digits + (from[digits] == 'm' || from[digits] == 'u');
        bool time = digits > 0 && *unit == 's' && !isalnum((unsigned char)unit[1]);
        if (time) {
            *to++ = 'T';
            from = unit + 1;
        } else {
            size_t length = digits > 0 ? digits : 1;
            memcpy(to, from, length);
            to += length;
            from += length;
        }
    }
    *to = '\0';
    return text;
}

/* This text on rank 0, nothing elsewhere. */
static void assert_printed(const char *expected)
{
    fflush(stdout);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
    assert_all_string_equal(without_times(run_text(captured)), test_rank() == 0 ? expected : "");
}

static void set_environment(const char *progress, const char *no_color, const char *term)
{
    setenv("STRATA_PROGRESS", progress, 1);
    setenv("NO_COLOR", no_color, 1);
    setenv("TERM", term, 1);
}

/* --- tests --- */

static void run_epoch(strata__progress *progress, int64_t steps)
{
    for (int64_t step = 0; step < steps; step++)
        strata__progress_due(progress, step);
    strata__progress_epoch_end(progress, &logs);
}

static void test_a_line_an_epoch(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    capture();
    strata__progress_start(&progress, ctx, "2");
    strata__progress_epoch(&progress, 0, 5, 469);
    run_epoch(&progress, 469);
    strata__progress_epoch(&progress, 4, 5, 469);
    run_epoch(&progress, 12);
    strata__progress_stop(&progress);
    assert_printed("Epoch 1/5\n469/469 - T - T/step" NUMBERS "\n"
                   "Epoch 5/5\n 12/469 - T - T/step" NUMBERS "\n");
}

static void test_evaluation_has_no_epoch(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    set_environment("", "", "xterm");
    capture();
    strata__progress_start(&progress, ctx, NULL);
    strata__progress_epoch(&progress, -1, 0, 3);
    run_epoch(&progress, 3);
    assert_printed("3/3 - T - T/step" NUMBERS "\n");
}

static void test_nothing(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    capture();
    strata__progress_start(&progress, ctx, "0");
    strata__progress_epoch(&progress, 0, 5, 4);
    assert_all(!strata__progress_due(&progress, 3));
    run_epoch(&progress, 4);
    strata__progress_stop(&progress);
    assert_printed("");
}

static void draw_bar(strata__progress *progress)
{
    static const char *const name[] = {"loss"};
    static const double value[] = {-0.5};
    strata__progress_epoch(progress, 1, 2, 10);
    strata__progress_due(progress, 4);
    strata__progress_show(progress, 5, &(strata_logs){1, name, value});
}

static void test_the_bar_in_plain_letters(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    set_environment("1", "1", "xterm");
    capture();
    strata__progress_start(&progress, ctx, "auto");
    draw_bar(&progress);
    strata__progress_stop(&progress);
    strata__progress_stop(&progress);
    assert_printed("Epoch 2/2\n\r 5/10 ━━━━━━━━━━────────── T T/step - loss: -0.5000\33[K\n");
}

static void test_the_bar_in_color(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    set_environment("1", "", "xterm");
    capture();
    strata__progress_start(&progress, ctx, "auto");
    draw_bar(&progress);
    strata__progress_due(&progress, 9);
    strata__progress_epoch_end(&progress, &(strata_logs){0});
    strata__progress_stop(&progress);
    assert_printed("Epoch 2/2\n\r\33[1m 5/10\33[0m \33[32m━━━━━━━━━━\33[0m\33[37m━━━━━━━━━━\33[0m "
                   "T T/step - loss: -0.5000\33[K"
                   "\r\33[1m10/10\33[0m \33[32m━━━━━━━━━━━━━━━━━━━━\33[0m T T/step\33[K\n");
}

static void test_the_bar_in_a_file_is_a_line_each(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    set_environment("1", "", "dumb");
    capture();
    strata__progress_start(&progress, ctx, "1");
    draw_bar(&progress);
    strata__progress_stop(&progress);
    assert_printed("Epoch 2/2\n 5/10 ━━━━━━━━━━────────── T T/step - loss: -0.5000\n");
}

static void test_a_dumb_terminal_gets_lines(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    set_environment("1", "", "dumb");
    strata__progress_start(&progress, ctx, "auto");
    assert_all_int_equal(progress.verbose, test_rank() == 0 ? 2 : 0);
}

static void test_the_last_step_is_shown(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    set_environment("1", "", "xterm");
    capture();
    strata__progress_start(&progress, ctx, "1");
    strata__progress_epoch(&progress, -1, 0, 3);
    bool due = strata__progress_due(&progress, 2);
    assert_printed("");
    assert_all(due == (test_rank() == 0));
}

static void test_unknown_verbosity(void **state)
{
    (void)state;
    static const char *const wrong[] = {"3", "", "10", "loud"};
    strata_context *ctx = test_session(NULL);
    strata__progress progress;
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_all_int_equal(strata__progress_start(&progress, ctx, wrong[i]), STRATA_INVALID);
        assert_all_error(ctx, STRATA_INVALID, "none of auto, 0, 1, 2");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_an_epoch),
        cmocka_unit_test(test_evaluation_has_no_epoch),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_the_bar_in_plain_letters),
        cmocka_unit_test(test_the_bar_in_color),
        cmocka_unit_test(test_the_bar_in_a_file_is_a_line_each),
        cmocka_unit_test(test_a_dumb_terminal_gets_lines),
        cmocka_unit_test(test_the_last_step_is_shown),
        cmocka_unit_test(test_unknown_verbosity),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
