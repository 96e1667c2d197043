/* ModelCheckpoint: saves the model, or its weights, as training goes on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "training/monitor.h"
#include "training/path_template.h"

typedef struct config {
    const char *filepath;
    const char *monitor;
    int64_t verbose;
    bool save_best_only;
    bool save_weights_only;
    const char *mode;
    const char *save_freq;
    double initial_value_threshold;
} config;

static const config defaults = {.monitor = "val_loss",
                                .mode = "auto",
                                .save_freq = "\"epoch\"",
                                .initial_value_threshold = NAN};

static const strata_field fields[] = {
    STRATA_FIELD(config, filepath, .required = true,
                 .help = "file to write; {epoch:02d}, {batch} and {val_loss:.4f} are filled in"),
    STRATA_FIELD(config, monitor, .help = "number that says which is best"),
    STRATA_FIELD(config, verbose, .min = 0, .max = 1, .help = "1: says what it does"),
    STRATA_FIELD(config, save_best_only, .help = "save only what is better than all before"),
    STRATA_FIELD(config, save_weights_only, .help = "write a .weights.h5 file"),
    STRATA_FIELD(config, mode, .choices = "auto|min|max", .help = "which way is better"),
    STRATA_FIELD(config, save_freq, .json = true, .help = "'epoch', or a number of batches"),
    STRATA_FIELD(config, initial_value_threshold, .help = "the best before the first"),
};

typedef struct checkpoint {
    strata__builtin builtin;
    strata__monitor monitor;
    int64_t batches; /* between two files; 0: each epoch */
    strata__batch_counter counter;
    int epoch; /* under way */
} checkpoint;

/* --- making --- */

static bool ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), size = strlen(ending);
    return length >= size && strcmp(path + length - size, ending) == 0;
}

static strata_status check_ending(strata_context *ctx, const config *c)
{
    if (c->save_weights_only && !ends_with(c->filepath, ".weights.h5"))
        return strata__fail(ctx, STRATA_INVALID,
                            "When using `save_weights_only=True` in `ModelCheckpoint`, the "
                            "filepath provided must end in `.weights.h5` (Keras weights format). "
                            "Received: filepath=%s",
                            c->filepath);
    if (!c->save_weights_only && !ends_with(c->filepath, ".keras"))
        return strata__fail(ctx, STRATA_INVALID,
                            "The filepath provided must end in `.keras` (Keras model format). "
                            "Received: filepath=%s",
                            c->filepath);
    return STRATA_OK;
}

static strata_status make(strata_callback *callback)
{
    strata_context *ctx = callback->ctx;
    const config *c = strata__callback_config(callback);
    checkpoint *state = callback->state;
    bool uses_logs;
    if (!c->monitor)
        return strata__fail(ctx, STRATA_INVALID, "ModelCheckpoint: monitor is missing");
    STRATA_TRY(check_ending(ctx, c));
    STRATA_TRY(strata__path_check(ctx, callback->name, c->filepath, &uses_logs));
    STRATA_TRY(strata__save_freq_read(ctx, callback->name, c->save_freq, &state->batches, NULL));
    callback->batch_logs = state->batches > 0 && (uses_logs || c->save_best_only);
    state->monitor = (strata__monitor){.owner = callback->name,
                                       .name = c->monitor,
                                       .mode = c->mode,
                                       .best = c->initial_value_threshold};
    return STRATA_OK;
}

/* --- saving --- */

static void say_improved(const strata_callback *self, double value, const char *path)
{
    const checkpoint *state = self->state;
    const strata__monitor *monitor = &state->monitor;
    if (isnan(monitor->best))
        strata__callback_say(self->ctx, "\nEpoch %d: %s is %.5f, saving model to %s",
                             state->epoch + 1, monitor->name, value, path);
    else
        strata__callback_say(self->ctx,
                             "\nEpoch %d: %s improved from %.5f to %.5f, saving model to %s",
                             state->epoch + 1, monitor->name, monitor->best, value, path);
}

/* Without the monitored number everything counts as best, as in Keras. */
static bool is_best(strata_callback *self, strata_model *model, const strata_logs *logs,
                    const char *path)
{
    const config *c = strata__callback_config(self);
    checkpoint *state = self->state;
    double value;
    if (strata__monitor_ready(model, &state->monitor) != STRATA_OK)
        return false;
    if (!strata__monitor_value(model, &state->monitor, logs, &value))
        return true;
    if (!strata__monitor_improves(&state->monitor, value, state->monitor.best)) {
        if (c->verbose > 0)
            strata__callback_say(self->ctx, "\nEpoch %d: %s did not improve from %.5f",
                                 state->epoch + 1, state->monitor.name, state->monitor.best);
        return false;
    }
    if (c->verbose > 0)
        say_improved(self, value, path);
    state->monitor.best = value;
    return true;
}

/* batch: counted from 1; 0: at the end of the epoch. */
static void save_model(strata_callback *self, strata_model *model, int64_t batch,
                       const strata_logs *logs)
{
    const config *c = strata__callback_config(self);
    const checkpoint *state = self->state;
    const strata__path_numbers numbers = {state->epoch + 1, batch, logs};
    char *path = strata__path_format(self->ctx, self->name, c->filepath, &numbers);
    bool saves = path && (!c->save_best_only || is_best(self, model, logs, path));
    if (saves && !c->save_best_only && c->verbose > 0)
        strata__callback_say(self->ctx, "\nEpoch %d: saving model to %s", state->epoch + 1, path);
    if (saves)
        strata_save(model, path);
    strata__free(self->ctx, path);
}

/* --- hooks --- */

static void epoch_begin(strata_callback *self, strata_model *model, int epoch)
{
    checkpoint *state = self->state;
    (void)model;
    state->epoch = epoch;
}

static void epoch_end(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs)
{
    const checkpoint *state = self->state;
    (void)epoch;
    if (state->batches == 0)
        save_model(self, model, 0, logs);
}

static void train_batch_end(strata_callback *self, strata_model *model, int64_t batch,
                            const strata_logs *logs)
{
    checkpoint *state = self->state;
    if (strata__batch_counter_due(&state->counter, state->batches))
        save_model(self, model, batch + 1, logs);
}

/* --- class --- */

static json_t *save(strata_callback *callback)
{
    const checkpoint *state = callback->state;
    return json_pack("{s:I, s:o}", "batches", (json_int_t)state->counter.since, "best",
                     strata__json_real(state->monitor.best));
}

static strata_status restore(strata_callback *callback, strata_model *model, const json_t *saved)
{
    checkpoint *state = callback->state;
    (void)model;
    state->counter.since = json_integer_value(json_object_get(saved, "batches"));
    if (strata__json_number(json_object_get(saved, "best"), &state->monitor.best))
        return STRATA_OK;
    return strata__fail(callback->ctx, STRATA_BAD_DATA,
                        "checkpoint: the state of ModelCheckpoint lacks its best value");
}

const strata__class strata__model_checkpoint = {
    .name = "ModelCheckpoint",
    .module = "keras.callbacks",
    STRATA_CLASS_CONFIG(config, defaults, fields),
    .methods = &(const strata__callback_methods){.state_size = sizeof(checkpoint),
                                                 .hooks = {.epoch_begin = epoch_begin,
                                                           .epoch_end = epoch_end,
                                                           .train_batch_end = train_batch_end},
                                                 .make = make,
                                                 .save = save,
                                                 .restore = restore}};
