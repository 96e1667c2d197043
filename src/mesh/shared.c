/* Memory that the members of a group on one node share, with a private fallback. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/memory.h"
#include "mesh/mesh.h"

/* Where Open MPI's osc/sm component puts the file behind a window: its parameter, by default this.
 */
static const char default_directory[] = "/dev/shm";

/* The value of Open MPI's parameter `name` (a text), or false when this MPI has none of that name.
 */
static bool read_parameter(const char *name, char *value, int size)
{
    int index, count;
    MPI_T_cvar_handle handle;
    if (MPI_T_cvar_get_index(name, &index) != MPI_SUCCESS)
        return false;
    if (MPI_T_cvar_handle_alloc(index, NULL, &handle, &count) != MPI_SUCCESS)
        return false;
    bool known = count > 0 && count < size && MPI_T_cvar_read(handle, value) == MPI_SUCCESS;
    value[known ? count : 0] = '\0';
    MPI_T_cvar_handle_free(&handle);
    return known && *value;
}

static void find_directory(char *path, int size)
{
    int provided;
    bool known = false;
    if (MPI_T_init_thread(MPI_THREAD_SINGLE, &provided) == MPI_SUCCESS) {
        known = read_parameter("osc_sm_backing_directory", path, size);
        MPI_T_finalize();
    }
    if (!known)
        snprintf(path, (size_t)size, "%s", default_directory);
}

/* Touching memory that a full file system cannot back is a SIGBUS, so some space must be left over.
 */
static bool has_space(int64_t bytes)
{
    char directory[4096];
    struct statvfs found;
    find_directory(directory, sizeof directory);
    if (statvfs(directory, &found) != 0)
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
    if (MPI_Win_allocate_shared((MPI_Aint)bytes, 1, info, group->node, &base, &window) !=
        MPI_SUCCESS)
        window = MPI_WIN_NULL;
    MPI_Comm_set_errhandler(group->node, MPI_ERRORS_ARE_FATAL);
    MPI_Info_free(&info);
    return window;
}

static void find_segments(const strata__group *group, strata__shared *shared)
{
    for (int member = 0; member < group->node_size; member++) {
        MPI_Aint bytes;
        int unit;
        MPI_Win_shared_query(shared->window, member, &bytes, &unit, &shared->segments[member]);
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
