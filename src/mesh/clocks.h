/* Clocks of all ranks, brought to that of rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_CLOCKS_H
#define STRATA_MESH_CLOCKS_H

#include "mesh/mesh.h"

/*
 * What to add to strata__seconds() to get rank 0's time. Messages go to and fro, and the quickest
 * answer tells: it is wrong by at most half of `uncertainty`, the time that one took. Ranks on one
 * machine have one clock: 0 and 0 then, unless `measure`. Collective on the mesh.
 */
double strata__clock_offset(strata_context *ctx, bool measure, double *uncertainty);

#endif
