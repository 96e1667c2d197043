/* The plan: what a training step exchanges and holds, layer by layer, found before it is made. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PLAN_H
#define STRATA_TRAINING_PLAN_H

#include <strata/plan.h>

#include "mesh/traffic.h"
#include "training/owners.h"
#include "training/trainer.h"

/*
 * A layer tells nothing about itself: one step is rehearsed on a batch of the data, without sums of
 * gradients and without an update, and what is counted while a layer works, forward and backward,
 * is its own. What arenas exchange for its variables follows from where they lie.
 */
typedef struct strata__plan_row {
    strata_layer
        *layer; /* of the model; NULL in the last row: losses and what else is no layer's */
    strata__traffic traffic[STRATA__AXES];          /* of this rank in a step, by plain axis */
    int64_t weights, gradients, slots, activations; /* bytes of this rank */
    int64_t products[STRATA__MATMUL_ENGINES];
    int64_t attentions[STRATA__ATTENTION_GATHERS];
    bool recorded; /* where it is known how the output lies */
    strata_shape output;
    strata__layout layout;
} strata__plan_row;

typedef struct strata__plan {
    strata_context *ctx;
    const char *model;
    int64_t batch;
    strata__owners owners;
    int row_count; /* one for each of the owners' layers, then losses and what else is no layer's */
    strata__plan_row *rows;
    int64_t peak; /* most bytes of activations, their gradients and scratch at the same time */
} strata__plan;

/*
 * Rehearses a step on the first batch. Weights, moving statistics, random draws and counters are
 * what they were, metrics are reset. strata__plan_free() also after an error. Collective on the
 * mesh.
 */
strata_status strata__plan_make(strata__trainer *trainer, strata_dataset *data, int64_t batch_size,
                                strata__plan *plan);
void strata__plan_free(strata__plan *plan);

/* All rows together on one axis. Local. */
strata__traffic strata__plan_total(const strata__plan *plan, strata__axis axis);

/* Numbers of the rank that has most, on rank 0. Collective on the mesh. */
void strata__plan_show(const strata__plan *plan, FILE *stream);

#endif
