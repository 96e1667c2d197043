/* The watchdog: a thread that notices when no rank makes progress, says who is waited for, and ends
 * the job. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_WATCHDOG_H
#define STRATA_MESH_WATCHDOG_H

#include "mesh/mesh.h"

/*
 * One thread a rank, which makes no MPI call and allocates nothing. About once a second it puts
 * what its rank does on the board and looks at all others. The job stands still while
 *   - no activity of any rank changes, as far as this rank hears,
 *   - at least one rank is in a phase, layer or collective: between calls of the library a program
 * may take its time,
 *   - no debugger holds a rank.
 * After half of the time limit the lowest rank that is alive prints a table as a warning; after all
 * of it, it prints the table and ends its process with the exit code of STRATA_STALLED, whereupon
 * the launcher ends the others; those that are left alone follow by themselves. Time in which the
 * thread itself was stopped does not count.
 *
 * One operation without a begin or end of anything is no progress however long it takes: the limit
 * must be longer than the longest.
 */

/* 0 seconds: none. Without a thread or a socket there is a warning, and less is known. The same on
 * all ranks. Collective on the mesh. */
strata_status strata__watchdog_start(strata_context *ctx, int64_t seconds);

/* Waits for all ranks first, watched: who does not come to the end is reported too. Collective on
 * the mesh. */
void strata__watchdog_stop(strata_context *ctx);

#endif
