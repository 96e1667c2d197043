/* Groups: who belongs to an axis of the mesh, and who of them shares a node. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_GROUPS_H
#define STRATA_MESH_GROUPS_H

#include "mesh/mesh.h"

/* Fills mesh->groups. An axis with the members of an earlier one is a copy of it and costs nothing.
 * Collective on the mesh. */
strata_status strata__groups_new(strata_context *ctx);
void strata__groups_free(strata_context *ctx); /* Collective. */

/* Makes a fresh communicator ours: its name in tools and messages, and the fatal error handler. */
void strata__communicator_adopt(MPI_Comm comm, const char *name);

#endif
