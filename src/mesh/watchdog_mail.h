/* How boards get from node to node: small UDP packets between watchdogs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_WATCHDOG_MAIL_H
#define STRATA_MESH_WATCHDOG_MAIL_H

#include "mesh/watchdog_peers.h"

/*
 * Once a tick one rank of each island sends the records of its island to one rank of each other
 * island, in turn to each of its members, so that no stopped process cuts an island off. A lost
 * packet costs a tick.
 */

/* Islands that get mail in one tick: with more they take turns, so that the work stays bounded. */
enum { STRATA__MAIL_PER_TICK = 64 };

/* As many records as an Ethernet frame holds; only `count` of them are sent. */
enum { STRATA__PACKET_RECORDS = 11 };
typedef struct strata__packet {
    uint64_t key[2];
    int32_t sender; /* rank */
    int32_t count;
    strata__record records[STRATA__PACKET_RECORDS];
} strata__packet;

/* A socket on any free port, and how others reach it; -1, and port 0, where there is none. Local.
 */
int strata__mail_open(strata__endpoint *own);

/* The own island's records to other islands in tick number `tick`. Any thread. */
void strata__mail_send(int socket, const strata__peers *peers, const strata__board *board,
                       uint64_t tick);

/* What has arrived goes to the board, if it comes from a peer and is newer. Any thread. */
void strata__mail_receive(int socket, const strata__peers *peers, strata__board *board);

#endif
