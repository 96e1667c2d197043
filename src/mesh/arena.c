/* A step of an arena: sums of gradients, updates of slices, and their way to all members. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/arena.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/arena_parts.h"
#include "mesh/collective.h"
#include "mesh/sum.h"
#include "mesh/traffic.h"

static void count_read(strata__arena *arena, int64_t floats)
{
    strata__traffic_read(arena->ctx, arena->axis,
                         floats * (arena->parts->node_size - 1) * (int64_t)sizeof(float));
}

static void count_sent(strata__arena *arena, int64_t floats)
{
    strata__traffic_sent(arena->ctx, arena->axis, floats * (int64_t)sizeof(float));
}

static strata__arena_board *own_board(strata__arena_parts *parts)
{
    return parts->boards[parts->node_rank];
}

void strata__arena_begin(strata__arena *arena)
{
    strata__arena_parts *parts = arena->parts;
    strata__collective_check(arena->ctx, STRATA__GRADIENTS, arena->axis, arena->count,
                             STRATA_FLOAT32);
    const char *outer = strata__collective_begin(arena->ctx, STRATA__GRADIENTS, arena->axis);
    for (int member = 0; member < parts->node_size; member++)
        strata__flag_wait(&parts->boards[member]->summed, parts->step);
    strata__collective_end(arena->ctx, outer);
    parts->step++;
    parts->started = parts->summed = parts->updated = 0;
}

void strata__arena_ready(strata__arena *arena, int bucket)
{
    strata__flag_raise(&own_board(arena->parts)->ready[bucket], arena->parts->step);
}

/* Whether all members on the node have the bucket ready; with `wait`, once they have. */
static bool node_is_ready(strata__arena_parts *parts, int bucket, bool wait)
{
    for (int member = 0; member < parts->node_size; member++) {
        strata__flag *ready = &parts->boards[member]->ready[bucket];
        if (wait)
            strata__flag_wait(ready, parts->step);
        else if (!strata__flag_reached(ready, parts->step))
            return false;
    }
    return true;
}

/* Sum of `count` floats from parts->sources, announced. */
static void sum_sources(strata__arena *arena, int count, strata__piece piece)
{
    const char *outer = strata__collective_begin(arena->ctx, STRATA__GRADIENT_SUMS, arena->axis);
    strata__sum_vectors(arena->gradients + piece.first, arena->parts->sources, count, piece.count);
    strata__collective_end(arena->ctx, outer);
}

/*
 * Sum over the members of the node in the order of their ranks, into the own gradients: nobody else
 * reads this lane's part of them.
 */
static void sum_node(strata__arena *arena, int bucket)
{
    strata__arena_parts *parts = arena->parts;
    if (parts->node_size == 1 || parts->node_rank >= parts->lanes)
        return;
    strata__piece part = strata__arena_part(arena, bucket, parts->node_rank);
    for (int member = 0; member < parts->node_size; member++)
        parts->sources[member] = parts->gradients[member] + part.first;
    sum_sources(arena, parts->node_size, part);
    count_read(arena, part.count);
}

/* Sends each other node its sub-slice of the lane's part of a bucket. */
static void send_sums(strata__arena *arena, int bucket)
{
    strata__arena_parts *parts = arena->parts;
    strata__arena_route *route = &parts->routes[bucket];
    MPI_Ialltoallv(arena->gradients + route->part.first, route->counts, route->offsets, MPI_FLOAT,
                   route->arrivals, route->own_counts, route->own_offsets, MPI_FLOAT,
                   parts->reductions, &route->reduction);
    count_sent(arena, route->part.count - arena->slices[bucket].count);
}

/* Sends the new values of the own sub-slice to all other nodes. */
static void send_values(strata__arena *arena, int bucket)
{
    strata__arena_parts *parts = arena->parts;
    strata__arena_route *route = &parts->routes[bucket];
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, arena->values + route->part.first, route->counts,
                    route->offsets, MPI_FLOAT, parts->gatherings, &route->gathering);
    count_sent(arena, arena->slices[bucket].count * (parts->nodes - 1));
}

/* Sums the next bucket on the node and sends each other node its sub-slice. False if it is not
 * ready or there is none. */
static bool start_next(strata__arena *arena, bool wait)
{
    strata__arena_parts *parts = arena->parts;
    int bucket = parts->started;
    if (bucket == arena->bucket_count || !node_is_ready(parts, bucket, wait))
        return false;
    sum_node(arena, bucket);
    if (parts->routes)
        send_sums(arena, bucket);
    parts->started++;
    return true;
}

static bool has_arrived(MPI_Request *request, bool wait)
{
    int done = 1;
    if (wait)
        MPI_Wait(request, MPI_STATUS_IGNORE);
    else
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
    return done;
}

/* Sum over the nodes in their order. False if the next bucket is still under way or there is none.
 */
static bool sum_next(strata__arena *arena, bool wait)
{
    strata__arena_parts *parts = arena->parts;
    int bucket = parts->summed;
    if (bucket == parts->started)
        return false;
    if (parts->routes) {
        strata__arena_route *route = &parts->routes[bucket];
        const strata__slice *own = &arena->slices[bucket];
        if (!has_arrived(&route->reduction, wait))
            return false;
        for (int node = 0; node < parts->nodes; node++)
            parts->sources[node] = route->arrivals + route->own_offsets[node];
        sum_sources(arena, parts->nodes, (strata__piece){own->first, own->count});
    }
    parts->summed++;
    return true;
}

/* Updates the next summed bucket and sends the new values to the other nodes. False if there is
 * none. */
static bool update_next(strata__arena *arena, strata__update *update, void *user)
{
    strata__arena_parts *parts = arena->parts;
    int bucket = parts->updated;
    if (bucket == parts->summed)
        return false;
    const char *outer = strata__collective_begin(arena->ctx, STRATA__UPDATES, arena->axis);
    if (arena->slices[bucket].count > 0)
        update(user, arena, &arena->slices[bucket]);
    strata__collective_end(arena->ctx, outer);
    if (parts->routes)
        send_values(arena, bucket);
    parts->updated++;
    return true;
}

/* Takes what has been started as far as it goes; without `update` only to the sums. */
static void settle(strata__arena *arena, bool wait, strata__update *update, void *user)
{
    do {
        while (update && update_next(arena, update, user))
            ;
    } while (sum_next(arena, wait));
}

void strata__arena_poll(strata__arena *arena, strata__update *update, void *user)
{
    do {
        settle(arena, false, update, user);
    } while (start_next(arena, false));
}

static void complete(strata__arena *arena, strata__update *update, void *user)
{
    for (int bucket = 0; bucket < arena->bucket_count; bucket++)
        strata__arena_ready(arena, bucket);
    while (start_next(arena, true))
        settle(arena, false, update, user);
    strata__flag_raise(&own_board(arena->parts)->summed, arena->parts->step);
    settle(arena, true, update, user);
}

void strata__arena_reduce(strata__arena *arena)
{
    strata__collective_check(arena->ctx, STRATA__GRADIENT_SUMS, arena->axis, arena->count,
                             STRATA_FLOAT32);
    const char *outer = strata__collective_begin(arena->ctx, STRATA__GRADIENTS, arena->axis);
    complete(arena, NULL, NULL);
    strata__collective_end(arena->ctx, outer);
}

void strata__arena_finish(strata__arena *arena, strata__update *update, void *user)
{
    strata__arena_parts *parts = arena->parts;
    strata__collective_check(arena->ctx, STRATA__UPDATES, arena->axis, arena->count,
                             STRATA_FLOAT32);
    const char *outer = strata__collective_begin(arena->ctx, STRATA__GRADIENTS, arena->axis);
    complete(arena, update, user);
    for (int bucket = 0; parts->routes && bucket < arena->bucket_count; bucket++)
        has_arrived(&parts->routes[bucket].gathering, true);
    strata__flag_raise(&own_board(parts)->updated, parts->step);
    for (int member = 0; member < parts->node_size; member++)
        strata__flag_wait(&parts->boards[member]->updated, parts->step);
    strata__collective_end(arena->ctx, outer);
}

void strata__arena_publish(strata__arena *arena)
{
    if (arena->values_shared)
        strata__node_barrier(arena->ctx, arena->axis);
}

/* Where the members' slices of a bucket lie. counts, offsets: [group size]. */
static void locate(const strata__arena *arena, int bucket, int *counts, int *offsets)
{
    const int *places = arena->parts->places;
    for (int member = 0; member < arena->ctx->mesh->groups[arena->axis].size; member++) {
        strata__piece piece =
            strata__arena_sub_slice(arena, bucket, places[2 * member], places[2 * member + 1]);
        counts[member] = (int)piece.count;
        offsets[member] = (int)(piece.first - arena->bounds[bucket]);
    }
}

void strata__arena_gather(strata__arena *arena, const float *slot, float *whole)
{
    const strata__group *group = &arena->ctx->mesh->groups[arena->axis];
    strata__collective_check(arena->ctx, STRATA__GATHER, arena->axis, arena->count, STRATA_FLOAT32);
    if (group->size == 1) {
        memcpy(whole, slot, (size_t)arena->count * sizeof *whole);
        return;
    }
    int *counts = strata__alloc(arena->ctx, 2 * (size_t)group->size * sizeof *counts);
    if (!counts)
        strata__abort(arena->ctx, "gathering optimizer slots");
    int *offsets = counts + group->size;
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        const strata__slice *own = &arena->slices[bucket];
        locate(arena, bucket, counts, offsets);
        MPI_Allgatherv(slot + own->slot, (int)own->count, MPI_FLOAT, whole + arena->bounds[bucket],
                       counts, offsets, MPI_FLOAT, group->comm);
    }
    strata__free(arena->ctx, counts);
}

void strata__arena_take(const strata__arena *arena, const float *whole, float *slot)
{
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        const strata__slice *own = &arena->slices[bucket];
        if (own->count > 0)
            memcpy(slot + own->slot, whole + own->first, (size_t)own->count * sizeof *slot);
    }
}
