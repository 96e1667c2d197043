/* The state of a run beside its arrays, as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_RUN_STATE_H
#define STRATA_TRAINING_RUN_STATE_H

#include "training/checkpoint.h"

/*
 * {"model", "mesh": [data, rows, cols], "seed", "global_step", "iteration", "learning_rate",
 *  "epoch", "step", "samples", "batch_size", "stopped",
 *  "sums": [of each rank [total, count, …] of every metric so far in the epoch] or null,
 *  "history": {"names", "values": [a list an epoch by name]},
 *  "callbacks": [{"name", "state", "kept"}]}
 * New reference. Collective on the mesh.
 */
json_t *strata__run_state(strata__trainer *trainer);

/* STRATA_BAD_DATA for numbers that are missing or impossible. Local. */
strata_status strata__run_state_check(strata_context *ctx, const json_t *state, const char *path);

bool strata__run_state_same_mesh(const strata_context *ctx, const json_t *state);

/* The weights that a callback of the fit under way has set aside; NULL: it has none. */
strata__kept_weights *strata__kept_of(const strata__hooks *hooks, int index);

/* Counters, seed and learning rate, which need no fit. Local. */
void strata__run_state_apply(strata__trainer *trainer, const json_t *state);

#endif
