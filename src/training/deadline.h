/* The deadline of a run: when it must stop so that saving it still fits. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_DEADLINE_H
#define STRATA_TRAINING_DEADLINE_H

#include "base/context.h"

/*
 * The earlier of two: `max_time` from now on (base/clock.h; NULL: no such limit), and the end of
 * the Slurm job (SLURM_JOB_END_TIME). "none": neither. Rank 0's clock counts: other ranks call this
 * too, for the same errors, and the rest does nothing there. Before there is a mesh. Local.
 */
strata_status strata__deadline_start(strata_context *ctx, const char *max_time);
void strata__deadline_free(strata_context *ctx);

/* A run begins: time between two runs is no step's. Local. */
void strata__deadline_begin_run(strata_context *ctx);

/*
 * To be asked once after each step. DUE: what is left is 1.5 times the cost of a save and a step,
 * and some seconds to end the job. MEASURE: a quarter of the time is gone, and what a save costs is
 * not known yet. Local.
 */
typedef enum strata__time_left { STRATA__ENOUGH, STRATA__MEASURE, STRATA__DUE } strata__time_left;
strata__time_left strata__deadline_step(strata_context *ctx);

/* A save took so long. Local. */
void strata__deadline_saved(strata_context *ctx, double seconds);

#endif
