/* Between the files of the harness. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_ASSERTIONS_H
#define STRATA_TESTS_ASSERTIONS_H

#include <mpi.h>

/* The harness's own communicator. */
MPI_Comm test_comm(void);

/* Removes the directory of test_path(), if there is one. Collective. */
void test_remove_directory(void);

#endif
