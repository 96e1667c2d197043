/* What a watchdog has seen of all ranks, as a table that names those who are waited for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/watchdog_table.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"

enum { LINE_SIZE = 320, CAUSE_SIZE = 64 };

/* A page that is full stays so. */
typedef struct page {
    char *text;
    size_t size, length;
} page;

__attribute__((format(printf, 2, 3))) static void put(page *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(p->text + p->length, p->size - p->length, format, arguments);
    va_end(arguments);
    if (length > 0)
        p->length += (size_t)length;
    if (p->length >= p->size)
        p->length = p->size - 1;
}

static long long seconds(int64_t milliseconds)
{
    return (long long)((milliseconds + 500) / 1000);
}

static void put_cell(page *p, const char *text, int width)
{
    const char *shown = *text ? text : "-";
    int blank = width - strata__text_width(shown);
    put(p, "%s%*s", shown, blank > 0 ? blank : 0, "");
}

/* "rank 3" or "ranks 3-5" */
static void put_ranks(page *p, int first, int last)
{
    if (first == last)
        put(p, "rank %d", first);
    else
        put(p, "ranks %d-%d", first, last);
}

/* --- rows --- */

/* "" when there is nothing to say. */
static void describe_silence(const strata__view *view, int64_t clock, char text[CAUSE_SIZE])
{
    text[0] = '\0';
    if (!view->silent)
        return;
    long long age = seconds(clock - view->heard);
    if (view->record.state == 'T')
        snprintf(text, CAUSE_SIZE, "stopped by a signal");
    else if (view->record.state == 't')
        snprintf(text, CAUSE_SIZE, "held by a debugger");
    else if (view->record.state == 'Z' || view->record.state == 'X')
        snprintf(text, CAUSE_SIZE, "dead");
    else if (view->record.heartbeat == 0)
        snprintf(text, CAUSE_SIZE, "never heard");
    else
        snprintf(text, CAUSE_SIZE, view->near ? "silent for %lld s" : "last heard %lld s ago", age);
}

static bool same_place(const strata__record *a, const strata__record *b)
{
    return a->step == b->step && strcmp(a->collective, b->collective) == 0;
}

static bool same_row(const strata__view *a, const strata__view *b, int64_t clock)
{
    char ours[CAUSE_SIZE], theirs[CAUSE_SIZE];
    describe_silence(a, clock, ours);
    describe_silence(b, clock, theirs);
    return same_place(&a->record, &b->record) && strcmp(a->record.phase, b->record.phase) == 0 &&
           strcmp(a->record.layer, b->record.layer) == 0 && strcmp(ours, theirs) == 0 &&
           seconds(clock - a->moved) == seconds(clock - b->moved);
}

static void put_row(page *p, const strata__view *view, int first, int last, int64_t clock)
{
    char ranks[32], cause[CAUSE_SIZE];
    snprintf(ranks, sizeof ranks, first == last ? "%d" : "%d-%d", first, last);
    describe_silence(view, clock, cause);
    put(p, "  %-11s %8llu %6lld s  ", ranks, (unsigned long long)view->record.step,
        seconds(clock - view->moved));
    put_cell(p, view->record.phase, 12);
    put_cell(p, view->record.layer, 24);
    put_cell(p, view->record.collective, *cause ? 32 : 0);
    put(p, "%s%s\n", *cause ? "  " : "", cause);
}

static void put_rows(page *p, const strata__view *views, int ranks, int64_t clock)
{
    put(p, "  %-11s %8s %8s  %-12s%-24s%s\n", "rank", "step", "for", "phase", "layer",
        "collective");
    for (int first = 0, last; first < ranks; first = last + 1) {
        last = first;
        while (last + 1 < ranks && same_row(&views[first], &views[last + 1], clock))
            last++;
        put_row(p, &views[first], first, last, clock);
    }
}

/* --- who is waited for --- */

/* From the surest reason to the weakest. */
typedef enum reason { SILENT, OUTSIDE, ELSEWHERE, NO_REASON } reason;

/* Candidate and count of Boyer and Moore: the place where more than half of the waiting ranks are,
 * if there is one; else one where some are. */
static const strata__record *crowd_of(const strata__view *views, int ranks)
{
    const strata__record *crowd = NULL;
    int count = 0;
    for (int r = 0; r < ranks; r++) {
        if (views[r].silent || !views[r].record.collective[0])
            continue;
        if (count == 0)
            crowd = &views[r].record;
        count += same_place(crowd, &views[r].record) ? 1 : -1;
    }
    return crowd;
}

static reason reason_of(const strata__view *view, const strata__record *crowd)
{
    if (view->silent)
        return SILENT;
    if (!crowd)
        return NO_REASON;
    if (!view->record.collective[0])
        return OUTSIDE;
    return same_place(&view->record, crowd) ? NO_REASON : ELSEWHERE;
}

static reason surest_reason(const strata__view *views, int ranks, const strata__record *crowd)
{
    reason surest = NO_REASON;
    for (int r = 0; r < ranks; r++) {
        reason own = reason_of(&views[r], crowd);
        surest = own < surest ? own : surest;
    }
    return surest;
}

static void describe_cause(const strata__view *view, int64_t clock, char text[CAUSE_SIZE])
{
    describe_silence(view, clock, text);
    if (view->silent)
        return;
    if (view->record.collective[0])
        snprintf(text, CAUSE_SIZE, "in '%s'", view->record.collective);
    else
        snprintf(text, CAUSE_SIZE, "in no collective");
}

static void put_waited_for(page *p, const strata__view *views, int ranks, int64_t clock)
{
    const strata__record *crowd = crowd_of(views, ranks);
    reason surest = surest_reason(views, ranks, crowd);
    const char *before = "strata: waited for: ";
    for (int first = 0, last; surest != NO_REASON && first < ranks; first = last + 1) {
        char cause[CAUSE_SIZE], next[CAUSE_SIZE];
        last = first;
        if (reason_of(&views[first], crowd) != surest)
            continue;
        describe_cause(&views[first], clock, cause);
        for (; last + 1 < ranks && reason_of(&views[last + 1], crowd) == surest; last++) {
            describe_cause(&views[last + 1], clock, next);
            if (strcmp(cause, next) != 0)
                break;
        }
        put(p, "%s", before);
        put_ranks(p, first, last);
        put(p, " (%s)", cause);
        before = ", ";
    }
    if (surest != NO_REASON)
        put(p, surest == SILENT ? "\n" : "; most others are in '%s'\n",
            crowd ? crowd->collective : "");
    else if (crowd)
        put(p, "strata: all ranks are in the same collective; what lies between them may have "
               "failed\n");
    else
        put(p, "strata: no rank waits for another; all are slow, or none comes to an end\n");
}

size_t strata__watchdog_table_size(int ranks)
{
    return (size_t)(ranks + 8) * LINE_SIZE;
}

size_t strata__watchdog_table(const strata__view *views, int ranks, int64_t clock, int64_t stalled,
                              char *text, size_t size)
{
    page p = {.text = text, .size = size};
    put(&p, "strata: no rank has made progress for %lld s\n", seconds(stalled));
    put_rows(&p, views, ranks, clock);
    put_waited_for(&p, views, ranks, clock);
    return p.length;
}
