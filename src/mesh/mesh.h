/* The mesh: data × rows × cols over a communicator, its groups, and collectives on them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_MESH_H
#define STRATA_MESH_MESH_H

#include <mpi.h>

#include "base/context.h"

/*
 * Rank (d·rows + r)·cols + c stands at data d, row r, column c. `rows × cols` is one model grid and
 * holds one copy of the weights; the batch is split over data × rows, a split feature axis over
 * cols.
 */
typedef enum strata__axis {
    STRATA__WORLD, /* every rank of the mesh */
    STRATA__DATA,  /* same row and column: replicas of a sharded variable */
    STRATA__ROWS,  /* same data index and column */
    STRATA__COLS,  /* same data index and row */
    STRATA__BATCH, /* data × rows, same column: the ranks among which a batch is split */
    STRATA__GRID,  /* rows × cols, same data index: one model grid */
    STRATA__AXES
} strata__axis;

typedef struct strata__group {
    MPI_Comm comm;
    int size, rank;
    /* Members on this node share memory; ranks of equal node_rank form `cross`. */
    MPI_Comm node;
    int node_size, node_rank;
    int nodes, node_index; /* nodes that the group spans; which one this is */
    int lanes; /* smallest node_size over the nodes; lane l of every node exchanges with its likes
                */
    MPI_Comm cross; /* members with node_rank == mine, one a node, by node_index; NULL comm if
                       node_rank >= lanes */
    struct strata__exchange
        *exchange; /* small shared buffer for short reductions on one node, or NULL */
} strata__group;

/* What this rank exchanged with others; mesh/traffic.h says what counts. */
typedef struct strata__traffic {
    int64_t calls; /* of MPI: collectives on data, and messages sent */
    int64_t sent;  /* bytes handed to MPI for others */
    int64_t read;  /* bytes read in memory that others of the node have filled */
} strata__traffic;

typedef struct strata__mesh {
    MPI_Comm comm; /* duplicate of the caller's, ordered as above */
    int size, rank;
    int data, rows, cols;
    int data_index, row, col;
    strata__group groups[STRATA__AXES];
    int blacs; /* BLACS context of this model grid, see mesh/descriptor.h; -1 until it is asked for
                */
    int node_limit;   /* most ranks that count as one node (STRATA_NODE_RANKS); 0: as many as there
                         are */
    bool share;       /* whether memory may be shared at all (STRATA_SHARED=0 forbids it) */
    int machine_size; /* ranks of the mesh on this machine, whatever node_limit says */
    struct strata__checked *checked;       /* NULL: collectives are not checked; mesh/checked.h */
    strata__traffic traffic[STRATA__AXES]; /* so far, by the axis that the caller named */
} strata__mesh;

/*
 * Lays ctx->mesh out over `comm` (duplicated). `text` is "data=2,rows=2,cols=2", missing axes are
 * 1, except that with no text, or without data=, `data` takes what is left. A product that is not
 * the rank count is STRATA_INVALID with both numbers. Rank 0's text and environment hold for all
 * ranks. Collective on comm; the same result on all ranks.
 *
 * STRATA_CHECK=1 has collectives compared before they begin (mesh/checked.h); STRATA_CHECK_SECONDS
 * is how long a rank may be late for one.
 *
 * STRATA_NODE_RANKS=n cuts each machine into nodes of n ranks, so that one machine stands for
 * several; STRATA_SHARED=0 gives each rank private copies of what a node would share. Both are for
 * tests and for machines in trouble.
 */
strata_status strata__mesh_new(strata_context *ctx, MPI_Comm comm, const char *text);
void strata__mesh_free(strata_context *ctx); /* Collective. */

/*
 * Agreement: collective on the mesh. If any rank has an error in ctx, all ranks get the error of
 * the lowest such rank (message, status, rank). Never return from a collective function between a
 * test that one rank alone makes and this call.
 *
 * A rank that has met an error of its own, such as memory that is short, does nothing any more and
 * passes on to the next agreement, wherever that is. So outside of steps what is collective agrees
 * first, before it exchanges data, and again after what may fail. Once all ranks have the error
 * this returns at once: whoever meets others in another function than they are in goes on as they
 * do.
 */
strata_status strata__agree(strata_context *ctx);
strata_status strata__agree_on(strata_context *ctx,
                               strata__axis axis); /* Collective on the group of the axis only. */

/* Ends the job: prints the error with rank and phase on stderr and aborts on the mesh's
 * communicator. For failures inside a step. */
void strata__abort(strata_context *ctx, const char *phase) __attribute__((noreturn));

/*
 * Within a step others are on their way into collectives, and nobody asks whether all is well: on a
 * mesh of several ranks memory that is short then ends the job. Begins or ends such a time; returns
 * what was before, for the other call. Local.
 */
bool strata__no_way_back(strata_context *ctx, bool begins);

/* Memory without which there is no way back, contents undefined, for strata__free(): a failure ends
 * the job. Local. */
void *strata__scratch(strata_context *ctx, int64_t count, size_t size);

/* Piece `index` of `count` items cut into `pieces` blocks of ceil(count / pieces): ScaLAPACK's
 * one-block-a-process rule. */
typedef struct strata__piece {
    int64_t first, count;
} strata__piece;
strata__piece strata__piece_of(int64_t count, int pieces, int index);

/*
 * The axis with the same members and the plainest name: on a mesh without rows "data × rows" is
 * "data". NULL as the name of a group of one. Local.
 */
strata__axis strata__axis_plain(const strata__mesh *mesh, strata__axis axis);
const char *strata__axis_name(const strata__mesh *mesh, strata__axis axis);

/*
 * Collectives on an axis of the mesh, each a no-op on a group of one. In a step: failures abort
 * (fatal error handler). All members get bitwise the same result. Of booleans the sum is `any`,
 * like the maximum.
 */
void strata__sum(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                 strata_dtype dtype);
void strata__max(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                 strata_dtype dtype);
void strata__min(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                 strata_dtype dtype);
void strata__broadcast(strata_context *ctx, strata__axis axis, int root, void *data, int64_t bytes);
void strata__barrier(strata_context *ctx, strata__axis axis);

/*
 * Matrices cut in equal blocks (the last one shorter) over the members of a group; row-major,
 * `whole` (m × n) in all. gather_rows: pieces are consecutive rows; gather_columns: consecutive
 * columns (piece is m × piece_of(n).count). scatter_sum_*: element-wise sum of everybody's `whole`,
 * each keeps its piece.
 */
void strata__gather_rows(strata_context *ctx, strata__axis axis, const float *piece, float *whole,
                         int64_t m, int64_t n);
void strata__gather_columns(strata_context *ctx, strata__axis axis, const float *piece,
                            float *whole, int64_t m, int64_t n);
void strata__scatter_sum_rows(strata_context *ctx, strata__axis axis, const float *whole,
                              float *piece, int64_t m, int64_t n);
void strata__scatter_sum_columns(strata_context *ctx, strata__axis axis, const float *whole,
                                 float *piece, int64_t m, int64_t n);

/*
 * Memory that the members of a group on one node share. Falls back to private memory (shared ==
 * false, everyone has a copy of its own) when the window cannot be had or the file system behind it
 * lacks the space. The memory starts as zero. Members may ask for different sizes. A node with one
 * member has nothing to share and counts as shared. Collective on the group.
 */
typedef struct strata__shared {
    MPI_Win window;  /* MPI_WIN_NULL when the own segment is private memory */
    bool shared;     /* the same on all members of the group */
    size_t bytes;    /* of the own segment */
    char *own;       /* (bytes) */
    char **segments; /* [node_size]: base of each member's segment, 64-byte aligned; when private
                        only the own one is set */
} strata__shared;
strata_status strata__shared_new(strata_context *ctx, strata__axis axis, size_t bytes,
                                 strata__shared **shared);
void strata__shared_free(strata_context *ctx,
                         strata__shared *shared); /* Collective on the group. */

/*
 * `bytes` that exist once a node, or once a rank where memory cannot be shared. `memory` is the
 * same for all who see one copy; the first of them, who has node_rank 0 or sees it alone, fills it.
 * Collective on the group.
 */
strata_status strata__shared_once(strata_context *ctx, strata__axis axis, size_t bytes,
                                  strata__shared **shared, char **memory);

/* A barrier of the group's members on this node through shared flags (yields when it waits),
 * falling back to MPI_Barrier. */
void strata__node_barrier(strata_context *ctx, strata__axis axis);

/* All tags of point-to-point messages; the last two have one an axis. */
enum {
    STRATA__TAG_PANEL = 1,
    STRATA__TAG_QUESTION,
    STRATA__TAG_ANSWER,
    STRATA__TAG_CLOCK,
    STRATA__TAG_BLOCK,
    STRATA__TAG_SIGNATURE,
    STRATA__TAG_WORD = STRATA__TAG_SIGNATURE + STRATA__AXES
};

#endif
