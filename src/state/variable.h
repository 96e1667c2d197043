/* Variables from the inside: storage, placement on the mesh, packing for training. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_VARIABLE_H
#define STRATA_STATE_VARIABLE_H

#include <strata/variable.h>

#include "base/fields.h"
#include "base/random.h"
#include "mesh/arena.h"
#include "tensor/tape.h"

/* Where a variable's elements lie. Only float32 is ever sharded: other types are whole. */
typedef enum strata__placement {
    /* a copy on every rank; replicas: data × rows (and cols, which compute the same) */
    STRATA__WHOLE,
    /* columns over cols, equal on rows: biases of sharded layers; replicas: data × rows */
    STRATA__VECTOR,
    /* (rows × columns) over rows × cols: kernels of sharded layers; replicas: data */
    STRATA__MATRIX
} strata__placement;

typedef struct strata__variable_spec {
    const char *name; /* "kernel" */
    const char *path; /* of the owner: "dense"; the variable's path is path/name */
    strata_shape shape;
    strata_dtype dtype;
    const char *initializer; /* notation or JSON; NULL: Keras's default for the dtype */
    const char *regularizer, *constraint; /* notation or JSON; NULL: none */
    bool trainable;
    strata_synchronization synchronization;
    strata_aggregation aggregation;
    strata__placement placement; /* on a 1 × 1 model grid all is WHOLE; MATRIX needs two axes */
    int columns;   /* of products: so many last axes form the columns, and the value is that matrix,
                      or vector when they are all axes; 0: the last axis, the value has all axes */
    uint64_t seed; /* of the layer, added to the context's; 0: none */
} strata__variable_spec;

struct strata_variable {
    strata_context *ctx;
    strata_variable *next; /* in the context's list of all variables */
    char *name, *path;
    strata_shape shape;
    strata_dtype dtype;
    bool trainable;
    strata_synchronization synchronization;
    strata_aggregation aggregation;
    strata__object regularizer, constraint;
    strata__placement placement;
    int columns;           /* last axes that form the columns of the matrix, at least 1 */
    strata__matrix matrix; /* placement MATRIX */
    strata__axis replicas; /* group that holds equal copies: BATCH or DATA */
    strata_tensor
        *value;    /* this rank's piece, kept for the variable's life; see the spec's columns */
    void *storage; /* own memory of the piece while not packed */
    int64_t count; /* elements of the local piece */
    strata__arena *arena; /* while packed: value and sink lie in the arena */
    int64_t offset;       /* element of the arena */
    int pack_index;       /* in the pack's list, while packed */
    bool updating;        /* inside strata_cross_update(): replica operations are local */
};

/* Collective on the mesh: all ranks make the same variables in the same order. Errors name the
 * path. NULL after an error. */
strata_variable *strata__variable_new(strata_context *ctx, const strata__variable_spec *spec);
/* Not while packed. Local. */
void strata__variable_free(strata_variable *variable);

/* Global position of a local element run: calls `each` with (global first element, local offset,
 * length) for every run of consecutive elements of the local piece. Serves initial values, file
 * hyperslabs and digests. */
typedef void strata__run(void *user, int64_t global, int64_t local, int64_t length);
void strata__variable_runs(const strata_variable *variable, strata__run *each, void *user);

/* This rank's block as a hyperslab of the global row-major array seen as (rows × columns): first[]
 * and count[] of the global[] rows and columns, whatever the placement. */
void strata__variable_block(const strata_variable *variable, int64_t first[2], int64_t count[2],
                            int64_t global[2]);

/* Groups of which each holds one copy. Local. */
int strata__variable_replicas(const strata_variable *variable);

/* Several replicas, each with a value of its own (ON_READ). Local. */
bool strata__variable_varies(const strata_variable *variable);

/* Whole array from the pieces of the grid, on all its ranks; and the own piece out of one.
 * Collective on the grid / Local. */
strata_status strata__variable_collect(const strata_variable *variable, const void *piece,
                                       void *whole);
void strata__variable_cut(const strata_variable *variable, const void *whole, void *piece);

/*
 * Values may be shared by the ranks of a node while packed: begin says whether this rank is the one
 * to write value->data, all others have stopped reading then; end makes the values visible to all.
 * Collective on the replicas.
 */
bool strata__variable_write_begin(strata_variable *variable);
void strata__variable_write_end(strata_variable *variable);

/* Packing: trainable variables move into arenas, one per replica group, and back out again. */
typedef struct strata__pack {
    int arena_count;
    strata__arena *arenas[2];
    int count;
    strata_variable **variables; /* as given: the optimizer's order */
    int *bucket_of;              /* [count]: bucket of the arena */
    bool *complete;              /* [count]: the gradient of this step is complete */
    int *open;                   /* per arena and bucket: variables whose gradient is not */
    int open_first[2];           /* where an arena's counts begin in `open` */
} strata__pack;

/* variables: trainable, float32, in the optimizer's order; buckets go from the last to the first,
 * since the backward pass finishes the last layer first. A variable can be in one pack at a time.
 * Collective on the mesh. */
strata_status strata__pack_new(strata_context *ctx, int count, strata_variable *const *variables,
                               strata__pack **pack);
void strata__pack_free(strata_context *ctx, strata__pack *pack); /* Values move back. Collective. */

/* Elements that the variable takes of an arena, with those up to where the next one begins. Local.
 */
int64_t strata__pack_room(const strata_variable *variable);

/* Step: begin clears the sinks; complete is the tape's hook (user is the pack); close marks what
 * the pass did not reach (zero gradient). */
void strata__pack_begin(strata__pack *pack);
/* Clears the sinks alone, for a backward pass that is no step: nothing is summed over ranks. Local.
 */
void strata__pack_clear(strata__pack *pack);
void strata__pack_complete(void *pack, strata_variable *variable);
void strata__pack_close(strata__pack *pack);

/*
 * Σ of the regularizer over the whole variable as a float32 scalar tensor, the same on all ranks,
 * differentiable: each replica's gradient is 1/replicas of it, since replicas are summed. NULL
 * without regularizer. Collective on the model grid for shards.
 */
strata_tensor *strata__variable_regularization(strata_variable *variable);

/* Applies the constraint to the value after an update, to all of the variable whatever the
 * placement. Collective on the mesh. */
strata_status strata__variable_constrain(strata_variable *variable);
/* Exchanges what that does, and changes nothing. Collective on the mesh. */
strata_status strata__variable_constrain_rehearse(strata_variable *variable);

#endif
