/* A small model and its data, for tests of whole runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_TRAINING_RUNS_H
#define STRATA_TESTS_TRAINING_RUNS_H

#include <strata.h>

#include "harness.h"
#include "model/model.h"

/* 7 batches of 8 an epoch, the last one of 2. */
enum { RUN_SAMPLES = 50, RUN_FEATURES = 6, RUN_CLASSES = 3, RUN_BATCH = 8, RUN_STEPS = 7 };

/* Sessions that end when the test says so; blocks that are left fail it. Collective. */
strata_context *run_open(const char *mesh);
strata_context *run_open_with(strata_options options); /* but seed and verbosity */
void run_close(strata_context *ctx);

/* Dense layers, batch normalization and dropout, compiled with this optimizer and accuracy. */
strata_model *run_model(strata_context *ctx, const char *optimizer);

/* Separable blobs; `x` (RUN_SAMPLES, RUN_FEATURES) and `y` (RUN_SAMPLES) are filled and used. */
strata_dataset *run_data(strata_context *ctx, float *x, int32_t *y);

/* All weights one after the other as doubles, in the order of the model: at most `room`; returns
 * how many. Collective. */
int run_weights(strata_model *model, double *values, int room);

/* Weights and slots of the optimizer. */
enum { RUN_MOST = 512 };
typedef struct run_values {
    int weight_count, slot_count;
    double weights[RUN_MOST], slots[2 * RUN_MOST];
} run_values;

/* Collective. */
void run_values_read(strata_model *model, run_values *values);

/* What a fit came to. */
enum { RUN_NAMES = 12, RUN_EPOCHS = 4 };
typedef struct run_outcome {
    strata_status status; /* of the context, which is cleared */
    char message[STRATA__MESSAGE_SIZE];
    int epochs, count; /* 0 after an error */
    double history[RUN_NAMES][RUN_EPOCHS];
    run_values values;
} run_outcome;

/* history: what fit returned. Collective. */
void run_note(strata_model *model, const strata_history *history, run_outcome *outcome);

/* Both without error, and equal to the last bit. Collective. */
void run_assert_same(const run_outcome *a, const run_outcome *b);

/* The file as text, "" if there is none. Valid until the next call. */
const char *run_text(const char *path);

#endif
