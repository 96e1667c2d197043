/* The time limit of a save: a thread that ends the process when a save is stuck. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_SAVE_LIMIT_H
#define STRATA_STORAGE_SAVE_LIMIT_H

#include <pthread.h>

#include "base/context.h"

typedef struct strata__save_limit {
    bool running;
    int rank;
    double seconds;
    char message[STRATA__MESSAGE_SIZE];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stop; /* under the lock */
} strata__save_limit;

/*
 * A disk that does not answer, and MPI-IO in which one rank has failed, never return; then nobody
 * but a thread can tell. After `seconds` rank 0 says so and ends its process with the exit code of
 * STRATA_IO; the launcher ends the others, or they follow some seconds later. The checkpoints
 * before this one are whole. 0 seconds, or an MPI that knows of one thread only: no limit. Local.
 */
void strata__save_limit_start(strata_context *ctx, const char *path, double seconds,
                              strata__save_limit *limit);
void strata__save_limit_stop(strata__save_limit *limit);

#endif
