/* Progress while training: Keras's bar and Keras's line an epoch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "training/terminal.h"

enum { WIDTH = 20 /* of the bar, in characters */ };

/* Seconds between two drawings: over each other, and as lines in a file. */
static const double redraw_interval = 0.05, line_interval = 1;

/* --- where it goes --- */

static bool is_set(const char *variable, const char *value)
{
    const char *text = getenv(variable);
    return text && (value ? strcmp(text, value) == 0 : *text != '\0');
}

static bool draws_over(void)
{
    return (strata__terminal_watched() || is_set("STRATA_PROGRESS", "1")) &&
           !is_set("TERM", "dumb");
}

strata_status strata__progress_start(strata__progress *progress, strata_context *ctx,
                                     const char *verbose)
{
    bool automatic = !verbose || strcmp(verbose, "auto") == 0;
    *progress = (strata__progress){.ctx = ctx};
    if (!automatic && (strlen(verbose) != 1 || !strchr("012", *verbose)))
        return strata__fail(ctx, STRATA_INVALID, "verbose='%.100s' is none of auto, 0, 1, 2",
                            verbose);
    if (ctx->rank != 0)
        return STRATA_OK;
    progress->terminal = draws_over();
    progress->color = progress->terminal && !is_set("NO_COLOR", NULL);
    progress->verbose = !automatic ? *verbose - '0' : progress->terminal ? 1 : 2;
    return STRATA_OK;
}

static void print(strata__text *text)
{
    char *words = strata__text_take(text);
    if (words) {
        fputs(words, stdout);
        fflush(stdout);
    }
    strata__free(text->ctx, words);
}

/* --- numbers --- */

/* "9s", "3:07", "1:02:45". */
static void add_time_left(strata__text *text, double time)
{
    long long left = (long long)time;
    if (time > 3600)
        strata__text_format(text, " %lld:%02lld:%02lld", left / 3600, left % 3600 / 60, left % 60);
    else if (time > 60)
        strata__text_format(text, " %lld:%02lld", left / 60, left % 60);
    else
        strata__text_format(text, " %llds", left);
}

static void add_pace(strata__text *text, double time)
{
    if (time >= 1 || time == 0)
        strata__text_format(text, " %.0fs/step", time);
    else if (time >= 1e-3)
        strata__text_format(text, " %.0fms/step", time * 1e3);
    else
        strata__text_format(text, " %.0fus/step", time * 1e6);
}

static void add_number(strata__text *text, const char *name, double value)
{
    if (isnan(value))
        strata__text_format(text, " - %s: nan", name);
    else if (fabs(value) > 1e-3)
        strata__text_format(text, " - %s: %.4f", name, value);
    else
        strata__text_format(text, " - %s: %.4e", name, value);
}

static bool is_validation(const char *name)
{
    return strncmp(name, "val_", 4) == 0;
}

/* Validation after training, each in the order of the alphabet. */
static bool comes_before(const char *a, const char *b)
{
    if (is_validation(a) != is_validation(b))
        return is_validation(b);
    return strcmp(a, b) < 0;
}

/* The first name after `previous` (NULL: of all); -1 past the last. */
static int next_name(const strata_logs *logs, const char *previous)
{
    int next = -1;
    for (int i = 0; i < logs->count; i++) {
        if (previous && !comes_before(previous, logs->names[i]))
            continue;
        if (next < 0 || comes_before(logs->names[i], logs->names[next]))
            next = i;
    }
    return next;
}

static void add_numbers(strata__text *text, const strata_logs *logs)
{
    for (int i = next_name(logs, NULL); i >= 0; i = next_name(logs, logs->names[i]))
        add_number(text, logs->names[i], logs->values[i]);
}

static void add_count(strata__text *text, const strata__progress *progress)
{
    int digits = snprintf(NULL, 0, "%lld", (long long)progress->steps);
    strata__text_format(text, "%*lld/%lld", digits, (long long)progress->done,
                        (long long)progress->steps);
}

/* Seconds a step: without the first one, once there are others. */
static double pace(const strata__progress *progress, double now)
{
    if (progress->warm > 0 && progress->done > progress->warm)
        return (now - progress->warmed) / (double)(progress->done - progress->warm);
    return progress->done > 0 ? (now - progress->started) / (double)progress->done : 0;
}

/* --- the bar --- */

static void add_run(strata__text *text, const strata__progress *progress, const char *color,
                    const char *piece, int64_t count)
{
    if (count == 0)
        return;
    strata__text_puts(text, progress->color ? color : "");
    for (int64_t i = 0; i < count; i++)
        strata__text_puts(text, piece);
    strata__text_puts(text, progress->color ? "\33[0m" : "");
}

static void add_bar(strata__text *text, const strata__progress *progress)
{
    int64_t filled = progress->steps > 0 ? WIDTH * progress->done / progress->steps : 0;
    strata__text_puts(text, progress->color ? "\33[1m" : "");
    add_count(text, progress);
    strata__text_puts(text, progress->color ? "\33[0m " : " ");
    add_run(text, progress, "\33[32m", "━", filled);
    add_run(text, progress, "\33[37m", progress->color ? "━" : "─", WIDTH - filled);
}

static void draw(strata__progress *progress, bool ends, const strata_logs *logs)
{
    double now = strata__seconds(), step = pace(progress, now);
    strata__text text = {.ctx = progress->ctx};
    strata__text_puts(&text, progress->terminal ? "\r" : "");
    add_bar(&text, progress);
    if (ends)
        strata__text_format(&text, " %.0fs", now - progress->started);
    else
        add_time_left(&text, step * (double)(progress->steps - progress->done));
    add_pace(&text, step);
    add_numbers(&text, logs);
    strata__text_puts(&text, progress->terminal ? "\33[K" : "");
    progress->drawn = progress->terminal && !ends;
    strata__text_puts(&text, progress->drawn ? "" : "\n");
    print(&text);
    progress->shown = now;
}

static void print_line(const strata__progress *progress, const strata_logs *logs)
{
    double now = strata__seconds();
    strata__text text = {.ctx = progress->ctx};
    add_count(&text, progress);
    strata__text_format(&text, " - %.0fs -", now - progress->started);
    add_pace(&text, pace(progress, now));
    add_numbers(&text, logs);
    strata__text_puts(&text, "\n");
    print(&text);
}

/* --- an epoch --- */

void strata__progress_epoch(strata__progress *progress, int epoch, int epochs, int64_t steps)
{
    if (progress->verbose == 0)
        return;
    progress->steps = steps;
    progress->done = progress->warm = 0;
    progress->started = progress->shown = strata__seconds();
    if (epoch < 0)
        return;
    strata__text text = {.ctx = progress->ctx};
    strata__text_format(&text, "Epoch %d/%d\n", epoch + 1, epochs);
    print(&text);
}

void strata__progress_skip(strata__progress *progress, int64_t done)
{
    progress->done = done;
}

bool strata__progress_due(strata__progress *progress, int64_t step)
{
    if (progress->verbose == 0)
        return false;
    progress->done = step + 1;
    if (progress->warm == 0) {
        progress->warm = progress->done;
        progress->warmed = strata__seconds();
    }
    if (progress->verbose != 1)
        return false;
    double interval = progress->terminal ? redraw_interval : line_interval;
    bool last = progress->done == progress->steps && progress->terminal;
    return last || strata__seconds() - progress->shown >= interval;
}

void strata__progress_show(strata__progress *progress, int64_t done, const strata_logs *logs)
{
    if (progress->verbose != 1)
        return;
    progress->done = done;
    draw(progress, false, logs);
}

void strata__progress_epoch_end(strata__progress *progress, const strata_logs *logs)
{
    if (progress->verbose == 1)
        draw(progress, true, logs);
    else if (progress->verbose == 2)
        print_line(progress, logs);
}

void strata__progress_stop(strata__progress *progress)
{
    if (!progress->drawn)
        return;
    progress->drawn = false;
    putchar('\n');
    fflush(stdout);
}
