/* The arrays of a run as entries of a checkpoint: weights, optimizer slots, what callbacks keep. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CHECKPOINT_ARRAYS_H
#define STRATA_TRAINING_CHECKPOINT_ARRAYS_H

#include "storage/checkpoint.h"
#include "training/callback_states.h"
#include "training/optimizer.h"

/*
 *   weights/PATH       each variable; of an ON_READ one the aggregate over its replicas
 *   replicas/PATH      (replicas, elements) ON_READ: the copy of each, which only the same mesh
 *                      takes up again
 *   optimizer/NAME     each slot
 *   callbacks/K/PATH   weights that the K-th callback has set aside; of ON_READ ones the aggregate
 *   kept_replicas/K/PATH  (replicas, elements) the copies of those, as in replicas
 *   callbacks/K/state  uint8: what a callback of the caller's remembers
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

/* The aggregate of an ON_READ variable, or of what was set aside of it. */
typedef struct strata__whole_value {
    strata_variable *variable;
    void *piece; /* set aside; NULL: the variable's own value */
    void *data;
} strata__whole_value;

/* What there is, the model first. Errors of one rank are left to the agreement of _seal. Local. */
strata_status strata__checkpoint_arrays_add_model(strata__checkpoint_arrays *arrays,
                                                  const strata_model *model);
strata_status strata__checkpoint_arrays_add_optimizer(strata__checkpoint_arrays *arrays,
                                                      const strata__optimizer *optimizer);
/* Of the callback of that number. */
strata_status strata__checkpoint_arrays_add_kept(strata__checkpoint_arrays *arrays, int number,
                                                 const strata__kept_weights *kept);
strata_status strata__checkpoint_arrays_add_bytes(strata__checkpoint_arrays *arrays, int number,
                                                  const strata__callback_bytes *bytes);

/* Whether a file has so many bytes of the callback: to be asked before there is room for them. */
bool strata__checkpoint_has_bytes(const strata__checkpoint *file, int number, int64_t size);

/* After the last one: entries and count can be handed over. Collective on the mesh. */
strata_status strata__checkpoint_arrays_seal(strata__checkpoint_arrays *arrays);

/* Reads all of them into their places. Collective on the mesh. */
strata_status strata__checkpoint_arrays_read(strata__checkpoint_arrays *arrays,
                                             const strata__checkpoint *file);

void strata__checkpoint_arrays_free(strata__checkpoint_arrays *arrays);

#endif
