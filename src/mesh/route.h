/* Routes: items that go to the members of a group whom they concern, and answers that come back. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_ROUTE_H
#define STRATA_MESH_ROUTE_H

#include "mesh/mesh.h"

/*
 * Planned once for the items of this member, which lie in the order of the members they go to. Then
 * vectors with any number of bytes an item travel on it, either way. What arrives lies in the order
 * of the members it comes from.
 */
typedef struct strata__route {
    strata_context *ctx;
    strata__axis axis;
    int64_t sent, received; /* items in all */
    int *counts; /* (4, group size): items to each member, where they begin; items from each member,
                    where they begin */
} strata__route;

/* Room for the counts of a route. */
static inline int64_t strata__route_room(const strata_context *ctx, strata__axis axis)
{
    return 4 * (int64_t)ctx->mesh->groups[axis].size;
}

/* counts (strata__route_room) has the items to each member in front and must live as long as the
 * route. Collective on the group, as are those below; in a step: failures abort. */
void strata__route_plan(strata_context *ctx, strata__axis axis, int *counts, strata__route *route);

/* `bytes` an item: items (sent) become arrivals (received). */
void strata__route_send(const strata__route *route, const void *items, void *arrivals,
                        int64_t bytes);

/* The other way: answers (received), in the order of the arrivals, become results (sent). */
void strata__route_answer(const strata__route *route, const void *answers, void *results,
                          int64_t bytes);

#endif
