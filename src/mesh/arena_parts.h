/* Insides of an arena: segments in shared memory, routes between nodes, progress of a step. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_ARENA_PARTS_H
#define STRATA_MESH_ARENA_PARTS_H

#include "mesh/arena.h"
#include "mesh/flag.h"

/*
 * Start of a member's segment in shared memory; its gradients follow, and in the segment of the
 * first member on a node the values. Counters hold numbers of steps.
 */
typedef struct strata__arena_board {
    strata__flag summed;  /* this member has read the others' gradients of all buckets */
    strata__flag updated; /* its parts of the node's values are new */
    strata__flag ready[]; /* [bucket_count] this member's gradients are complete, its reads of the
                             values done */
} strata__arena_board;

/* What one bucket's part of this lane needs to travel between nodes. Offsets count from the start
 * of the part. */
typedef struct strata__arena_route {
    strata__piece part;    /* of the arena: this lane's share of the bucket, one sub-slice a node */
    int *counts, *offsets; /* [nodes]: the sub-slices */
    int *own_counts, *own_offsets;    /* [nodes]: the own sub-slice as it comes from each node */
    float *arrivals;                  /* (nodes, own count) */
    MPI_Request reduction, gathering; /* under way, or MPI_REQUEST_NULL */
} strata__arena_route;

/*
 * Who this member reduces with. Where memory is not shared each member stands for a node of its
 * own, so that there is one way through a step: node sum (over one member then), reduction between
 * nodes, update, gathering between nodes.
 */
typedef struct strata__arena_parts {
    strata__shared *memory;
    int node_size, node_rank, lanes;
    int nodes, node_index;
    strata__arena_board **boards;    /* [node_size] */
    float **gradients;               /* [node_size]: everybody's */
    const float **sources;           /* [node_size or nodes, the larger]: scratch for a sum */
    float *private_values;           /* (count), or NULL when the values lie in a segment */
    MPI_Comm reductions, gatherings; /* between nodes; two, since their calls interleave differently
                                        on each member */
    strata__arena_route *routes; /* [bucket_count], or NULL without other nodes or without a lane */
    int *tables;                 /* behind the routes */
    float *arrivals;             /* behind the routes */
    int *places;                 /* [group size × 2]: lane (-1: none) and node of each member */

    uint64_t step;
    /* Buckets below have been: summed on the node and sent off; summed; updated and sent off. */
    int started, summed, updated;
} strata__arena_parts;

/* This member's part of a bucket at the given place, before it is cut between nodes and after. */
strata__piece strata__arena_part(const strata__arena *arena, int bucket, int lane);
strata__piece strata__arena_sub_slice(const strata__arena *arena, int bucket, int lane, int node);

#endif
