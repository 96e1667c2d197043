/* Checkpoint: writes the whole state of the run, to go on from. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/callback.h"

typedef struct config {
    const char *filepath;
    const char *save_freq;
} config;

static const config defaults = {.save_freq = "\"epoch\""};

static const strata_field fields[] = {
    STRATA_FIELD(config, filepath, .required = true, .help = "file that is replaced each time"),
    STRATA_FIELD(config, save_freq, .json = true, .help = "'epoch', or a number of batches"),
};

typedef struct checkpoint {
    strata__builtin builtin;
    int64_t batches; /* between two files; 0: each epoch */
    strata__batch_counter counter;
} checkpoint;

static strata_status make(strata_callback *callback)
{
    checkpoint *state = callback->state;
    const config *c = strata__callback_config(callback);
    return strata__save_freq_read(callback->ctx, callback->name, c->save_freq, &state->batches);
}

static void save(strata_callback *self, strata_model *model)
{
    const config *c = strata__callback_config(self);
    strata_checkpoint_save(model, c->filepath);
}

static void epoch_end(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs)
{
    const checkpoint *state = self->state;
    (void)epoch;
    (void)logs;
    if (state->batches == 0)
        save(self, model);
}

static void train_batch_end(strata_callback *self, strata_model *model, int64_t batch,
                            const strata_logs *logs)
{
    checkpoint *state = self->state;
    (void)batch;
    (void)logs;
    if (strata__batch_counter_due(&state->counter, state->batches))
        save(self, model);
}

/* Last, so that it finds what the other callbacks have made of the epoch or batch. */
const strata__class strata__checkpoint_callback = {
    .name = "Checkpoint",
    .module = "strata.callbacks",
    .config_size = sizeof(config),
    .defaults = &defaults,
    .fields = fields,
    .field_count = sizeof fields / sizeof *fields,
    .methods = &(const strata__callback_methods){
        .state_size = sizeof(checkpoint),
        .comes_last = true,
        .hooks = {.epoch_end = epoch_end, .train_batch_end = train_batch_end},
        .make = make}};
