/* MPI's profiling interface: what this program hands to MPI, counted call by call. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_MESH_MPI_CALLS_H
#define STRATA_TESTS_MESH_MPI_CALLS_H

#include "mesh/traffic.h"

/*
 * The program's own MPI_Allreduce and so on stand in front of MPI's. `calls` and `sent` count as
 * mesh/traffic.h says, from the arguments; of those kinds that the library is not expected to use
 * with data, `others` counts the calls.
 */
typedef struct mpi_calls {
    int64_t calls, sent, others;
} mpi_calls;

/* Counting begins; and ends, with what was counted in between. Local. */
void mpi_calls_begin(void);
mpi_calls mpi_calls_end(void);

#endif
