/* Routes: items that go to the members of a group whom they concern, and answers that come back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/route.h"

#include <limits.h>
#include <string.h>

#include "mesh/collective.h"
#include "mesh/traffic.h"

/* Where the items of each of `size` members begin; returns how many there are. */
static int64_t add_up(strata_context *ctx, int size, const int *counts, int *offsets)
{
    int64_t all = 0;
    for (int member = 0; member < size; member++) {
        offsets[member] = (int)all;
        all += counts[member];
    }
    if (all > INT_MAX) {
        strata__fail(ctx, STRATA_UNSUPPORTED,
                     "%lld items are too many for one message; use smaller batches",
                     (long long)all);
        strata__abort(ctx, "a route");
    }
    return all;
}

void strata__route_plan(strata_context *ctx, strata__axis axis, int *counts, strata__route *route)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int size = group->size, *from = counts + 2 * size;
    *route = (strata__route){.ctx = ctx, .axis = axis, .counts = counts};
    from[0] = counts[0];
    strata__collective_check(ctx, STRATA__ROUTE, axis, size, STRATA_INT32);
    if (size > 1) {
        const char *outer = strata__collective_begin(ctx, STRATA__ROUTE, axis);
        strata__traffic_sent(ctx, axis, (size - 1) * (int64_t)sizeof *counts);
        MPI_Alltoall(counts, 1, MPI_INT, from, 1, MPI_INT, group->comm);
        strata__collective_end(ctx, outer);
    }
    route->sent = add_up(ctx, size, counts, counts + size);
    route->received = add_up(ctx, size, from, from + size);
}

/* One item as MPI counts them. */
static MPI_Datatype item_type(strata_context *ctx, int64_t bytes)
{
    MPI_Datatype type;
    if (bytes > INT_MAX) {
        strata__fail(ctx, STRATA_UNSUPPORTED,
                     "items of %lld bytes are too large for one message; use more cols in the mesh",
                     (long long)bytes);
        strata__abort(ctx, "a route");
    }
    MPI_Type_contiguous((int)bytes, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    return type;
}

/* Counts and offsets stand one behind the other. */
static void carry(const strata__route *route, const void *items, const int *sent, void *arrivals,
                  const int *received, int64_t all, int64_t bytes)
{
    strata_context *ctx = route->ctx;
    const strata__group *group = &ctx->mesh->groups[route->axis];
    strata__collective_check(ctx, STRATA__ROUTE, route->axis, bytes, STRATA_UINT8);
    if (group->size == 1) {
        memcpy(arrivals, items, (size_t)(all * bytes));
        return;
    }
    const char *outer = strata__collective_begin(ctx, STRATA__ROUTE, route->axis);
    MPI_Datatype type = item_type(ctx, bytes);
    strata__traffic_sent(ctx, route->axis, (all - sent[group->rank]) * bytes);
    MPI_Alltoallv(items, sent, sent + group->size, type, arrivals, received, received + group->size,
                  type, group->comm);
    MPI_Type_free(&type);
    strata__collective_end(ctx, outer);
}

static const int *arriving(const strata__route *route)
{
    return route->counts + 2 * route->ctx->mesh->groups[route->axis].size;
}

void strata__route_send(const strata__route *route, const void *items, void *arrivals,
                        int64_t bytes)
{
    carry(route, items, route->counts, arrivals, arriving(route), route->sent, bytes);
}

void strata__route_answer(const strata__route *route, const void *answers, void *results,
                          int64_t bytes)
{
    carry(route, answers, arriving(route), results, route->counts, route->received, bytes);
}
