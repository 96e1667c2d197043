/* Names of synchronization and aggregation, as Keras writes them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "state/variable.h"

static const char *const synchronizations[] = {
    [STRATA_SYNCHRONIZATION_AUTO] = "auto",
    [STRATA_SYNCHRONIZATION_NONE] = "none",
    [STRATA_SYNCHRONIZATION_ON_WRITE] = "on_write",
    [STRATA_SYNCHRONIZATION_ON_READ] = "on_read",
};

static const char *const aggregations[] = {
    [STRATA_AGGREGATION_NONE] = "none",
    [STRATA_AGGREGATION_SUM] = "sum",
    [STRATA_AGGREGATION_MEAN] = "mean",
    [STRATA_AGGREGATION_ONLY_FIRST_REPLICA] = "only_first_replica",
};

enum { MODES = 4 };

const char *strata_synchronization_name(strata_synchronization synchronization)
{
    return synchronizations[synchronization];
}

const char *strata_aggregation_name(strata_aggregation aggregation)
{
    return aggregations[aggregation];
}

/* The place of the name, or −1 and an error. */
static int find(strata_context *ctx, const char *argument, const char *const names[MODES],
                const char *name)
{
    for (int i = 0; i < MODES; i++) {
        if (strcmp(name ? name : "none", names[i]) == 0)
            return i;
    }
    strata__fail(ctx, STRATA_INVALID,
                 "Invalid value for argument `%s`. Expected one of (None, '%s', '%s', '%s', '%s'). "
                 "Received: %s='%.64s'",
                 argument, names[0], names[1], names[2], names[3], argument, name);
    return -1;
}

strata_status strata_synchronization_from_name(strata_context *ctx, const char *name,
                                               strata_synchronization *synchronization)
{
    int mode = find(ctx, "synchronization", synchronizations, name);
    if (mode >= 0)
        *synchronization = (strata_synchronization)mode;
    return mode >= 0 ? STRATA_OK : STRATA_INVALID;
}

strata_status strata_aggregation_from_name(strata_context *ctx, const char *name,
                                           strata_aggregation *aggregation)
{
    int mode = find(ctx, "aggregation", aggregations, name);
    if (mode >= 0)
        *aggregation = (strata_aggregation)mode;
    return mode >= 0 ? STRATA_OK : STRATA_INVALID;
}
