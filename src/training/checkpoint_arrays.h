/* The arrays of a run as entries of a checkpoint: weights, optimizer slots, weights set aside. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CHECKPOINT_ARRAYS_H
#define STRATA_TRAINING_CHECKPOINT_ARRAYS_H

#include "storage/checkpoint.h"
#include "training/kept_weights.h"
#include "training/optimizer.h"

/*
 *   weights/PATH       each variable; of an ON_READ one the aggregate over its replicas
 *   replicas/PATH      (replicas, elements) ON_READ: the copy of each, which only the same mesh
 *                      takes up again
 *   optimizer/NAME     each slot
 *   callbacks/K/PATH   weights that the K-th callback has set aside
 *
 * Start with {.ctx, .loads, .same_mesh}.
 */
typedef struct strata__checkpoint_arrays {
    strata_context *ctx;
    bool loads;     /* the shards are filled, not written */
    bool same_mesh; /* loads: the file comes from a mesh like this one */
    int count, room;
    strata__entry *entries;
    int shard_count, shard_room;
    strata__shard *shards; /* of all entries, in their order */
    strata__list wholes;   /* strata__whole_value */
    int weight_count;
    strata_variable **weights; /* of the model */
} strata__checkpoint_arrays;

/* An ON_READ variable's aggregate. */
typedef struct strata__whole_value {
    strata_variable *variable;
    void *data;
} strata__whole_value;

/* The first to be added. Collective on the mesh. */
strata_status strata__checkpoint_arrays_add_model(strata__checkpoint_arrays *arrays,
                                                  const strata_model *model);
/* Errors of one rank are left to the agreement of _seal. Local. */
strata_status strata__checkpoint_arrays_add_optimizer(strata__checkpoint_arrays *arrays,
                                                      const strata__optimizer *optimizer);
strata_status strata__checkpoint_arrays_add_kept(strata__checkpoint_arrays *arrays, int number,
                                                 const strata__kept_weights *kept);

/* After the last one: entries and count can be handed over. Collective on the mesh. */
strata_status strata__checkpoint_arrays_seal(strata__checkpoint_arrays *arrays);

/* Reads all of them into their places. Collective on the mesh. */
strata_status strata__checkpoint_arrays_read(strata__checkpoint_arrays *arrays,
                                             const strata__checkpoint *file);

void strata__checkpoint_arrays_free(strata__checkpoint_arrays *arrays);

#endif
