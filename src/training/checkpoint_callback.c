/* Checkpoint: saves the whole state of the run now and then, to go on from. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>

#include "base/clock.h"
#include "training/callback.h"
#include "training/checkpoint.h"
#include "training/deadline.h"

typedef struct config {
    const char *filepath;
    const char *save_freq;
    int64_t keep;
    const char *on_error;
} config;

static const config defaults = {.save_freq = "\"epoch\"", .keep = 3, .on_error = "stop"};

static const strata_field fields[] = {
    STRATA_FIELD(config, filepath, .required = true,
                 .help = "name of the series of files, or a folder"),
    STRATA_FIELD(config, save_freq, .json = true,
                 .help = "'epoch', a number of batches, or a time: '10m'"),
    STRATA_FIELD(config, keep, .min = 2, .max = INT32_MAX, .help = "files of the run that stay"),
    STRATA_FIELD(config, on_error, .choices = "stop|continue",
                 .help = "what becomes of the run when a file cannot be written"),
};

typedef struct checkpoint {
    strata__builtin builtin;
    int64_t batches; /* between two files, or */
    double seconds;  /* both 0: each epoch */
    strata__batch_counter counter;
    double saved; /* strata__seconds() of the last save, or of the start */
    strata__rotation *rotation;
    bool resumed; /* the run goes on from: */
    strata__origin origin;
} checkpoint;

static strata_status make(strata_callback *callback)
{
    checkpoint *state = callback->state;
    const config *c = strata__callback_config(callback);
    return strata__save_freq_read(callback->ctx, callback->name, c->save_freq, &state->batches,
                                  &state->seconds);
}

/* --- saving --- */

/* A file that cannot be written is no reason to lose what was learnt, if the user says so. */
static strata_status bear_failure(strata_callback *self, const strata_model *model)
{
    strata_context *ctx = self->ctx;
    const config *c = strata__callback_config(self);
    bool bears = strcmp(c->on_error, "continue") == 0 && !model->trainer->stopping;
    if (ctx->status != STRATA_IO || !bears)
        return ctx->status;
    strata__warn(ctx, "%s; training goes on without this checkpoint", ctx->message);
    strata_error_clear(ctx);
    return STRATA_OK;
}

static strata_status save_run(strata_callback *self, strata_model *model)
{
    checkpoint *state = self->state;
    double start = strata__seconds();
    strata_status status = strata__checkpoint_rotate(model->trainer, state->rotation);
    state->saved = strata__seconds();
    strata__deadline_saved(self->ctx, state->saved - start);
    return status == STRATA_OK ? STRATA_OK : bear_failure(self, model);
}

static bool due(strata_callback *self)
{
    checkpoint *state = self->state;
    if (state->seconds > 0)
        return strata__seconds() - state->saved >= state->seconds;
    return strata__batch_counter_due(&state->counter, state->batches);
}

static const char *place(const strata_callback *self)
{
    const config *c = strata__callback_config(self);
    return c->filepath;
}

/* --- hooks --- */

static void train_begin(strata_callback *self, strata_model *model)
{
    checkpoint *state = self->state;
    const config *c = strata__callback_config(self);
    (void)model;
    state->saved = strata__seconds();
    if (self->ctx->status != STRATA_OK || (state->rotation && !state->resumed))
        return;
    strata__rotation_free(self->ctx, state->rotation);
    strata__rotation_new(self->ctx, c->filepath, (int)c->keep, &state->origin, &state->rotation);
    state->resumed = false;
}

static void epoch_end(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs)
{
    const checkpoint *state = self->state;
    (void)epoch;
    (void)logs;
    if (self->ctx->status == STRATA_OK && state->seconds == 0 && state->batches == 0)
        save_run(self, model);
}

/* --- class --- */

static void free_state(strata_callback *callback)
{
    checkpoint *state = callback->state;
    strata__rotation_free(callback->ctx, state->rotation);
}

static json_t *save(strata_callback *callback)
{
    const checkpoint *state = callback->state;
    return json_pack("{s:I}", "batches", (json_int_t)state->counter.since);
}

static strata_status restore(strata_callback *callback, strata_model *model, const json_t *saved)
{
    checkpoint *state = callback->state;
    const config *c = strata__callback_config(callback);
    const strata__resume *resume = model->trainer->resume;
    bool own = strcmp(resume->path, c->filepath) == 0;
    state->counter.since = json_integer_value(json_object_get(saved, "batches"));
    state->origin = own ? resume->origin : (strata__origin){0};
    state->resumed = true;
    return STRATA_OK;
}

/* Last, so that it finds what the other callbacks have made of the epoch. */
const strata__class strata__checkpoint_callback = {
    .name = "Checkpoint",
    .module = "strata.callbacks",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .methods = &(const strata__callback_methods){
        .state_size = sizeof(checkpoint),
        .comes_last = true,
        .hooks = {.train_begin = train_begin, .epoch_end = epoch_end},
        .make = make,
        .free = free_state,
        .due = due,
        .save_run = save_run,
        .place = place,
        .save = save,
        .restore = restore}};
