/* EarlyStopping: ends training when a number has stopped to improve. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "mesh/mesh.h"
#include "training/kept_weights.h"
#include "training/monitor.h"

typedef struct config {
    const char *monitor;
    double min_delta;
    int64_t patience;
    int64_t verbose;
    const char *mode;
    double baseline;
    bool restore_best_weights;
    int64_t start_from_epoch;
} config;

static const config defaults = {.monitor = "val_loss", .mode = "auto", .baseline = NAN};

static const strata_field fields[] = {
    STRATA_FIELD(config, monitor, .help = "number to watch"),
    STRATA_FIELD(config, min_delta, .help = "a smaller improvement is none"),
    STRATA_FIELD(config, patience, .min = 0, .max = INFINITY,
                 .help = "epochs without improvement that are borne"),
    STRATA_FIELD(config, verbose, .min = 0, .max = 1, .help = "1: says what it does"),
    STRATA_FIELD(config, mode, .choices = "auto|min|max", .help = "which way is better"),
    STRATA_FIELD(config, baseline, .help = "only what is better than this resets the patience"),
    STRATA_FIELD(config, restore_best_weights, .help = "end with the weights of the best epoch"),
    STRATA_FIELD(config, start_from_epoch, .min = 0, .max = INFINITY,
                 .help = "epochs before it are not looked at"),
};

typedef struct stopping {
    strata__builtin builtin;
    strata__monitor monitor;
    int64_t wait; /* epochs since the best one */
    int stopped_epoch, best_epoch;
    bool resumed; /* the run goes on: what stands above holds */
    strata__kept_weights best_weights;
} stopping;

static strata_status make(strata_callback *callback)
{
    const config *c = strata__callback_config(callback);
    stopping *state = callback->state;
    if (!c->monitor)
        return strata__fail(callback->ctx, STRATA_INVALID, "EarlyStopping: monitor is missing");
    state->monitor = (strata__monitor){.owner = callback->name,
                                       .name = c->monitor,
                                       .mode = c->mode,
                                       .min_delta = fabs(c->min_delta),
                                       .best = NAN};
    return STRATA_OK;
}

static void train_begin(strata_callback *self, strata_model *model)
{
    stopping *state = self->state;
    (void)model;
    if (!state->resumed) {
        state->wait = state->stopped_epoch = state->best_epoch = 0;
        state->monitor.best = NAN;
        strata__kept_weights_free(self->ctx, &state->best_weights);
    }
    state->resumed = false;
}

static void keep(stopping *state, const config *c, const strata_model *model, int epoch)
{
    state->best_epoch = epoch;
    if (c->restore_best_weights)
        strata__kept_weights_take(&state->best_weights, model);
}

static void look_at(stopping *state, const config *c, strata_model *model, int epoch, double value)
{
    if (c->restore_best_weights && state->best_weights.count == 0)
        keep(state, c, model, epoch);
    state->wait++;
    if (strata__monitor_improves(&state->monitor, value, state->monitor.best)) {
        state->monitor.best = value;
        keep(state, c, model, epoch);
        if (strata__monitor_improves(&state->monitor, value, c->baseline))
            state->wait = 0;
    } else if (state->wait >= c->patience) {
        state->stopped_epoch = epoch;
        strata_model_stop_training(model);
    }
}

static void epoch_end(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs)
{
    stopping *state = self->state;
    const config *c = strata__callback_config(self);
    double value;
    if (strata__monitor_ready(model, &state->monitor) == STRATA_OK &&
        strata__monitor_value(model, &state->monitor, logs, &value) && epoch >= c->start_from_epoch)
        look_at(state, c, model, epoch, value);
}

static void train_end(strata_callback *self, strata_model *model, const strata_logs *logs)
{
    const stopping *state = self->state;
    const config *c = strata__callback_config(self);
    (void)model;
    (void)logs;
    if (state->stopped_epoch > 0 && c->verbose > 0)
        strata__callback_say(self->ctx, "Epoch %d: early stopping", state->stopped_epoch + 1);
    if (state->best_weights.count == 0)
        return;
    if (c->verbose > 0)
        strata__callback_say(self->ctx,
                             "Restoring model weights from the end of the best epoch: %d.",
                             state->best_epoch + 1);
    strata__kept_weights_put_back(&state->best_weights);
}

static void free_state(strata_callback *callback)
{
    stopping *state = callback->state;
    strata__kept_weights_free(callback->ctx, &state->best_weights);
}

static json_t *save(strata_callback *callback)
{
    const stopping *state = callback->state;
    return json_pack("{s:I, s:i, s:i, s:o}", "wait", (json_int_t)state->wait, "stopped_epoch",
                     state->stopped_epoch, "best_epoch", state->best_epoch, "best",
                     strata__json_real(state->monitor.best));
}

static strata_status restore(strata_callback *callback, strata_model *model, const json_t *saved)
{
    stopping *state = callback->state;
    (void)model;
    state->wait = json_integer_value(json_object_get(saved, "wait"));
    state->stopped_epoch = (int)json_integer_value(json_object_get(saved, "stopped_epoch"));
    state->best_epoch = (int)json_integer_value(json_object_get(saved, "best_epoch"));
    state->resumed = true;
    if (strata__json_number(json_object_get(saved, "best"), &state->monitor.best))
        return STRATA_OK;
    return strata__fail(callback->ctx, STRATA_BAD_DATA,
                        "checkpoint: the state of EarlyStopping lacks its best value");
}

static strata__kept_weights *kept(strata_callback *callback)
{
    stopping *state = callback->state;
    return &state->best_weights;
}

const strata__class strata__early_stopping = {
    .name = "EarlyStopping",
    .module = "keras.callbacks",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .methods = &(const strata__callback_methods){
        .state_size = sizeof(stopping),
        .hooks = {.train_begin = train_begin, .epoch_end = epoch_end, .train_end = train_end},
        .make = make,
        .free = free_state,
        .save = save,
        .restore = restore,
        .kept = kept}};
