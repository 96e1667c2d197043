/* Names of collectives, as messages and profiles show them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/collective.h"

#include "mesh/checked.h"

#define ON_AXES(what)                                                                              \
    {                                                                                              \
        [STRATA__WORLD] = what " on all ranks", [STRATA__DATA] = what " on data",                  \
        [STRATA__ROWS] = what " on rows", [STRATA__COLS] = what " on cols",                        \
        [STRATA__BATCH] = what " on data × rows", [STRATA__GRID] = what " on rows × cols"         \
    }

static const char *const names[STRATA__COLLECTIVES][STRATA__AXES] = {
    [STRATA__SUM] = ON_AXES("sum"),
    [STRATA__MAX] = ON_AXES("max"),
    [STRATA__MIN] = ON_AXES("min"),
    [STRATA__BROADCAST] = ON_AXES("broadcast"),
    [STRATA__BARRIER] = ON_AXES("barrier"),
    [STRATA__GATHER] = ON_AXES("gather"),
    [STRATA__SCATTER_SUM] = ON_AXES("scattered sum"),
    [STRATA__ROUTE] = ON_AXES("route"),
    [STRATA__PANELS] = ON_AXES("pieces of a product"),
    [STRATA__REDISTRIBUTION] = ON_AXES("redistribution"),
    [STRATA__GRADIENTS] = ON_AXES("gradients"),
    [STRATA__GRADIENT_SUMS] = ON_AXES("sums of gradients"),
    [STRATA__UPDATES] = ON_AXES("updates"),
};

void strata__collective_check(strata_context *ctx, strata__collective what, strata__axis axis,
                              int64_t count, strata_dtype dtype)
{
    if (!ctx->mesh->checked)
        return;
    strata__checked_compare(ctx, axis,
                            &(strata__signature){.operation = names[what][axis],
                                                 .shape = {.dims = {count}, .rank = 1},
                                                 .dtype = dtype});
}

const char *strata__collective_begin(strata_context *ctx, strata__collective what,
                                     strata__axis axis)
{
    return strata__begin(&ctx->activity, STRATA__COLLECTIVE, names[what][axis]);
}

const char *strata__collective_name(strata__collective what, strata__axis axis)
{
    return names[what][axis];
}

/* By its address: nobody else announces these. */
bool strata__collective_find(const char *name, strata__collective *what, strata__axis *axis)
{
    const char *const *all = names[0];
    for (int i = 0; i < STRATA__COLLECTIVES * STRATA__AXES; i++) {
        if (all[i] == name) {
            *what = (strata__collective)(i / STRATA__AXES);
            *axis = (strata__axis)(i % STRATA__AXES);
            return true;
        }
    }
    return false;
}
