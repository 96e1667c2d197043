/* MPI itself: started where nobody has, and ended by who started it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_PROCESS_H
#define STRATA_MESH_PROCESS_H

#include <stdbool.h>

#include <mpi.h>

#include <strata/status.h>

/* Starts MPI (funneled threads) unless it runs already; true: this call did, and strata__mpi_stop()
 * is owed. */
bool strata__mpi_start(void);
void strata__mpi_stop(void);

/* Whether other threads may run, though they make no MPI call: the level is MPI_THREAD_FUNNELED or
 * higher. */
bool strata__mpi_allows_threads(void);

/*
 * Ends this process at once, from any thread, with the exit code of the status: for those who find
 * that the thread which computes will not come back. What was printed is not lost, unless somebody
 * is printing.
 */
void strata__process_end(strata_status status) __attribute__((noreturn));

/* The communicator that Fortran knows by this number. */
MPI_Comm strata__mpi_comm(MPI_Fint comm);

#endif
