/* Times the reduction of gradients in an arena beside MPI_Allreduce of the same numbers; prints
 * rows on rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <mpi.h>
#include <stdio.h>

#include "base/memory.h"
#include "mesh/arena.h"
#include "mesh/process.h"

enum { REPEATS = 200 };

static double arena_time(strata__arena *arena)
{
    double best = 1;
    for (int i = 0; i < REPEATS; i++) {
        strata__barrier(arena->ctx, STRATA__WORLD);
        double begin = MPI_Wtime();
        strata__arena_begin(arena);
        strata__arena_reduce(arena);
        strata__node_barrier(arena->ctx, STRATA__WORLD);
        double time = MPI_Wtime() - begin;
        best = time < best ? time : best;
    }
    return best;
}

static double allreduce_time(strata_context *ctx, float *values, int count)
{
    double best = 1;
    for (int i = 0; i < REPEATS; i++) {
        strata__barrier(ctx, STRATA__WORLD);
        double begin = MPI_Wtime();
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, ctx->mesh->comm);
        double time = MPI_Wtime() - begin;
        best = time < best ? time : best;
    }
    return best;
}

static void compare(strata_context *ctx, int64_t count)
{
    const int64_t bounds[] = {0, count};
    strata__arena *arena;
    float *values = strata__calloc(ctx, (size_t)count, sizeof *values);
    if (!values || strata__arena_new(ctx, STRATA__BATCH, 1, bounds, &arena) != STRATA_OK)
        return;
    double ours = 1e3 * arena_time(arena), theirs = 1e3 * allreduce_time(ctx, values, (int)count);
    if (ctx->mesh->rank == 0)
        printf("sum of %lld gradients, ms\t%.3f\t%.3f\tMPI_Allreduce\t%.2f\n", (long long)count,
               ours, theirs, theirs / ours);
    strata__arena_free(arena);
    strata__free(ctx, values);
}

int main(void)
{
    strata__mpi_start();
    strata_context *ctx = strata__context_new();
    if (ctx && strata__mesh_new(ctx, MPI_COMM_WORLD, NULL) == STRATA_OK) {
        compare(ctx, 670000);
        compare(ctx, 3300000);
        strata__mesh_free(ctx);
    }
    strata__context_free(ctx);
    strata__mpi_stop();
    return 0;
}
