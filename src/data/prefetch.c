/* The prefetch thread: gathers the next batch while the ranks work on this one. It makes no MPI
 * call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/memory.h"
#include "data/feed.h"

struct strata__prefetch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted, stopping; /* a request is open; the thread should end */
    int64_t step;
    int set;
};

static void *run(void *argument)
{
    strata__feed *feed = argument;
    struct strata__prefetch *worker = feed->worker;
    pthread_mutex_lock(&worker->lock);
    while (!worker->stopping) {
        if (!worker->wanted) {
            pthread_cond_wait(&worker->changed, &worker->lock);
            continue;
        }
        pthread_mutex_unlock(&worker->lock);
        strata__feed_gather(feed, worker->step, worker->set);
        pthread_mutex_lock(&worker->lock);
        worker->wanted = false;
        pthread_cond_broadcast(&worker->changed);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

bool strata__prefetch_start(strata__feed *feed)
{
    struct strata__prefetch *worker = strata__calloc(feed->ctx, 1, sizeof *worker);
    if (!worker)
        return false;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->changed, NULL);
    feed->worker = worker;
    if (pthread_create(&worker->thread, NULL, run, feed) == 0)
        return true;
    feed->worker = NULL;
    strata__free(feed->ctx, worker);
    return false;
}

void strata__prefetch_stop(strata__feed *feed)
{
    struct strata__prefetch *worker = feed->worker;
    strata__prefetch_wait(feed);
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    strata__free(feed->ctx, worker);
    feed->worker = NULL;
}

void strata__prefetch_request(strata__feed *feed, int64_t step, int set)
{
    struct strata__prefetch *worker = feed->worker;
    pthread_mutex_lock(&worker->lock);
    worker->step = step;
    worker->set = set;
    worker->wanted = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

void strata__prefetch_wait(strata__feed *feed)
{
    struct strata__prefetch *worker = feed->worker;
    pthread_mutex_lock(&worker->lock);
    while (worker->wanted)
        pthread_cond_wait(&worker->changed, &worker->lock);
    pthread_mutex_unlock(&worker->lock);
}
