/* A weight file being written, as the archive's writer sees it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_WEIGHTS_WRITER_H
#define STRATA_STORAGE_WEIGHTS_WRITER_H

#include "storage/hdf5.h"
#include "storage/weights.h"

struct strata__weights_writer {
    strata_context *ctx;
    strata__new_file file; /* on rank 0 */
    strata__hdf5 hdf5;     /* none on other ranks and once sealed */
};

/* Closes the HDF5 file, so that `file` holds all of it. Local. */
void strata__weights_seal(strata__weights_writer *writer);

#endif
