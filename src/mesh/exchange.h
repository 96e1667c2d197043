/* Exchange: shared buffers in which members of a group on one node show each other data. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_EXCHANGE_H
#define STRATA_MESH_EXCHANGE_H

#include "mesh/mesh.h"

/*
 * Rounds: each member fills its own buffer, all take the turn, then each reads whatever it likes of
 * the others' buffers until its next turn. Two buffers alternate: whoever fills one for round r + 2
 * has seen all others arrive at round r + 1, so none still reads round r.
 */
typedef struct strata__exchange strata__exchange;

/* Bytes of one member's buffer in one round. */
enum { STRATA__EXCHANGE_BYTES = 1 << 17 };

/* NULL without an error where the group has one member on this node or memory cannot be shared.
 * Collective on the group. */
strata_status strata__exchange_new(strata_context *ctx, strata__axis axis,
                                   strata__exchange **exchange);
void strata__exchange_free(strata_context *ctx, strata__exchange *exchange);

/* Whether all members of the group see each other's buffers. */
bool strata__exchange_reaches_all(const strata__group *group);

/* The own buffer of the round to come. */
void *strata__exchange_own(strata__exchange *exchange);

/* Shows the own buffer and waits until all members on the node have done so. Collective on them. */
void strata__exchange_turn(strata__exchange *exchange);

/* What member `node_rank` showed in this round. */
const void *strata__exchange_of(const strata__exchange *exchange, int node_rank);

#endif
