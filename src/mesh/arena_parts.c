/* Making an arena: slices, segments in shared memory, routes between nodes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/arena_parts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { GRAIN = STRATA__ALIGNMENT / sizeof(float) }; /* slices begin at multiples of it */

static int64_t round_up(int64_t count)
{
    return (count + GRAIN - 1) / GRAIN * GRAIN;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Piece `index` of `whole` cut in `pieces` that begin at multiples of GRAIN in the arena. */
static strata__piece cut(strata__piece whole, int pieces, int index)
{
    int64_t base = whole.first / GRAIN * GRAIN, end = whole.first + whole.count;
    int64_t block = round_up((end - base + pieces - 1) / pieces);
    int64_t first = clamp(base + index * block, whole.first, end);
    int64_t last = clamp(base + (index + 1) * block, whole.first, end);
    return (strata__piece){.first = first, .count = last - first};
}

strata__piece strata__arena_part(const strata__arena *arena, int bucket, int lane)
{
    strata__piece whole = {.first = arena->bounds[bucket],
                           .count = arena->bounds[bucket + 1] - arena->bounds[bucket]};
    return lane < 0 ? (strata__piece){.first = whole.first} : cut(whole, arena->parts->lanes, lane);
}

strata__piece strata__arena_sub_slice(const strata__arena *arena, int bucket, int lane, int node)
{
    return cut(strata__arena_part(arena, bucket, lane), arena->parts->nodes, node);
}

static int lane_of(const strata__arena_parts *parts)
{
    return parts->node_rank < parts->lanes ? parts->node_rank : -1;
}

/* Everything whose size is known from the start. */
static void alloc_fixed(strata_context *ctx, strata__arena *arena, const strata__group *group)
{
    size_t buckets = (size_t)arena->bucket_count, members = (size_t)group->size;
    strata__arena_parts *parts = strata__calloc(ctx, 1, sizeof *parts);
    arena->parts = parts;
    arena->slices = strata__calloc(ctx, buckets, sizeof *arena->slices);
    arena->bounds = strata__calloc(ctx, buckets + 1, sizeof *arena->bounds);
    if (!parts)
        return;
    parts->reductions = parts->gatherings = MPI_COMM_NULL;
    parts->boards = strata__calloc(ctx, members, sizeof *parts->boards);
    parts->gradients = strata__calloc(ctx, members, sizeof *parts->gradients);
    parts->sources = strata__calloc(ctx, members, sizeof *parts->sources);
    parts->places = strata__calloc(ctx, 2 * members, sizeof *parts->places);
}

static size_t board_bytes(const strata__arena *arena)
{
    return sizeof(strata__arena_board) + (size_t)arena->bucket_count * sizeof(strata__flag);
}

/* Bytes of a segment: the board, the gradients, and on the first member of a node the values. */
static size_t segment_bytes(const strata__arena *arena, const strata__group *group)
{
    size_t vector = (size_t)round_up(arena->count) * sizeof(float);
    return board_bytes(arena) + vector * (group->node_rank == 0 ? 2 : 1);
}

static float *gradients_in(const strata__arena *arena, char *segment)
{
    return (float *)(void *)(segment + board_bytes(arena));
}

/* Sees all segments of the node. */
static void look_shared(strata__arena *arena, const strata__group *group)
{
    strata__arena_parts *parts = arena->parts;
    parts->node_size = group->node_size;
    parts->node_rank = group->node_rank;
    parts->lanes = group->lanes;
    parts->nodes = group->nodes;
    parts->node_index = group->node_index;
    for (int member = 0; member < parts->node_size; member++) {
        char *segment = parts->memory->segments[member];
        parts->boards[member] = (strata__arena_board *)(void *)segment;
        parts->gradients[member] = gradients_in(arena, segment);
    }
    arena->values = parts->gradients[0] + round_up(arena->count);
}

/* Each member a node of its own. */
static void look_private(strata__arena *arena, const strata__group *group)
{
    strata__arena_parts *parts = arena->parts;
    parts->node_size = parts->lanes = 1;
    parts->nodes = group->size;
    parts->node_index = group->rank;
    parts->boards[0] = (strata__arena_board *)(void *)parts->memory->own;
    parts->gradients[0] = gradients_in(arena, parts->memory->own);
    arena->values =
        group->node_rank > 0 ? parts->private_values : parts->gradients[0] + round_up(arena->count);
}

static void cut_slices(strata__arena *arena)
{
    const strata__arena_parts *parts = arena->parts;
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        strata__piece own =
            strata__arena_sub_slice(arena, bucket, lane_of(parts), parts->node_index);
        arena->slices[bucket] =
            (strata__slice){.first = own.first, .count = own.count, .slot = arena->slot_count};
        arena->slot_count += own.count;
    }
}

static void share_memory(strata_context *ctx, strata__arena *arena, const strata__group *group)
{
    strata__arena_parts *parts = arena->parts;
    strata__shared_new(ctx, arena->axis, segment_bytes(arena, group), &parts->memory);
    if (!parts->memory)
        return;
    if (!parts->memory->shared && group->node_rank > 0)
        parts->private_values = strata__calloc(ctx, (size_t)round_up(arena->count), sizeof(float));
    if (parts->memory->shared)
        look_shared(arena, group);
    else
        look_private(arena, group);
    arena->gradients = parts->gradients[parts->node_rank];
    arena->values_shared = parts->node_size > 1;
    arena->values_writer = parts->node_rank == 0;
    cut_slices(arena);
}

/* Whether this member talks to other nodes. */
static bool travels(const strata__arena_parts *parts)
{
    return parts->nodes > 1 && lane_of(parts) >= 0;
}

static void alloc_routes(strata_context *ctx, strata__arena *arena)
{
    strata__arena_parts *parts = arena->parts;
    size_t buckets = (size_t)arena->bucket_count, nodes = (size_t)parts->nodes;
    parts->routes = strata__calloc(ctx, buckets, sizeof *parts->routes);
    parts->tables = strata__calloc(ctx, 4 * buckets * nodes, sizeof *parts->tables);
    parts->arrivals = strata__alloc(ctx, nodes * (size_t)arena->slot_count * sizeof(float));
}

static void plan_route(strata__arena *arena, int bucket)
{
    strata__arena_parts *parts = arena->parts;
    strata__arena_route *route = &parts->routes[bucket];
    const strata__slice *own = &arena->slices[bucket];
    int nodes = parts->nodes, *table = parts->tables + 4 * (int64_t)bucket * nodes;
    *route = (strata__arena_route){
        .part = strata__arena_part(arena, bucket, parts->node_rank),
        .counts = table,
        .offsets = table + nodes,
        .own_counts = table + 2 * nodes,
        .own_offsets = table + 3 * nodes,
        .arrivals = parts->arrivals + own->slot * nodes,
        .reduction = MPI_REQUEST_NULL,
        .gathering = MPI_REQUEST_NULL,
    };
    for (int node = 0; node < nodes; node++) {
        strata__piece piece = strata__arena_sub_slice(arena, bucket, parts->node_rank, node);
        route->counts[node] = (int)piece.count;
        route->offsets[node] = (int)(piece.first - route->part.first);
        route->own_counts[node] = (int)own->count;
        route->own_offsets[node] = (int)(node * own->count);
    }
}

static void connect(strata__arena *arena, const strata__group *group)
{
    strata__arena_parts *parts = arena->parts;
    MPI_Comm between = parts->nodes == group->size ? group->comm : group->cross;
    MPI_Comm_dup(between, &parts->reductions);
    MPI_Comm_dup(between, &parts->gatherings);
    for (int bucket = 0; bucket < arena->bucket_count; bucket++)
        plan_route(arena, bucket);
}

/* Tells everybody where everybody stands. */
static void exchange_places(strata__arena *arena, const strata__group *group)
{
    strata__arena_parts *parts = arena->parts;
    int own[2] = {lane_of(parts), parts->node_index};
    if (group->size > 1)
        MPI_Allgather(own, 2, MPI_INT, parts->places, 2, MPI_INT, group->comm);
    else
        memcpy(parts->places, own, sizeof own);
}

/* The same verdict on all members. */
static strata_status check_bounds(strata_context *ctx, int bucket_count, const int64_t *bounds)
{
    for (int bucket = 0; bucket < bucket_count; bucket++) {
        int64_t count = bounds[bucket + 1] - bounds[bucket];
        if (count < 0 || bounds[0] != 0)
            return strata__fail(ctx, STRATA_INTERNAL,
                                "an arena's buckets do not follow each other from 0");
        if (count > INT_MAX / 2)
            return strata__fail(ctx, STRATA_UNSUPPORTED,
                                "a gradient bucket of %lld elements is too large for one message; "
                                "use smaller buckets or more rows or cols in the mesh",
                                (long long)count);
    }
    return STRATA_OK;
}

static strata_status fill(strata_context *ctx, strata__arena *arena, const int64_t *bounds)
{
    const strata__group *group = &ctx->mesh->groups[arena->axis];
    alloc_fixed(ctx, arena, group);
    STRATA_TRY(strata__agree_on(ctx, arena->axis));
    memcpy(arena->bounds, bounds, ((size_t)arena->bucket_count + 1) * sizeof *bounds);
    share_memory(ctx, arena, group);
    if (arena->parts->memory && travels(arena->parts))
        alloc_routes(ctx, arena);
    STRATA_TRY(strata__agree_on(ctx, arena->axis));
    exchange_places(arena, group);
    if (travels(arena->parts))
        connect(arena, group);
    return STRATA_OK;
}

strata_status strata__arena_new(strata_context *ctx, strata__axis axis, int bucket_count,
                                const int64_t *bounds, strata__arena **arena)
{
    *arena = NULL;
    STRATA_TRY(check_bounds(ctx, bucket_count, bounds));
    strata__arena *made = strata__calloc(ctx, 1, sizeof *made);
    if (strata__agree_on(ctx, axis) != STRATA_OK) {
        strata__free(ctx, made);
        return ctx->status;
    }
    *made = (strata__arena){
        .ctx = ctx, .axis = axis, .count = bounds[bucket_count], .bucket_count = bucket_count};
    if (fill(ctx, made, bounds) != STRATA_OK) {
        strata__arena_free(made);
        return ctx->status;
    }
    *arena = made;
    return STRATA_OK;
}

/* --- what travels --- */

static int64_t overlap(strata__piece a, strata__piece b)
{
    int64_t first = a.first > b.first ? a.first : b.first;
    int64_t a_end = a.first + a.count, b_end = b.first + b.count;
    int64_t end = a_end < b_end ? a_end : b_end;
    return end > first ? end - first : 0;
}

int64_t strata__arena_owned(const strata__arena *arena, int64_t first, int64_t count)
{
    int64_t owned = 0;
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        const strata__slice *own = &arena->slices[bucket];
        owned += overlap((strata__piece){own->first, own->count}, (strata__piece){first, count});
    }
    return owned;
}

/* On the node a lane reads its part of everybody's gradients; between nodes the part goes to the
 * owners of its sub-slices, and the own sub-slice to all of them. */
strata__traffic strata__arena_traffic(const strata__arena *arena, int64_t first, int64_t count)
{
    const strata__arena_parts *parts = arena->parts;
    strata__piece range = {first, count};
    strata__traffic traffic = {0};
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        const strata__slice *own = &arena->slices[bucket];
        int64_t part = overlap(strata__arena_part(arena, bucket, lane_of(parts)), range);
        int64_t kept = overlap((strata__piece){own->first, own->count}, range);
        traffic.read += part * (parts->node_size - 1) * (int64_t)sizeof(float);
        traffic.sent += (part - kept + kept * (parts->nodes - 1)) * (int64_t)sizeof(float);
    }
    return traffic;
}

/* --- the end --- */

static void parts_free(strata_context *ctx, strata__arena_parts *parts)
{
    if (!parts)
        return;
    if (parts->reductions != MPI_COMM_NULL)
        MPI_Comm_free(&parts->reductions);
    if (parts->gatherings != MPI_COMM_NULL)
        MPI_Comm_free(&parts->gatherings);
    strata__shared_free(ctx, parts->memory);
    strata__free(ctx, parts->private_values);
    strata__free(ctx, parts->arrivals);
    strata__free(ctx, parts->tables);
    strata__free(ctx, parts->routes);
    strata__free(ctx, parts->places);
    strata__free(ctx, parts->sources);
    strata__free(ctx, parts->gradients);
    strata__free(ctx, parts->boards);
    strata__free(ctx, parts);
}

void strata__arena_free(strata__arena *arena)
{
    if (!arena)
        return;
    strata_context *ctx = arena->ctx;
    parts_free(ctx, arena->parts);
    strata__free(ctx, arena->bounds);
    strata__free(ctx, arena->slices);
    strata__free(ctx, arena);
}
