/* Clocks of all ranks, brought to that of rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/clocks.h"

#include <math.h>

#include "base/clock.h"

enum { ROUNDS = 32 };

/* Rank 0 answers one rank after the other with its time. */
static void answer_all(const strata__mesh *mesh)
{
    for (int rank = 1; rank < mesh->size; rank++) {
        for (int round = 0; round < ROUNDS; round++) {
            MPI_Recv(NULL, 0, MPI_BYTE, rank, STRATA__TAG_CLOCK, mesh->comm, MPI_STATUS_IGNORE);
            double now = strata__seconds();
            MPI_Send(&now, 1, MPI_DOUBLE, rank, STRATA__TAG_CLOCK, mesh->comm);
        }
    }
}

static double ask(const strata__mesh *mesh, double *uncertainty)
{
    double offset = 0;
    *uncertainty = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        double theirs, sent = strata__seconds();
        MPI_Send(NULL, 0, MPI_BYTE, 0, STRATA__TAG_CLOCK, mesh->comm);
        MPI_Recv(&theirs, 1, MPI_DOUBLE, 0, STRATA__TAG_CLOCK, mesh->comm, MPI_STATUS_IGNORE);
        double arrived = strata__seconds();
        if (arrived - sent < *uncertainty) {
            *uncertainty = arrived - sent;
            offset = theirs - (sent + arrived) / 2;
        }
    }
    return offset;
}

double strata__clock_offset(strata_context *ctx, bool measure, double *uncertainty)
{
    const strata__mesh *mesh = ctx->mesh;
    *uncertainty = 0;
    if (mesh->size == 1 || (mesh->machine_size == mesh->size && !measure))
        return 0;
    if (mesh->rank != 0)
        return ask(mesh, uncertainty);
    answer_all(mesh);
    return 0;
}
