/* MPI itself: started where nobody has, and ended by who started it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/process.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool strata__mpi_start(void)
{
    int initialized, level;
    MPI_Initialized(&initialized);
    if (initialized)
        return false;
    /* OMPIO's shared file pointer plugin can hang after a killed run; a user's own setting stays.
     */
    setenv("OMPI_MCA_sharedfp", "^sm", 0);
    /* OMPIO goes on after a failed write as if nothing were amiss; without it there is ROMIO. */
    setenv("OMPI_MCA_io", "^ompio", 0);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    return true;
}

void strata__mpi_stop(void)
{
    MPI_Finalize();
}

bool strata__mpi_allows_threads(void)
{
    int level;
    MPI_Query_thread(&level);
    return level >= MPI_THREAD_FUNNELED;
}

void strata__process_end(strata_status status)
{
    if (ftrylockfile(stdout) == 0)
        fflush_unlocked(stdout);
    _exit(strata_status_exit_code(status));
}

MPI_Comm strata__mpi_comm(MPI_Fint comm)
{
    return MPI_Comm_f2c(comm);
}
