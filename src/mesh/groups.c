/* Groups: who belongs to an axis of the mesh, and who of them shares a node. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/groups.h"

#include <limits.h>

#include "base/memory.h"
#include "mesh/exchange.h"

/* Index of data, rows and cols wherever the three stand in an array. */
enum { DATA, ROWS, COLS, DIMENSIONS };

/* What varies among the members of an axis. */
static const struct {
    const char *name; /* of communicators */
    const char *shown;
    bool varies[DIMENSIONS];
} axes[STRATA__AXES] = {
    [STRATA__WORLD] = {"strata world", "all ranks", {true, true, true}},
    [STRATA__DATA] = {"strata data", "data", {true, false, false}},
    [STRATA__ROWS] = {"strata rows", "rows", {false, true, false}},
    [STRATA__COLS] = {"strata cols", "cols", {false, false, true}},
    [STRATA__BATCH] = {"strata batch", "data × rows", {true, true, false}},
    [STRATA__GRID] = {"strata grid", "rows × cols", {false, true, true}},
};

/* Members of one axis: how many of each dimension, and where this rank stands. */
typedef struct members {
    int counts[DIMENSIONS];
    int position[DIMENSIONS];
    bool varies[DIMENSIONS];
} members;

static members members_of(const strata__mesh *mesh, strata__axis axis)
{
    members found = {
        .counts = {mesh->data, mesh->rows, mesh->cols},
        .position = {mesh->data_index, mesh->row, mesh->col},
    };
    for (int i = 0; i < DIMENSIONS; i++)
        found.varies[i] = axes[axis].varies[i] && found.counts[i] > 1;
    return found;
}

static int members_count(const members *members)
{
    int count = 1;
    for (int i = 0; i < DIMENSIONS; i++)
        count *= members->varies[i] ? members->counts[i] : 1;
    return count;
}

/* Rank in the mesh of member `index`; members are in the order of their ranks. */
static int members_rank(const members *members, int index)
{
    int position[DIMENSIONS];
    for (int i = DIMENSIONS - 1; i >= 0; i--) {
        position[i] = members->varies[i] ? index % members->counts[i] : members->position[i];
        index = members->varies[i] ? index / members->counts[i] : index;
    }
    return (position[DATA] * members->counts[ROWS] + position[ROWS]) * members->counts[COLS] +
           position[COLS];
}

static bool members_equal(const members *a, const members *b)
{
    for (int i = 0; i < DIMENSIONS; i++) {
        if (a->varies[i] != b->varies[i])
            return false;
    }
    return true;
}

/* The first axis with the same members. */
static strata__axis original_of(const strata__mesh *mesh, strata__axis axis)
{
    members own = members_of(mesh, axis);
    for (strata__axis earlier = 0; earlier < axis; earlier++) {
        members other = members_of(mesh, earlier);
        if (members_equal(&own, &other))
            return earlier;
    }
    return axis;
}

strata__axis strata__axis_plain(const strata__mesh *mesh, strata__axis axis)
{
    static const strata__axis plainest[] = {STRATA__DATA, STRATA__ROWS, STRATA__COLS, STRATA__BATCH,
                                            STRATA__GRID};
    members own = members_of(mesh, axis);
    for (size_t i = 0; i < sizeof plainest / sizeof *plainest; i++) {
        members other = members_of(mesh, plainest[i]);
        if (members_equal(&own, &other))
            return plainest[i];
    }
    return axis;
}

const char *strata__axis_name(const strata__mesh *mesh, strata__axis axis)
{
    return mesh->groups[axis].size > 1 ? axes[axis].shown : NULL;
}

/*
 * Fills what is known without talking. leaders[r]: lowest rank on the node of rank r. sizes,
 * indices: (mesh size) scratch.
 */
static void lay_out(const strata__mesh *mesh, const members *members, const int *leaders,
                    int *sizes, int *indices, strata__group *group)
{
    *group = (strata__group){.size = members_count(members)};
    for (int r = 0; r < mesh->size; r++)
        sizes[r] = 0;
    for (int i = 0; i < group->size; i++) {
        int rank = members_rank(members, i), leader = leaders[rank];
        if (sizes[leader] == 0)
            indices[leader] = group->nodes++;
        if (rank == mesh->rank) {
            group->rank = i;
            group->node_rank = sizes[leader];
            group->node_index = indices[leader];
        }
        sizes[leader]++;
    }
    group->node_size = sizes[leaders[mesh->rank]];
    group->lanes = INT_MAX;
    for (int r = 0; r < mesh->size; r++) {
        if (sizes[r] > 0 && sizes[r] < group->lanes)
            group->lanes = sizes[r];
    }
}

void strata__communicator_adopt(MPI_Comm comm, const char *name)
{
    MPI_Comm_set_name(comm, name);
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_ARE_FATAL);
}

static MPI_Comm split(MPI_Comm comm, int color, int key, const char *name)
{
    MPI_Comm part;
    MPI_Comm_split(comm, color, key, &part);
    if (part != MPI_COMM_NULL)
        strata__communicator_adopt(part, name);
    return part;
}

/* Splits only where the members are not those of a communicator that exists. Collective on the
 * mesh. */
static void connect(const strata__mesh *mesh, const members *members, strata__axis axis,
                    strata__group *group)
{
    const char *name = axes[axis].name;
    group->comm = group->node = group->cross = MPI_COMM_NULL;
    if (group->size == mesh->size)
        group->comm = mesh->comm;
    else if (group->size > 1)
        group->comm = split(mesh->comm, members_rank(members, 0), mesh->rank, name);
    if (group->nodes == 1) {
        group->node = group->comm;
    } else if (group->nodes == group->size) {
        group->cross = group->comm;
    } else {
        bool crosses = group->node_rank < group->lanes;
        group->node = split(group->comm, group->node_index, group->node_rank, name);
        group->cross =
            split(group->comm, crosses ? group->node_rank : MPI_UNDEFINED, group->node_index, name);
    }
}

/* leaders[r]: lowest rank on the node of rank r; a machine counts as several nodes of node_limit
 * ranks. */
static void find_leaders(strata__mesh *mesh, int *leaders)
{
    MPI_Comm machine, node;
    int machine_rank, leader = mesh->rank;
    MPI_Comm_split_type(mesh->comm, MPI_COMM_TYPE_SHARED, mesh->rank, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &mesh->machine_size);
    MPI_Comm_rank(machine, &machine_rank);
    MPI_Comm_split(machine, mesh->node_limit ? machine_rank / mesh->node_limit : 0, machine_rank,
                   &node);
    MPI_Bcast(&leader, 1, MPI_INT, 0, node);
    MPI_Allgather(&leader, 1, MPI_INT, leaders, 1, MPI_INT, mesh->comm);
    MPI_Comm_free(&node);
    MPI_Comm_free(&machine);
}

strata_status strata__groups_new(strata_context *ctx)
{
    strata__mesh *mesh = ctx->mesh;
    int *scratch = strata__alloc(ctx, 3 * (size_t)mesh->size * sizeof *scratch);
    if (strata__agree(ctx) != STRATA_OK) {
        strata__free(ctx, scratch);
        return ctx->status;
    }
    int *leaders = scratch, *sizes = leaders + mesh->size, *indices = sizes + mesh->size;
    find_leaders(mesh, leaders);
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        strata__group *group = &mesh->groups[axis];
        members members = members_of(mesh, axis);
        strata__axis original = original_of(mesh, axis);
        if (original != axis) {
            *group = mesh->groups[original];
            continue;
        }
        lay_out(mesh, &members, leaders, sizes, indices, group);
        connect(mesh, &members, axis, group);
        strata__exchange_new(ctx, axis, &group->exchange);
    }
    strata__free(ctx, scratch);
    return strata__agree(ctx);
}

static void release(MPI_Comm *comm, MPI_Comm borrowed_1, MPI_Comm borrowed_2)
{
    if (*comm != MPI_COMM_NULL && *comm != borrowed_1 && *comm != borrowed_2)
        MPI_Comm_free(comm);
}

void strata__groups_free(strata_context *ctx)
{
    strata__mesh *mesh = ctx->mesh;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        strata__group *group = &mesh->groups[axis];
        if (original_of(mesh, axis) != axis)
            continue;
        strata__exchange_free(ctx, group->exchange);
        release(&group->cross, group->comm, MPI_COMM_NULL);
        release(&group->node, group->comm, MPI_COMM_NULL);
        release(&group->comm, mesh->comm, MPI_COMM_NULL);
    }
}
