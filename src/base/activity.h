/* What this rank is doing now, for those who watch it: watchdog, profile, messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_ACTIVITY_H
#define STRATA_BASE_ACTIVITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Each kind nests in itself and in the kinds before it. */
typedef enum strata__doing {
    STRATA__PHASE, /* "data", "forward", "backward", "update", "callbacks", "checkpoint", … */
    STRATA__LAYER, /* name of the innermost layer, forward and backward */
    STRATA__COLLECTIVE, /* "sum on batch": waiting for other ranks, or about to */
    STRATA__DOINGS
} strata__doing;

/* Told of every begin and end, on the thread that computes. */
typedef void strata__observe(void *user, strata__doing kind, const char *name, bool begins);

/*
 * Written by the thread that computes, read by a watcher's thread at any time. Names are literals,
 * or belong to what lives until the watchers have stopped.
 */
typedef struct strata__activity {
    _Atomic(const char *) now[STRATA__DOINGS]; /* NULL: nothing of that kind */
    _Atomic uint64_t changes; /* grows with every begin and end, and in between: stands still when
                                 the rank does */
    _Atomic uint64_t step;    /* training steps done */
    strata__observe *observe; /* NULL: nobody wants to know of each */
    void *observer;
} strata__activity;

/* A part of what was begun is done: of a long transfer, say. Local, on the thread that computes. */
static inline void strata__goes_on(strata__activity *activity)
{
    uint64_t changes = atomic_load_explicit(&activity->changes, memory_order_relaxed);
    atomic_store_explicit(&activity->changes, changes + 1, memory_order_release);
}

/* Begins something; returns what it is nested in, which strata__end() wants back. Local. */
static inline const char *strata__begin(strata__activity *activity, strata__doing kind,
                                        const char *name)
{
    const char *outer = atomic_load_explicit(&activity->now[kind], memory_order_relaxed);
    atomic_store_explicit(&activity->now[kind], name, memory_order_release);
    strata__goes_on(activity);
    if (activity->observe)
        activity->observe(activity->observer, kind, name, true);
    return outer;
}

static inline void strata__end(strata__activity *activity, strata__doing kind, const char *outer)
{
    if (activity->observe)
        activity->observe(activity->observer, kind,
                          atomic_load_explicit(&activity->now[kind], memory_order_relaxed), false);
    atomic_store_explicit(&activity->now[kind], outer, memory_order_release);
    strata__goes_on(activity);
}

/* The innermost of its kind, or NULL. Local, from any thread. */
static inline const char *strata__doing_now(const strata__activity *activity, strata__doing kind)
{
    return atomic_load_explicit(&activity->now[kind], memory_order_acquire);
}

#endif
