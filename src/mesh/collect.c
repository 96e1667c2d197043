/* Blocks of bytes that come from all ranks to rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/collect.h"

#include "base/memory.h"
#include "mesh/collective.h"

/* Bytes of one message: what fits an int. */
enum { MOST = 1 << 30 };

static int next_step(int64_t bytes)
{
    return (int)(bytes < MOST ? bytes : MOST);
}

static void deliver(MPI_Comm comm, const char *block, int64_t bytes)
{
    MPI_Send(&bytes, 1, MPI_INT64_T, 0, STRATA__TAG_BLOCK, comm);
    for (int step; bytes > 0; bytes -= step, block += step) {
        step = next_step(bytes);
        MPI_Send(block, step, MPI_BYTE, 0, STRATA__TAG_BLOCK, comm);
    }
}

/* In memory to free. */
static char *fetch(strata_context *ctx, int rank, int64_t *bytes)
{
    MPI_Comm comm = ctx->mesh->comm;
    MPI_Recv(bytes, 1, MPI_INT64_T, rank, STRATA__TAG_BLOCK, comm, MPI_STATUS_IGNORE);
    char *block = strata__scratch(ctx, *bytes, 1);
    for (int64_t done = 0; done < *bytes;) {
        int step = next_step(*bytes - done);
        MPI_Recv(block + done, step, MPI_BYTE, rank, STRATA__TAG_BLOCK, comm, MPI_STATUS_IGNORE);
        done += step;
    }
    return block;
}

void strata__collect(strata_context *ctx, const void *block, int64_t bytes,
                     strata__take_block *take, void *user)
{
    const strata__mesh *mesh = ctx->mesh;
    const char *outer = strata__collective_begin(ctx, STRATA__GATHER, STRATA__WORLD);
    if (mesh->rank != 0)
        deliver(mesh->comm, block, bytes);
    else
        take(user, 0, block, bytes);
    for (int rank = 1; mesh->rank == 0 && rank < mesh->size; rank++) {
        int64_t received;
        char *other = fetch(ctx, rank, &received);
        take(user, rank, other, received);
        strata__free(ctx, other);
    }
    strata__collective_end(ctx, outer);
}
