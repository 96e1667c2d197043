/* The mesh: laying it out over a communicator, agreement on errors, and the end of a job. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/mesh.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/checked.h"
#include "mesh/descriptor.h"
#include "mesh/groups.h"
#include "mesh/settings.h"

/* An error on its way from the rank that saw it to the others. */
typedef struct report {
    int status;
    int rank;
    char message[STRATA__MESSAGE_SIZE];
} report;

/* Everybody takes over the error of member `root`, who passes its own rank unless all members have
 * an error. */
static void take_over(strata_context *ctx, MPI_Comm comm, int root, int rank)
{
    report seen = {.status = (int)ctx->status,
                   .rank = ctx->error_rank >= 0 ? ctx->error_rank : rank};
    memcpy(seen.message, ctx->message, sizeof seen.message);
    MPI_Bcast(&seen, (int)sizeof seen, MPI_BYTE, root, comm);
    ctx->status = (strata_status)seen.status;
    ctx->error_rank = seen.rank;
    memcpy(ctx->message, seen.message, sizeof seen.message);
}

/* For the largest over all members: [0] is largest for the lowest member with an error, [1] tells
 * that one has none. */
static void vote(const strata_context *ctx, int size, int rank, int64_t votes[2])
{
    votes[0] = ctx->status != STRATA_OK ? size - rank : 0;
    votes[1] = ctx->status == STRATA_OK;
}

/* Agreement while there is no mesh yet. */
static strata_status agree_early(strata_context *ctx, MPI_Comm comm)
{
    int size, rank;
    int64_t votes[2];
    MPI_Comm_size(comm, &size);
    MPI_Comm_rank(comm, &rank);
    vote(ctx, size, rank, votes);
    MPI_Allreduce(MPI_IN_PLACE, votes, 2, MPI_INT64_T, MPI_MAX, comm);
    if (votes[0] && size > 1)
        take_over(ctx, comm, size - (int)votes[0], votes[1] ? rank : -1);
    return ctx->status;
}

strata_status strata__agree_on(strata_context *ctx, strata__axis axis)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int64_t votes[2];
    if (ctx->status != STRATA_OK && ctx->agreed)
        return ctx->status;
    vote(ctx, group->size, group->rank, votes);
    strata__max(ctx, axis, votes, 2, STRATA_INT64);
    if (votes[0] && group->size > 1)
        take_over(ctx, group->comm, group->size - (int)votes[0], votes[1] ? ctx->mesh->rank : -1);
    ctx->agreed = group->size == ctx->mesh->size;
    return ctx->status;
}

strata_status strata__agree(strata_context *ctx)
{
    strata__raise_deferred(ctx);
    return ctx->mesh ? strata__agree_on(ctx, STRATA__WORLD) : ctx->status;
}

void strata__abort(strata_context *ctx, const char *phase)
{
    fprintf(stderr, "strata: rank %d: %s: %s\n", ctx->mesh ? ctx->mesh->rank : 0, phase,
            ctx->status != STRATA_OK ? ctx->message : "no error was recorded");
    fflush(stderr);
    strata_status status = ctx->status != STRATA_OK ? ctx->status : STRATA_INTERNAL;
    MPI_Abort(ctx->mesh ? ctx->mesh->comm : MPI_COMM_WORLD, strata_status_exit_code(status));
    abort();
}

/* Names what is at work. */
static void end_step(strata_context *ctx)
{
    const char *layer = strata__doing_now(&ctx->activity, STRATA__LAYER);
    const char *phase = strata__doing_now(&ctx->activity, STRATA__PHASE);
    strata__abort(ctx, layer ? layer : phase ? phase : "memory of a step");
}

bool strata__no_way_back(strata_context *ctx, bool begins)
{
    bool before = ctx->no_way_back != NULL;
    ctx->no_way_back = begins && ctx->mesh && ctx->mesh->size > 1 ? end_step : NULL;
    return before;
}

void *strata__scratch(strata_context *ctx, int64_t count, size_t size)
{
    void *memory = strata__alloc(ctx, (size_t)count * size);
    if (!memory)
        end_step(ctx);
    return memory;
}

strata__piece strata__piece_of(int64_t count, int pieces, int index)
{
    int64_t block = count / pieces + (count % pieces != 0);
    int64_t first = block * index < count ? block * index : count;
    return (strata__piece){.first = first, .count = count - first < block ? count - first : block};
}

static void place(strata__mesh *mesh, const strata__mesh_settings *settings)
{
    mesh->data = settings->data;
    mesh->rows = settings->rows;
    mesh->cols = settings->cols;
    mesh->data_index = mesh->rank / (mesh->rows * mesh->cols);
    mesh->row = mesh->rank / mesh->cols % mesh->rows;
    mesh->col = mesh->rank % mesh->cols;
    mesh->node_limit = settings->node_limit;
    mesh->share = settings->share;
    mesh->blacs = -1;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++)
        mesh->groups[axis] =
            (strata__group){.comm = MPI_COMM_NULL, .node = MPI_COMM_NULL, .cross = MPI_COMM_NULL};
    /* Enough for strata__agree while the groups are made. */
    mesh->groups[STRATA__WORLD].comm = mesh->comm;
    mesh->groups[STRATA__WORLD].size = mesh->size;
    mesh->groups[STRATA__WORLD].rank = mesh->rank;
}

/* Rank 0's settings hold for all: an environment variable need not have reached the other nodes. */
static strata_status lay_out(strata_context *ctx, MPI_Comm comm, const char *text,
                             strata__mesh_settings *settings, strata__mesh *mesh)
{
    int size, rank;
    MPI_Comm_size(comm, &size);
    MPI_Comm_rank(comm, &rank);
    ctx->rank = rank;
    if (rank == 0)
        strata__mesh_settings_read(ctx, text, size, settings);
    STRATA_TRY(agree_early(ctx, comm));
    MPI_Bcast(settings, (int)sizeof *settings, MPI_BYTE, 0, comm);
    mesh->comm = comm;
    mesh->size = size;
    mesh->rank = rank;
    place(mesh, settings);
    return STRATA_OK;
}

strata_status strata__mesh_new(strata_context *ctx, MPI_Comm comm, const char *text)
{
    MPI_Comm own;
    if (MPI_Comm_dup(comm, &own) != MPI_SUCCESS)
        return strata__fail(ctx, STRATA_INVALID, "the communicator cannot be duplicated");
    strata__communicator_adopt(own, "strata mesh");
    strata__mesh *mesh = strata__calloc(ctx, 1, sizeof *mesh);
    strata__mesh_settings settings = {0};
    if (lay_out(ctx, own, text, &settings, mesh) != STRATA_OK) {
        strata__free(ctx, mesh);
        MPI_Comm_free(&own);
        return ctx->status;
    }
    ctx->mesh = mesh;
    if (strata__groups_new(ctx) == STRATA_OK && settings.check)
        strata__checked_new(ctx, settings.check_seconds);
    if (ctx->status != STRATA_OK)
        strata__mesh_free(ctx);
    return ctx->status;
}

void strata__mesh_free(strata_context *ctx)
{
    if (!ctx->mesh)
        return;
    strata__blacs_free(ctx);
    strata__checked_free(ctx);
    strata__groups_free(ctx);
    MPI_Comm_free(&ctx->mesh->comm);
    strata__free(ctx, ctx->mesh);
    ctx->mesh = NULL;
}
