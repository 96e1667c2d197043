/* Logs of a step and the history of a fit. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_HISTORY_H
#define STRATA_TRAINING_HISTORY_H

#include "training/trainer.h"

/* Index of that name, or -1. */
int strata__logs_find(const strata_logs *logs, const char *name);

/* One value an epoch by name; names appear when an epoch first has them. */
typedef struct strata__history {
    strata_history shown; /* what the caller sees; its arrays are those below */
    int room_names, room_epochs;
    char **names;
    double **values;
} strata__history;

/* With room for so many epochs, so that a step finds the pool as the one before left it; more are
 * possible. */
strata__history *strata__history_new(strata_context *ctx, int epochs);
/* Adds an epoch; names that it lacks get NaN. */
strata_status strata__history_add(strata_context *ctx, strata__history *history,
                                  const strata_logs *logs);
/* The value of the last epoch; a name that is new gets NaN in those before. */
strata_status strata__history_set(strata_context *ctx, strata__history *history, const char *name,
                                  double value);
void strata__history_free(strata_context *ctx, strata__history *history); /* NULL is fine */

/*
 * The line of an epoch, trainer->line: what callbacks, history and progress get. It begins with
 * training's numbers; validation's are added. Local.
 */
void strata__line_begin(strata__trainer *trainer, const strata_logs *logs);
void strata__line_add(strata__trainer *trainer, const strata_logs *logs);
/* A callback's own number at the end of an epoch, for the callbacks after it, history and progress.
 * `name` is a literal. Local. */
strata_status strata__line_note(strata__trainer *trainer, const char *name, double value);

/* Room for log lines of the trainer, with owned names; grows. */
void strata__log_room_free(strata__trainer *trainer);

#endif
