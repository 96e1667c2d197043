/* Traffic: bytes between ranks, counted by the axis of the mesh on which they travel. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_TRAFFIC_H
#define STRATA_MESH_TRAFFIC_H

#include "mesh/mesh.h"

/*
 * Whoever exchanges data counts it. In a group of P members, of n bytes in all:
 *
 *   through MPI                          calls  bytes sent by a member
 *   sum, max, min (MPI_Allreduce)        1      n
 *   broadcast (MPI_Bcast)                1      n by the root, else 0
 *   gather (MPI_Allgatherv)              1      own piece · (P − 1)
 *   scattered sum (MPI_Reduce_scatter)   1      n − own piece
 *   plan of a route (MPI_Alltoall)       1      4 · (P − 1)
 *   items on a route (MPI_Alltoallv)     1      n − those for itself
 *   pieces of a product (MPI_Isend)      one a message, and its bytes
 *   sums of gradients (MPI_Ialltoallv)   1      sub-slices of the other nodes; of each bucket
 *   new values (MPI_Iallgatherv)         1      own sub-slice · (nodes − 1); of each bucket
 *
 * How MPI forwards them is its own affair. On a node that shares memory nobody sends: members read
 * what the others show, each byte of another member's counted once by its reader. Barriers, and
 * agreement on an error, are not counted.
 */

/* One call of MPI. Local. */
static inline void strata__traffic_sent(strata_context *ctx, strata__axis axis, int64_t bytes)
{
    ctx->mesh->traffic[axis].calls++;
    ctx->mesh->traffic[axis].sent += bytes;
}

static inline void strata__traffic_read(strata_context *ctx, strata__axis axis, int64_t bytes)
{
    ctx->mesh->traffic[axis].read += bytes;
}

/* What was exchanged between two readings of the counters. Local. */
static inline strata__traffic strata__traffic_between(const strata__traffic *before,
                                                      const strata__traffic *after)
{
    return (strata__traffic){.calls = after->calls - before->calls,
                             .sent = after->sent - before->sent,
                             .read = after->read - before->read};
}

static inline void strata__traffic_add(strata__traffic *to, const strata__traffic *more)
{
    to->calls += more->calls;
    to->sent += more->sent;
    to->read += more->read;
}

#endif
