/* Whom a watchdog knows: the ranks of the mesh, those who share a board, and where the others
 * listen. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_WATCHDOG_PEERS_H
#define STRATA_MESH_WATCHDOG_PEERS_H

#include "mesh/board.h"

enum { STRATA__MOST_ADDRESSES = 4 };

/* IPv4, in the byte order of the network. */
typedef struct strata__endpoint {
    uint32_t addresses[STRATA__MOST_ADDRESSES], masks[STRATA__MOST_ADDRESSES];
    int32_t count;
    uint16_t port; /* 0: the rank has no socket */
} strata__endpoint;

/* What every rank tells all others when the watchdogs start. */
typedef struct strata__peer {
    strata__endpoint endpoint;
    int32_t island; /* lowest rank of those that share a board with it */
    int32_t pid;
    uint64_t pid_namespace;
} strata__peer;

/* Ranks that share a board form an island. */
typedef struct strata__peers {
    int ranks, rank;   /* of the mesh; the own one */
    uint64_t key[2];   /* of the job; who does not know it is not listened to */
    strata__peer *all; /* [ranks] */
    int islands, own;  /* how many; the index of the own one */
    int *members;      /* [ranks], island by island */
    int *starts;       /* [islands + 1]: members[starts[i]] … belong to island i */
} strata__peers;

/* How many islands there are. Local. */
int strata__islands(const strata_context *ctx, const strata__board *board);

/* Everybody gets to know everybody. Collective on the mesh. */
strata_status strata__peers_new(strata_context *ctx, const strata__board *board,
                                const strata__endpoint *own, strata__peers *peers);
void strata__peers_free(strata_context *ctx, strata__peers *peers);

static inline bool strata__is_near(const strata__peers *peers, int rank)
{
    return peers->all[rank].island == peers->all[peers->rank].island;
}

/* State of the process of a rank on the own island, as a letter of /proc/PID/stat, 'X' when it is
 * gone; '?' when it cannot be seen from here. Any thread. */
char strata__process_state(const strata__peers *peers, int rank);

#endif
