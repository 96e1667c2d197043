/* Blocks of bytes that come from all ranks to rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_COLLECT_H
#define STRATA_MESH_COLLECT_H

#include "mesh/mesh.h"

/* On rank 0; the block is gone afterwards. */
typedef void strata__take_block(void *user, int rank, const void *block, int64_t bytes);

/* Hands the ranks' blocks, of any size, to `take` in the order of the ranks; rank 0 has room for
 * one of them at a time. Collective on the mesh. */
void strata__collect(strata_context *ctx, const void *block, int64_t bytes,
                     strata__take_block *take, void *user);

#endif
