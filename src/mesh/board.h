/* The board: what each rank was last seen doing, in memory that the ranks of a node share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_BOARD_H
#define STRATA_MESH_BOARD_H

#include "mesh/mesh.h"

/* What a rank's watchdog says of it. Goes over the network as it is, between equal machines. */
typedef struct strata__record {
    uint64_t heartbeat;     /* ticks of the rank's watchdog; 0: nothing was heard of it yet */
    uint64_t changes, step; /* of its activity */
    int32_t rank;
    /* 'R' from the rank itself, 't' when a debugger holds it, 'E' when it ends the job; from a
     * neighbour on its machine, when the rank is silent, the state of the process in /proc: 'T'
     * stopped, 't' held by a debugger, 'Z' or 'X' dead. */
    char state;
    char unused[3];
    char phase[16], layer[40], collective[40]; /* "": nothing of that kind; cut where too long */
} strata__record;

/* One slot a rank of the mesh. Anybody may write any slot at any time. */
typedef struct strata__board {
    strata__shared *memory;
    struct strata__board_slot *slots; /* [ranks] */
} strata__board;

/* One board a node where memory can be shared, else one a rank. Collective on the mesh. */
strata_status strata__board_new(strata_context *ctx, strata__board *board);
void strata__board_free(strata_context *ctx, strata__board *board); /* Collective. */

/* Local, from any thread. */
void strata__board_store(strata__board *board, const strata__record *record);
/* false: nothing has been written, or somebody is writing or was stopped when writing. */
bool strata__board_load(const strata__board *board, int rank, strata__record *record);

/* What a rank does now, as a record. Local, from any thread. */
strata__record strata__record_of(const strata__activity *activity, int rank, uint64_t heartbeat);

#endif
