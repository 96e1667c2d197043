/* Whether somebody watches standard output on a terminal. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_TERMINAL_H
#define STRATA_TRAINING_TERMINAL_H

#include <stdbool.h>

/*
 * Standard output is a terminal; under Open MPI, which gives a rank a terminal of its own in any
 * case, that of mpirun is one too. Where that cannot be seen, as with rank 0 on another node than
 * mpirun: no.
 */
bool strata__terminal_watched(void);

#endif
