/* Memory that the members of a group on one node share, with a private fallback. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/memory.h"
#include "mesh/mesh.h"

/*
 * Where Open MPI's component osc/sm puts the file behind a window: its parameter, as mpirun hands
 * it on, or the default. (To ask MPI's tool interface instead takes 0.2 s, which is most of the
 * start of a job.)
 */
static const char *backing_directory(void)
{
    const char *directory = getenv("OMPI_MCA_osc_sm_backing_directory");
    return directory ? directory : "/dev/shm";
}

/* Touching memory that a full file system cannot back is a SIGBUS, so some space must be left over.
 */
static bool has_space(int64_t bytes)
{
    struct statvfs found;
    if (statvfs(backing_directory(), &found) != 0)
        return false;
    int64_t reserve = bytes / 16 + ((int64_t)1 << 20), space = 0;
    return !__builtin_mul_overflow((int64_t)found.f_bavail, (int64_t)found.f_frsize, &space) &&
           space - reserve >= bytes;
}

static bool all_of(const strata__group *group, bool own)
{
    int all = own;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, group->comm);
    return all;
}

/* Whether every node of the group has room; its groups of one kind may all ask at the same time. */
static bool can_share(const strata__mesh *mesh, const strata__group *group, size_t bytes)
{
    int64_t total = (int64_t)bytes;
    bool room = true;
    if (group->node_size > 1) {
        int groups = (mesh->machine_size + group->node_size - 1) / group->node_size;
        MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_INT64_T, MPI_SUM, group->node);
        room = mesh->share && !__builtin_mul_overflow(total, (int64_t)groups, &total) &&
               has_space(total);
    }
    return all_of(group, room && (mesh->share || group->size == 1));
}

/* MPI_WIN_NULL where it fails. Collective on the group's members on this node. */
static MPI_Win window_new(const strata__group *group, size_t bytes)
{
    MPI_Win window = MPI_WIN_NULL;
    MPI_Info info;
    void *base;
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true");
    MPI_Comm_set_errhandler(group->node, MPI_ERRORS_RETURN);
    bytes += STRATA__ALIGNMENT;
    if (MPI_Win_allocate_shared((MPI_Aint)bytes, 1, info, group->node, &base, &window) !=
        MPI_SUCCESS)
        window = MPI_WIN_NULL;
    MPI_Comm_set_errhandler(group->node, MPI_ERRORS_ARE_FATAL);
    MPI_Info_free(&info);
    return window;
}

/*
 * Open MPI puts its own state in front of the segments, so they begin anywhere in a cache line. All
 * processes map the file at page boundaries: what is aligned for one is so for all.
 */
static char *align(char *base)
{
    uintptr_t address = (uintptr_t)base + STRATA__ALIGNMENT - 1;
    return base + (address / STRATA__ALIGNMENT * STRATA__ALIGNMENT - (uintptr_t)base);
}

static void find_segments(const strata__group *group, strata__shared *shared)
{
    for (int member = 0; member < group->node_size; member++) {
        MPI_Aint bytes;
        int unit;
        char *base;
        MPI_Win_shared_query(shared->window, member, &bytes, &unit, &base);
        shared->segments[member] = align(base);
    }
}

/* Each member touches its own segment first, so that it lies in the memory next to its core. */
static void window_open(const strata__group *group, strata__shared *shared)
{
    find_segments(group, shared);
    shared->own = shared->segments[group->node_rank];
    memset(shared->own, 0, shared->bytes);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, shared->window);
    MPI_Barrier(group->node);
}

/* A window on every node of the group, or on none. */
static bool share(const strata__mesh *mesh, const strata__group *group, strata__shared *shared)
{
    if (!can_share(mesh, group, shared->bytes))
        return false;
    if (group->node_size > 1)
        shared->window = window_new(group, shared->bytes);
    if (!all_of(group, group->node_size == 1 || shared->window != MPI_WIN_NULL)) {
        if (shared->window != MPI_WIN_NULL)
            MPI_Win_free(&shared->window);
        return false;
    }
    if (shared->window != MPI_WIN_NULL)
        window_open(group, shared);
    return true;
}

static strata__shared *shared_alloc(strata_context *ctx, const strata__group *group, size_t bytes)
{
    strata__shared *shared = strata__calloc(ctx, 1, sizeof *shared);
    char **segments = strata__calloc(ctx, (size_t)group->node_size, sizeof *segments);
    if (!shared || !segments) {
        strata__free(ctx, shared);
        strata__free(ctx, segments);
        return NULL;
    }
    *shared = (strata__shared){.window = MPI_WIN_NULL, .segments = segments};
    shared->bytes = (bytes + STRATA__ALIGNMENT - 1) & ~(size_t)(STRATA__ALIGNMENT - 1);
    return shared;
}

strata_status strata__shared_new(strata_context *ctx, strata__axis axis, size_t bytes,
                                 strata__shared **shared)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__shared *made = shared_alloc(ctx, group, bytes);
    *shared = NULL;
    if (strata__agree_on(ctx, axis) != STRATA_OK) {
        if (made)
            strata__free(ctx, made->segments);
        strata__free(ctx, made);
        return ctx->status;
    }
    made->shared = group->size == 1 || share(ctx->mesh, group, made);
    if (made->window == MPI_WIN_NULL)
        made->own = made->segments[group->node_rank] = strata__calloc(ctx, 1, made->bytes);
    if (strata__agree_on(ctx, axis) != STRATA_OK) {
        strata__shared_free(ctx, made);
        return ctx->status;
    }
    *shared = made;
    return STRATA_OK;
}

void strata__shared_free(strata_context *ctx, strata__shared *shared)
{
    if (!shared)
        return;
    if (shared->window != MPI_WIN_NULL) {
        MPI_Win_unlock_all(shared->window);
        MPI_Win_free(&shared->window);
    } else {
        strata__free(ctx, shared->own);
    }
    strata__free(ctx, shared->segments);
    strata__free(ctx, shared);
}

strata_status strata__shared_once(strata_context *ctx, strata__axis axis, size_t bytes,
                                  strata__shared **shared, char **memory)
{
    int node_rank = ctx->mesh->groups[axis].node_rank;
    STRATA_TRY(strata__shared_new(ctx, axis, node_rank == 0 ? bytes : 0, shared));
    if (!(*shared)->shared) {
        strata__shared_free(ctx, *shared);
        STRATA_TRY(strata__shared_new(ctx, axis, bytes, shared));
    }
    *memory = (*shared)->shared ? (*shared)->segments[0] : (*shared)->own;
    return STRATA_OK;
}
