/* Every collective says what it is and on which axis before it begins, and when it is over. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_COLLECTIVE_H
#define STRATA_MESH_COLLECTIVE_H

#include "mesh/mesh.h"

typedef enum strata__collective {
    STRATA__SUM,
    STRATA__MAX,
    STRATA__MIN,
    STRATA__BROADCAST,
    STRATA__BARRIER,
    STRATA__GATHER,         /* of rows or columns */
    STRATA__SCATTER_SUM,    /* of rows or columns */
    STRATA__ROUTE,          /* items to whom they concern, and answers */
    STRATA__PANELS,         /* pieces of a product of matrices */
    STRATA__REDISTRIBUTION, /* of a matrix over the model grid */
    STRATA__GRADIENTS,      /* of an arena: waiting for those of the others */
    STRATA__GRADIENT_SUMS,  /* within, or during the backward pass: adding them up */
    STRATA__UPDATES,        /* likewise: the optimizer at work on the own slices */
    STRATA__COLLECTIVES
} strata__collective;

/*
 * Before it begins: in checked mode the members compare what they are about to do, with how many
 * elements. Each member calls this as often; waiting in between needs no check. Collective on the
 * group then.
 */
void strata__collective_check(strata_context *ctx, strata__collective what, strata__axis axis,
                              int64_t count, strata_dtype dtype);

/* Returns what strata__collective_end() wants back. Local. */
const char *strata__collective_begin(strata_context *ctx, strata__collective what,
                                     strata__axis axis);
/* What a name of these stands for; false: another name. Local. */
bool strata__collective_find(const char *name, strata__collective *what, strata__axis *axis);
const char *strata__collective_name(strata__collective what, strata__axis axis);

static inline void strata__collective_end(strata_context *ctx, const char *outer)
{
    strata__end(&ctx->activity, STRATA__COLLECTIVE, outer);
}

#endif
