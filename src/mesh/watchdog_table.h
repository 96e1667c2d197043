/* What a watchdog has seen of all ranks, as a table that names those who are waited for. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_WATCHDOG_TABLE_H
#define STRATA_MESH_WATCHDOG_TABLE_H

#include "mesh/board.h"

/* What is known of a rank. Times in milliseconds of the watcher's clock. */
typedef struct strata__view {
    strata__record record; /* the last that could be read; heartbeat 0: none yet */
    int64_t heard, moved;  /* when the heartbeat changed, and when the activity did */
    bool silent;           /* stopped, dead or out of reach */
    bool near;             /* on the watcher's board: what is silent there is silent itself */
} strata__view;

/* Bytes that hold the table of so many ranks. */
size_t strata__watchdog_table_size(int ranks);

/*
 * A headline ("no rank has made progress for 42 s"), a row for each run of ranks that do the same,
 * and a line with those who are waited for. Returns the length. Any thread: allocates nothing.
 */
size_t strata__watchdog_table(const strata__view *views, int ranks, int64_t clock, int64_t stalled,
                              char *text, size_t size);

#endif
