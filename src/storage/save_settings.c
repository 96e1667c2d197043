/* How checkpoints are saved: the driver, and the time a save may take; from the environment. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/save_settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mesh/mesh.h"

static const double default_deadline = 1800;

static void read_driver(strata_context *ctx, bool *by_mpi)
{
    const char *text = getenv("STRATA_CHECKPOINT_DRIVER");
    *by_mpi = text && strcmp(text, "mpiio") == 0;
    if (text && !*by_mpi && strcmp(text, "pwrite") != 0)
        strata__fail(ctx, STRATA_INVALID,
                     "environment variable STRATA_CHECKPOINT_DRIVER is '%.64s'; it takes 'pwrite' "
                     "or 'mpiio'",
                     text);
}

static void read_deadline(strata_context *ctx, double *seconds)
{
    const char *text = getenv("STRATA_CHECKPOINT_DEADLINE");
    *seconds = default_deadline;
    if (text && strcmp(text, "none") == 0)
        *seconds = 0;
    else if (text && (!strata__seconds_parse(text, seconds) || *seconds == 0))
        strata__fail(ctx, STRATA_INVALID,
                     "environment variable STRATA_CHECKPOINT_DEADLINE is '%.64s'; it takes a time "
                     "like 1800, 10m or 1:30:00, or 'none'",
                     text);
}

strata_status strata__save_settings_read(strata_context *ctx, strata__save_settings *settings)
{
    if (ctx->mesh->rank == 0) {
        read_driver(ctx, &settings->by_mpi);
        read_deadline(ctx, &settings->deadline);
    }
    STRATA_TRY(strata__agree(ctx));
    strata__broadcast(ctx, STRATA__WORLD, 0, settings, sizeof *settings);
    return STRATA_OK;
}
