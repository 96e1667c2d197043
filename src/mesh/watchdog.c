/* The watchdog: a thread that notices when no rank makes progress, says who is waited for, and ends
 * the job. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/watchdog.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/process.h"
#include "mesh/watchdog_mail.h"
#include "mesh/watchdog_table.h"

/* Milliseconds. */
enum { LONGEST_TICK = 1000, LONGEST_GRACE = 10000 };

typedef struct strata__watchdog {
    const strata__activity *activity;
    bool warns;                    /* verbosity allows it */
    int64_t limit, tick, patience; /* milliseconds; silence up to `patience` means nothing */
    strata__board board;
    strata__peers peers;
    int socket, wake; /* -1: none; an event that ends the thread */
    bool running;
    pthread_t thread;

    /* Of the thread. */
    uint64_t ticks;
    int64_t clock;       /* milliseconds that it has watched */
    int64_t still;       /* clock when something moved last */
    bool warned;         /* of this stall */
    bool ending;         /* a rank has said that it ends the job */
    strata__view *views; /* [ranks] */
    char *text;
    size_t text_size;
} watchdog;

static int64_t milliseconds(void)
{
    return (int64_t)(strata__seconds() * 1000);
}

/* Whether no lower rank is alive, of all or of the own island. */
static bool is_first(const watchdog *w, bool on_island)
{
    for (int r = 0; r < w->peers.rank; r++) {
        if (!w->views[r].silent && (w->views[r].near || !on_island))
            return false;
    }
    return true;
}

/* Shows the own rank to its island, and the island to the others. */
static void publish(watchdog *w, char state)
{
    strata__record own = strata__record_of(w->activity, w->peers.rank, ++w->ticks);
    own.state = state;
    strata__board_store(&w->board, &own);
    if (w->socket >= 0 && is_first(w, true))
        strata__mail_send(w->socket, &w->peers, &w->board, w->ticks);
}

/* --- looking --- */

/* A neighbour's process may tell why its heart stands still. */
static void look_at_process(watchdog *w, strata__view *view)
{
    char state = strata__process_state(&w->peers, view->record.rank);
    if (state == view->record.state || view->record.state == 'E' || !strchr("TtZX", state))
        return;
    view->record.state = state;
    strata__board_store(&w->board, &view->record);
}

static bool is_silent(const watchdog *w, const strata__view *view)
{
    return w->clock - view->heard > w->patience ||
           (view->record.state && strchr("TtZX", view->record.state));
}

/* Whether the rank has moved since the last look. */
static bool look_at(watchdog *w, int rank)
{
    strata__view *view = &w->views[rank];
    strata__record seen;
    bool moved = false;
    if (strata__board_load(&w->board, rank, &seen)) {
        moved = seen.changes != view->record.changes || seen.step != view->record.step;
        if (seen.heartbeat != view->record.heartbeat)
            view->heard = w->clock;
        if (moved)
            view->moved = w->clock;
        view->record = seen;
    }
    if (view->near && view->record.heartbeat > 0 && w->clock - view->heard > 2 * w->tick)
        look_at_process(w, view);
    view->silent = is_silent(w, view);
    return moved;
}

static bool is_busy(const strata__record *record)
{
    return record->phase[0] || record->layer[0] || record->collective[0];
}

/* Milliseconds for which the job has stood still. */
static int64_t look_at_all(watchdog *w)
{
    bool moved = false, busy = false, held = false;
    for (int r = 0; r < w->peers.ranks; r++) {
        moved |= look_at(w, r);
        busy |= is_busy(&w->views[r].record);
        held |= w->views[r].record.state == 't';
        w->ending |= w->views[r].record.state == 'E';
    }
    if (moved || !busy || held) {
        w->still = w->clock;
        w->warned = false;
    }
    return w->clock - w->still;
}

/* --- speaking --- */

static void write_all(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written <= 0)
            return;
        text += written;
        length -= (size_t)written;
    }
}

/* Straight to the file: the thread that stands still may hold the lock of stderr. */
static void print_table(watchdog *w, int64_t stalled, const char *format, int64_t number)
{
    size_t length =
        strata__watchdog_table(w->views, w->peers.ranks, w->clock, stalled, w->text, w->text_size);
    int more = snprintf(w->text + length, w->text_size - length, format, (long long)number);
    write_all(w->text, length + (size_t)more);
}

static void end_job(watchdog *w, int64_t stalled)
{
    publish(w, 'E');
    print_table(w, stalled, "strata: error: the watchdog ends the job with exit code %lld\n",
                strata_status_exit_code(STRATA_STALLED));
    strata__process_end(STRATA_STALLED);
}

/* The one that is first ends its process; those that nobody ends then follow. */
static void judge(watchdog *w, int64_t stalled)
{
    int64_t grace = w->limit < LONGEST_GRACE ? w->limit : LONGEST_GRACE;
    bool first = !w->ending && is_first(w, false);
    if (first && stalled >= w->limit) {
        end_job(w, stalled);
    } else if (first && w->warns && !w->warned && stalled >= w->limit / 2) {
        w->warned = true;
        print_table(w, stalled, "strata: warning: the job ends in %lld s unless a rank goes on\n",
                    (w->limit - stalled + 500) / 1000);
    } else if (stalled >= w->limit + grace) {
        strata__process_end(STRATA_STALLED);
    }
}

/* --- the thread --- */

/* Until the tick is over, taking in mail; false: the watchdog is told to stop. */
static bool wait_tick(watchdog *w)
{
    struct pollfd files[2] = {{.fd = w->wake, .events = POLLIN},
                              {.fd = w->socket, .events = POLLIN}};
    int64_t start = milliseconds(), passed = 0;
    while (passed < w->tick) {
        poll(files, 2, (int)(w->tick - passed));
        if (files[0].revents)
            return false;
        if (files[1].revents)
            strata__mail_receive(w->socket, &w->peers, &w->board);
        passed = milliseconds() - start;
    }
    w->clock += passed < 2 * w->tick ? passed : 2 * w->tick;
    return true;
}

/* A debugger may hold the thread that computes and let this one run. */
static char own_state(const watchdog *w)
{
    bool stands = w->clock - w->views[w->peers.rank].moved > 2 * w->tick;
    return stands && strata__process_state(&w->peers, w->peers.rank) == 't' ? 't' : 'R';
}

static void *watch(void *argument)
{
    watchdog *w = argument;
    while (wait_tick(w)) {
        publish(w, own_state(w));
        judge(w, look_at_all(w));
    }
    return NULL;
}

/* --- start and stop --- */

static void set_times(watchdog *w, int64_t seconds)
{
    int64_t rounds = (w->peers.islands - 1 + STRATA__MAIL_PER_TICK - 1) / STRATA__MAIL_PER_TICK;
    w->limit = seconds * 1000;
    w->tick = w->limit / 8 < LONGEST_TICK ? w->limit / 8 : LONGEST_TICK;
    w->patience = 3 * w->tick * (rounds > 1 ? rounds : 1);
    if (w->patience < w->limit / 4)
        w->patience = w->limit / 4;
}

/* The program's signals are for its own threads. */
static bool start_thread(watchdog *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->running = pthread_create(&w->thread, NULL, watch, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w->running;
}

/* All that needs the other ranks. */
static strata_status meet(strata_context *ctx, watchdog *w)
{
    strata__endpoint own = {0};
    STRATA_TRY(strata__board_new(ctx, &w->board));
    if (strata__islands(ctx, &w->board) > 1)
        w->socket = strata__mail_open(&own);
    STRATA_TRY(strata__peers_new(ctx, &w->board, &own, &w->peers));
    w->text_size = strata__watchdog_table_size(w->peers.ranks);
    w->text = strata__alloc(ctx, w->text_size);
    w->views = strata__calloc(ctx, (size_t)w->peers.ranks, sizeof *w->views);
    for (int r = 0; w->views && r < w->peers.ranks; r++) {
        w->views[r].record.rank = r;
        w->views[r].near = strata__is_near(&w->peers, r);
    }
    return strata__agree(ctx);
}

static void release(strata_context *ctx, watchdog *w)
{
    if (w->socket >= 0)
        close(w->socket);
    if (w->wake >= 0)
        close(w->wake);
    strata__board_free(ctx, &w->board);
    strata__peers_free(ctx, &w->peers);
    strata__free(ctx, w->views);
    strata__free(ctx, w->text);
    strata__free(ctx, w);
}

/* MPI may be told to know of one thread only; then there must be no other. */
static bool may_start(strata_context *ctx)
{
    int32_t able = strata__mpi_allows_threads();
    strata__min(ctx, STRATA__WORLD, &able, 1, STRATA_INT32);
    if (!able)
        strata__warn(ctx, "no watchdog: MPI was started with MPI_THREAD_SINGLE; start it with "
                          "MPI_THREAD_FUNNELED");
    return able;
}

strata_status strata__watchdog_start(strata_context *ctx, int64_t seconds)
{
    if (seconds == 0 || !may_start(ctx))
        return ctx->status;
    watchdog *w = strata__calloc(ctx, 1, sizeof *w);
    STRATA_TRY(strata__agree(ctx));
    w->activity = &ctx->activity;
    w->warns = ctx->verbosity > 0;
    w->socket = -1;
    w->wake = eventfd(0, EFD_CLOEXEC);
    if (meet(ctx, w) != STRATA_OK) {
        release(ctx, w);
        return ctx->status;
    }
    set_times(w, seconds);
    /* Whoever stands still from now on has been heard: the second time the whole island is shown.
     */
    publish(w, 'R');
    strata__barrier(ctx, STRATA__WORLD);
    publish(w, 'R');
    ctx->watchdog = w;
    if (w->wake < 0 || !start_thread(w))
        strata__warn(ctx, "rank %d has no watchdog: a thread or an event cannot be had", ctx->rank);
    return STRATA_OK;
}

void strata__watchdog_stop(strata_context *ctx)
{
    watchdog *w = ctx->watchdog;
    if (!w)
        return;
    strata__barrier(ctx, STRATA__WORLD);
    if (w->running) {
        uint64_t one = 1;
        if (write(w->wake, &one, sizeof one) == sizeof one)
            pthread_join(w->thread, NULL);
    }
    ctx->watchdog = NULL;
    release(ctx, w);
}
