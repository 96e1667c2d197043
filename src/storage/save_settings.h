/* How checkpoints are saved: the driver, and the time a save may take; from the environment. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_SAVE_SETTINGS_H
#define STRATA_STORAGE_SAVE_SETTINGS_H

#include "base/context.h"

typedef struct strata__save_settings {
    bool by_mpi; /* STRATA_CHECKPOINT_DRIVER: "pwrite" (the default) or "mpiio" */
    double
        deadline; /* STRATA_CHECKPOINT_DEADLINE in seconds: "1800" by default, "10m"; 0: "none" */
} strata__save_settings;

/* Rank 0's hold for all. Agrees. Collective on the mesh. */
strata_status strata__save_settings_read(strata_context *ctx, strata__save_settings *settings);

#endif
