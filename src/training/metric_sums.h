/* The sums of all metrics of a model within an epoch, as checkpoints hold them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_METRIC_SUMS_H
#define STRATA_TRAINING_METRIC_SUMS_H

#include "training/trainer.h"

/*
 * Keeps this rank's sums while validation uses the metrics for its own: what a checkpoint holds
 * until strata__metric_sums_drop(). Local.
 */
strata_status strata__metric_sums_set_aside(strata__trainer *trainer);
void strata__metric_sums_drop(strata__trainer *trainer);

/* [of each rank [total, count, …] of every metric so far in the epoch]; NULL after an error. New
 * reference. Collective on the mesh. */
json_t *strata__metric_sums_json(strata__trainer *trainer);

/*
 * Goes on with such sums. On the mesh that they were saved on each rank takes up its own; on
 * another one, where that had `cols` columns, the first rank of each column takes up the sums of
 * all. STRATA_INVALID for sums of other metrics. Local.
 */
strata_status strata__metric_sums_take(strata__trainer *trainer, const json_t *sums, bool same_mesh,
                                       int64_t cols);

#endif
