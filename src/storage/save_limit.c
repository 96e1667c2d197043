/* The time limit of a save: a thread that ends the process when a save is stuck. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/save_limit.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mesh/process.h"

/* Seconds after which the ranks follow that no launcher has ended. */
static const double grace = 3;

/* Whether the save is over before the time. */
static bool wait_until(strata__save_limit *limit, const struct timespec *end)
{
    int error = 0;
    pthread_mutex_lock(&limit->lock);
    while (!limit->stop && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&limit->stopped, &limit->lock, end);
    bool stop = limit->stop;
    pthread_mutex_unlock(&limit->lock);
    return stop;
}

static void *watch(void *argument)
{
    strata__save_limit *limit = argument;
    double seconds = limit->seconds + (limit->rank == 0 ? 0 : grace), whole;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += (long)(1e9 * modf(seconds, &whole));
    end.tv_sec += (time_t)whole + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    if (wait_until(limit, &end))
        return NULL;
    if (write(STDERR_FILENO, limit->message, strlen(limit->message)) < 0)
        limit->message[0] = '\0'; /* nobody listens, and the end is near */
    strata__process_end(STRATA_IO);
}

static void prepare(strata_context *ctx, const char *path, double seconds,
                    strata__save_limit *limit)
{
    pthread_condattr_t monotonic;
    *limit = (strata__save_limit){.rank = ctx->rank, .seconds = seconds};
    if (ctx->rank == 0)
        snprintf(limit->message, sizeof limit->message,
                 "strata: error: saving '%.512s' takes longer than %g s "
                 "(STRATA_CHECKPOINT_DEADLINE): the job ends with exit code %d; earlier "
                 "checkpoints are whole\n",
                 path, seconds, strata_status_exit_code(STRATA_IO));
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&limit->lock, NULL);
    pthread_cond_init(&limit->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void strata__save_limit_start(strata_context *ctx, const char *path, double seconds,
                              strata__save_limit *limit)
{
    sigset_t all, before;
    limit->running = false;
    if (seconds <= 0 || !strata__mpi_allows_threads())
        return;
    prepare(ctx, path, seconds, limit);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    limit->running = pthread_create(&limit->thread, NULL, watch, limit) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void strata__save_limit_stop(strata__save_limit *limit)
{
    if (!limit->running)
        return;
    pthread_mutex_lock(&limit->lock);
    limit->stop = true;
    pthread_cond_signal(&limit->stopped);
    pthread_mutex_unlock(&limit->lock);
    pthread_join(limit->thread, NULL);
    pthread_mutex_destroy(&limit->lock);
    pthread_cond_destroy(&limit->stopped);
}
