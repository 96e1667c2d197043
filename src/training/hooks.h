/* Calling the hooks of callbacks, in order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_HOOKS_H
#define STRATA_TRAINING_HOOKS_H

#include <strata/training.h>

typedef enum strata__phase { STRATA__TRAIN, STRATA__TEST, STRATA__PREDICT } strata__phase;

typedef struct strata__hooks {
    strata_model *model;
    int count;
    strata_callback *callbacks[STRATA_MAX_CALLBACKS];
    bool batch_logs; /* one of them wants numbers after each batch */
    int saver;       /* the first that saves whole runs; -1: none does */
} strata__hooks;

/* The callbacks up to the first NULL, in order, but those behind that come last. */
void strata__hooks_take(strata__hooks *hooks, strata_model *model,
                        strata_callback *const *callbacks);

void strata__hooks_train_begin(strata__hooks *hooks);
void strata__hooks_train_end(strata__hooks *hooks);
void strata__hooks_epoch_begin(strata__hooks *hooks, int epoch);
void strata__hooks_epoch_end(strata__hooks *hooks, int epoch, const strata_logs *logs);
void strata__hooks_test_begin(strata__hooks *hooks);
void strata__hooks_test_end(strata__hooks *hooks, const strata_logs *logs);
void strata__hooks_predict_begin(strata__hooks *hooks);
void strata__hooks_predict_end(strata__hooks *hooks);
void strata__hooks_batch_begin(strata__hooks *hooks, strata__phase phase, int64_t batch);
/* logs NULL: for those that do not want numbers */
void strata__hooks_batch_end(strata__hooks *hooks, strata__phase phase, int64_t batch,
                             const strata_logs *logs);

/* Which callbacks save the run after this step, as bits; to be asked once a step. Local. */
int32_t strata__hooks_due(const strata__hooks *hooks);
/* They do. Collective on the mesh. */
strata_status strata__hooks_save(const strata__hooks *hooks, int32_t bits);
/* Where hooks->saver saves. Local. */
const char *strata__hooks_place(const strata__hooks *hooks);

#endif
