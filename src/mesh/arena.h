/* Arenas: flat storage of variables that a group holds alike; sums gradients, shares updates. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_ARENA_H
#define STRATA_MESH_ARENA_H

#include "mesh/mesh.h"

/*
 * One arena serves one replica group (STRATA__BATCH for whole variables, STRATA__DATA for shards).
 * It is a vector of `count` float32 elements: `values` (one copy a node where memory can be shared,
 * else private) and `gradients` (each member's own). The vector is cut into buckets in the order in
 * which the backward pass finishes them. Within a bucket each member owns a slice: it receives the
 * sum of all members' gradients there and alone updates the values there. So optimizer slots exist
 * only for the own slices, once in the whole group.
 *
 *   step:  begin → (backward: ready(bucket) …, poll() at will) → finish
 *
 * On a node, lane l sums its part of the bucket straight from the others' gradient segments;
 * between nodes the lanes reduce-scatter and later all-gather (non-blocking), so every node owns a
 * sub-slice.
 */
typedef struct strata__slice {
    int64_t first, count; /* elements of the arena */
    int64_t slot;         /* position of the slice in the member's slot vectors */
} strata__slice;

typedef struct strata__arena {
    strata_context *ctx;
    strata__axis axis;
    int64_t count;
    float *values;    /* (count) */
    float *gradients; /* (count) the own contribution; the own slices hold the sum once a bucket is
                         reduced */
    int bucket_count;
    int64_t *bounds;       /* [bucket_count + 1] */
    strata__slice *slices; /* [bucket_count]: own part of each bucket */
    int64_t slot_count;    /* Σ slices.count: length of a slot vector on this member */
    bool values_shared;    /* all members of the node see one `values` */
    bool values_writer; /* this member writes outside steps (set_weights, constraints): the first of
                           each copy */
    struct strata__arena_parts *parts; /* windows, flags, requests */
} strata__arena;

/* Called with each own slice once its gradients are summed; updates arena->values there. */
typedef void strata__update(void *user, strata__arena *arena, const strata__slice *slice);

/*
 * bounds: bucket b holds elements bounds[b] … bounds[b+1]−1, bounds[0] = 0, bounds[bucket_count] =
 * count. values start as zero. Collective on the group.
 */
strata_status strata__arena_new(strata_context *ctx, strata__axis axis, int bucket_count,
                                const int64_t *bounds, strata__arena **arena);
void strata__arena_free(strata__arena *arena); /* Collective. */

/* Starts a step: from now on gradients may be written. Waits until nobody reads the previous step's
 * gradients. */
void strata__arena_begin(strata__arena *arena);

/* This member's gradients of the bucket are complete and it no longer reads the bucket's values in
 * this step. Local. */
void strata__arena_ready(strata__arena *arena, int bucket);

/*
 * Eager: reduces and updates every bucket that all members have marked ready, in order, without
 * waiting. Call now and then during the backward pass. update NULL: reduces only, for updates that
 * need all gradients first (a global norm). Local, never blocks.
 */
void strata__arena_poll(strata__arena *arena, strata__update *update, void *user);

/* Marks all buckets ready and reduces what is left, waiting for the others. Afterwards the own
 * slices of `gradients` hold the sums. Collective on the group. */
void strata__arena_reduce(strata__arena *arena);

/* reduce, then update every slice that poll has not updated, then makes the new values visible to
 * all. Collective on the group. */
void strata__arena_finish(strata__arena *arena, strata__update *update, void *user);

/* After values_writer wrote values outside a step: everybody sees them on return. Collective on the
 * group. */
void strata__arena_publish(strata__arena *arena);

/* How many of `count` elements from `first` on lie in own slices. Local. */
int64_t strata__arena_owned(const strata__arena *arena, int64_t first, int64_t count);

/* What a step exchanges for `count` elements from `first` on: the bytes of mesh/traffic.h. Local.
 */
strata__traffic strata__arena_traffic(const strata__arena *arena, int64_t first, int64_t count);

/* All-gathers a slot vector into (count) elements on every member, or takes the own slices out of
 * one. Collective / Local. */
void strata__arena_gather(strata__arena *arena, const float *slot, float *whole);
void strata__arena_take(const strata__arena *arena, const float *whole, float *slot);

#endif
