/* Progress while training, as Keras shows it: a bar on a terminal, a line an epoch in a file. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PROGRESS_H
#define STRATA_TRAINING_PROGRESS_H

#include <strata/training.h>

/* On ranks other than 0, which have verbose 0, every call does nothing. */
typedef struct strata__progress {
    strata_context *ctx;
    int verbose;   /* 0 nothing, 1 bar, 2 a line an epoch */
    bool terminal; /* the bar is drawn over; else each drawing is a line */
    bool color;
    bool drawn;    /* the cursor stands behind a bar */
    int64_t steps; /* of the epoch */
    int64_t done;
    int64_t warm; /* `done` after the first step of the epoch, which does not count for the pace */
    double started, warmed, shown; /* seconds of a monotonic clock */
} strata__progress;

/*
 * verbose: "0", "1", "2", or NULL or "auto": 1 on a terminal, else 2. STRATA_PROGRESS=1 says that
 * there is a terminal where that cannot be seen. NO_COLOR and TERM=dumb are obeyed. Equal errors on
 * all ranks. Local.
 */
strata_status strata__progress_start(strata__progress *progress, strata_context *ctx,
                                     const char *verbose);

/* Epoch −1: evaluate, predict. */
void strata__progress_epoch(strata__progress *progress, int epoch, int epochs, int64_t steps);

/* A run that goes on has done so many steps of the epoch before. */
void strata__progress_skip(strata__progress *progress, int64_t done);

/*
 * Takes note that a step (counted from 0) is done; says whether the bar is due for a redraw: at
 * most every 0.05 s, and after the last step. Rank 0's clock decides.
 */
bool strata__progress_due(strata__progress *progress, int64_t step);
void strata__progress_show(strata__progress *progress, int64_t done, const strata_logs *logs);
void strata__progress_epoch_end(strata__progress *progress, const strata_logs *logs);

/* Ends the line of a bar that an error or a stop has left. */
void strata__progress_stop(strata__progress *progress);

#endif
