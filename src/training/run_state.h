/* The state of a run beside its arrays, as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_RUN_STATE_H
#define STRATA_TRAINING_RUN_STATE_H

#include "training/checkpoint.h"

/*
 * {"model", "mesh": [data, rows, cols], "seed", "global_step",
 *  "draws": {path of a layer: how often it has drawn since the last step},
 *  "optimizer": name of its class, "iteration", "learning_rate", "epoch", "step",
 *  "samples", "batch_size", "steps_per_epoch", "shuffle", "stopped",
 *  "sums": training/metric_sums.h, or null between epochs,
 *  "history": {"names", "values": [a list an epoch by name]},
 *  "callbacks": training/callback_states.h}
 * New reference. Collective on the mesh.
 */
json_t *strata__run_state(strata__trainer *trainer, const strata__callback_bytes *bytes);

/* STRATA_BAD_DATA for numbers that are missing or impossible. Local. */
strata_status strata__run_state_check(strata_context *ctx, const json_t *state, const char *path);

/* STRATA_BAD_DATA when another class of optimizers was at work. Local. */
strata_status strata__run_state_check_optimizer(const strata__trainer *trainer, const json_t *state,
                                                const char *path);

bool strata__run_state_same_mesh(const strata_context *ctx, const json_t *state);

/* Counters, seed, draws and learning rate, which need no fit. Local. */
void strata__run_state_apply(strata__trainer *trainer, const json_t *state);

#endif
