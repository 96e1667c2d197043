/* fit: epochs of steps, validation, callbacks, history. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include <strata/plan.h>

#include "base/memory.h"
#include "training/callback.h"
#include "training/checkpoint.h"
#include "training/deadline.h"
#include "training/drift.h"
#include "training/history.h"
#include "training/hooks.h"
#include "training/loop.h"
#include "training/metric_sums.h"
#include "training/profile.h"
#include "training/progress.h"
#include "training/signals.h"

/* What one call of fit needs. */
typedef struct fitting {
    strata__trainer *trainer;
    const strata_fit_options *options;
    int epochs;
    strata_dataset *data, *validation;
    strata__feed *feed, *validation_feed;
    strata__binding binding, validation_binding;
    strata__hooks hooks;
    strata__progress progress;
    strata__class_weight class_weights[64];
    bool nan_reported, stop_reported;
} fitting;

/* --- options --- */

static strata_status check_options(strata_context *ctx, const strata_fit_options *o)
{
    if (o->batch_size < 0 || o->epochs < 0 || o->initial_epoch < 0 || o->validation_freq < 0 ||
        o->steps_per_epoch < 0 || o->validation_steps < 0 || o->validation_batch_size < 0)
        return strata__fail(ctx, STRATA_INVALID,
                            "fit: batch_size, epochs, initial_epoch, validation_freq and steps "
                            "must not be negative");
    if (!(o->validation_split >= 0 && o->validation_split < 1))
        return strata__fail(ctx, STRATA_INVALID, "fit: validation_split=%g is not in [0, 1)",
                            o->validation_split);
    if (o->class_weight_count < 0 || o->class_weight_count > 64)
        return strata__fail(ctx, STRATA_INVALID, "fit: class_weight_count=%d is not in 0 … 64",
                            o->class_weight_count);
    return STRATA_OK;
}

static strata_status read_shuffle(strata_context *ctx, const char *text, strata__shuffle *shuffle)
{
    static const strata__shuffle ways[] = {STRATA__IN_ORDER, STRATA__SHUFFLE_SAMPLES,
                                           STRATA__SHUFFLE_BATCHES};
    *shuffle = STRATA__SHUFFLE_SAMPLES;
    for (size_t i = 0; text && i < sizeof ways / sizeof *ways; i++) {
        *shuffle = ways[i];
        if (strcmp(text, strata__shuffle_name(ways[i])) == 0)
            return STRATA_OK;
    }
    return !text ? STRATA_OK
                 : strata__fail(ctx, STRATA_INVALID,
                                "fit: shuffle='%s' is none of True, False, batch", text);
}

/* validation_split cuts the last part off: training keeps the first floor(n·(1 − split)) samples.
 */
static strata_status split_data(fitting *f, strata_dataset *data)
{
    double split = f->options->validation_split;
    f->data = data;
    f->validation = f->options->validation_data;
    if (split == 0 || f->validation)
        return STRATA_OK;
    int64_t kept = (int64_t)floor((double)data->size * (1 - split));
    if (kept == 0 || kept == data->size)
        return strata__fail(
            data->ctx, STRATA_INVALID,
            "fit: validation_split=%g of %lld samples leaves nothing to train on or to validate",
            split, (long long)data->size);
    f->data = strata_dataset_slice(data, 0, kept);
    f->validation = strata_dataset_slice(data, kept, data->size - kept);
    return data->ctx->status;
}

static strata_status make_feeds(fitting *f)
{
    const strata_fit_options *o = f->options;
    strata_context *ctx = f->trainer->model->ctx;
    strata__feed_options feed = {.batch_size = o->batch_size ? o->batch_size : 32,
                                 .seed = ctx->settings.seed,
                                 .steps = o->steps_per_epoch,
                                 .prefetch = true};
    STRATA_TRY(read_shuffle(ctx, o->shuffle, &feed.shuffle));
    STRATA_TRY(strata__bind(f->trainer->model, f->data, true, &f->binding));
    STRATA_TRY(strata__feed_new(f->data, &feed, &f->feed));
    f->trainer->order = (strata__order){.samples = f->data->size,
                                        .batch_size = feed.batch_size,
                                        .steps = strata__feed_steps(f->feed),
                                        .shuffle = feed.shuffle};
    if (!f->validation)
        return STRATA_OK;
    STRATA_TRY(strata__bind(f->trainer->model, f->validation, true, &f->validation_binding));
    strata__feed_options validation = {
        .batch_size = o->validation_batch_size ? o->validation_batch_size : feed.batch_size,
        .steps = o->validation_steps,
        .prefetch = true};
    return strata__feed_new(f->validation, &validation, &f->validation_feed);
}

static strata_status take_class_weights(fitting *f)
{
    const strata_fit_options *o = f->options;
    if (o->class_weight_count > 0 && f->trainer->target_count > 1)
        return strata__fail(f->trainer->model->ctx, STRATA_INVALID,
                            "`class_weight` is only supported for Models with a single output.");
    if (o->class_weight_count > 0 && f->data->weight_count > 0)
        return strata__fail(f->trainer->model->ctx, STRATA_INVALID,
                            "You cannot `class_weight` and `sample_weight` at the same time.");
    for (int i = 0; i < o->class_weight_count; i++)
        f->class_weights[i] =
            (strata__class_weight){o->class_weight[i].class_id, o->class_weight[i].weight};
    f->trainer->class_weights = f->class_weights;
    f->trainer->class_weight_count = o->class_weight_count;
    return STRATA_OK;
}

/* "auto" is the place of the first Checkpoint callback, where there may be nothing yet. */
static strata_status load_run(fitting *f)
{
    strata_model *model = f->trainer->model;
    const char *from = f->options->resume;
    bool automatic = from && strcmp(from, "auto") == 0, any = true;
    if (automatic && f->hooks.saver < 0)
        return strata__fail(model->ctx, STRATA_INVALID,
                            "fit: resume='auto' needs a Checkpoint callback, which says where");
    if (automatic) {
        from = strata__hooks_place(&f->hooks);
        STRATA_TRY(strata__rotation_any(model->ctx, from, &any));
    }
    return from && any ? strata_checkpoint_load(model, from) : STRATA_OK;
}

static strata_status prepare(fitting *f, strata_dataset *data)
{
    strata_context *ctx = f->trainer->model->ctx;
    STRATA_TRY(check_options(ctx, f->options));
    STRATA_TRY(split_data(f, data));
    STRATA_TRY(strata__trainer_ready(f->trainer));
    strata__hooks_take(&f->hooks, f->trainer->model, f->options->callbacks);
    STRATA_TRY(load_run(f));
    STRATA_TRY(make_feeds(f));
    STRATA_TRY(take_class_weights(f));
    if (ctx->settings.plans)
        STRATA_TRY(strata_plan_print(f->trainer->model, f->data, f->options->batch_size, stdout));
    STRATA_TRY(strata__progress_start(&f->progress, ctx, f->options->verbose));
    strata__history_free(ctx, f->trainer->history);
    f->trainer->history =
        strata__history_new(ctx, f->options->epochs < 4096 ? f->options->epochs : 4096);
    return ctx->status;
}

/* --- an epoch --- */

static void report_nan(fitting *f, int epoch, int64_t batch)
{
    strata_context *ctx = f->trainer->model->ctx;
    if (f->nan_reported || ctx->mesh->rank != 0)
        return;
    f->nan_reported = true;
    strata__warn(ctx,
                 "the loss is not a number at step %lld of epoch %d; a lower learning_rate or "
                 "clipnorm may help",
                 (long long)batch + 1, epoch + 1);
}

/* Whether the run ends here: there must be somebody to save it. Validation, which begins anew, can
 * end it only after a step, or runs that have little time would never get on. */
static void take_request(fitting *f, strata__request request)
{
    strata__trainer *trainer = f->trainer;
    trainer->can_stop = f->hooks.saver >= 0;
    if (request < STRATA__STOP_IN_TIME)
        return;
    if (trainer->can_stop)
        trainer->stopping = request;
    else if (!f->stop_reported)
        strata__warn(trainer->model->ctx,
                     "%s, but fit has no Checkpoint callback that could save the run: it goes on",
                     strata__request_text(request));
    f->stop_reported = true;
}

/* Saves the run after a step, when it is time for it. */
static strata_status save_run(fitting *f, const strata__step_flags *flags)
{
    bool wanted = flags->request == STRATA__SAVE || f->trainer->stopping;
    int32_t saver = wanted && f->trainer->can_stop ? (int32_t)1 << f->hooks.saver : 0;
    return strata__hooks_save(&f->hooks, flags->saves | saver);
}

static strata_status train_batch(fitting *f, int epoch, const strata__batch *batch)
{
    strata__trainer *trainer = f->trainer;
    double part;
    strata__hooks_batch_begin(&f->hooks, STRATA__TRAIN, batch->step);
    STRATA_TRY(strata__step_run(trainer, &f->binding, batch, true, &part));
    strata__step_flags flags = {.nan = !isfinite(part),
                                .show = strata__progress_due(&f->progress, batch->step),
                                .request = strata__request_now(trainer->model->ctx),
                                .saves = strata__hooks_due(&f->hooks)};
    STRATA_TRY(strata__train_agree(trainer, &flags));
    trainer->step = batch->step + 1;
    trainer->loss_is_nan = flags.nan;
    if (flags.nan)
        report_nan(f, epoch, batch->step);
    if (f->hooks.batch_logs || flags.show) {
        strata_logs logs = strata__trainer_logs(trainer, false);
        strata__progress_show(&f->progress, batch->step + 1, &logs);
        strata__hooks_batch_end(&f->hooks, STRATA__TRAIN, batch->step, &logs);
    } else {
        strata__hooks_batch_end(&f->hooks, STRATA__TRAIN, batch->step, NULL);
    }
    STRATA_TRY(trainer->model->ctx->status);
    take_request(f, flags.request);
    return save_run(f, &flags);
}

static strata_status train_epoch(fitting *f, int epoch)
{
    strata__trainer *trainer = f->trainer;
    strata_context *ctx = trainer->model->ctx;
    strata__batch batch;
    strata_status status = STRATA_OK;
    bool more = true;
    strata__feed_start(f->feed, epoch, trainer->step);
    while (more && status == STRATA_OK && !trainer->stop && !trainer->stopping) {
        strata_scope_begin(ctx);
        const char *outer = strata__begin(&ctx->activity, STRATA__PHASE, "data");
        more = strata__feed_next(f->feed, &batch);
        strata__end(&ctx->activity, STRATA__PHASE, outer);
        if (more)
            status = train_batch(f, epoch, &batch);
        strata_scope_end(ctx);
    }
    return status == STRATA_OK ? ctx->status : status;
}

static bool validates(const fitting *f, int epoch)
{
    int frequency = f->options->validation_freq ? f->options->validation_freq : 1;
    return f->validation_feed && (epoch + 1) % frequency == 0;
}

static strata_status evaluate(fitting *f)
{
    strata__activity *activity = &f->trainer->model->ctx->activity;
    const char *outer = strata__begin(activity, STRATA__PHASE, "validation");
    strata_status status = strata__evaluate_feed(f->trainer, f->validation_feed,
                                                 &f->validation_binding, &f->hooks, NULL);
    strata__end(activity, STRATA__PHASE, outer);
    return status;
}

/* A checkpoint of this time has the sums of the epoch, whose validation begins anew. */
static strata_status validate(fitting *f)
{
    strata__trainer *trainer = f->trainer;
    strata__metric_sums_set_aside(trainer);
    strata_status status = strata__agree(trainer->model->ctx);
    if (status == STRATA_OK)
        status = evaluate(f);
    if (status == STRATA_OK && trainer->stopping)
        status = strata__hooks_save(&f->hooks, (int32_t)1 << f->hooks.saver);
    strata__metric_sums_drop(trainer);
    return status;
}

/* Training's numbers, then validation's. */
static strata_status epoch_line(fitting *f, int epoch)
{
    strata__trainer *trainer = f->trainer;
    strata_logs logs = strata__trainer_logs(trainer, false);
    STRATA_TRY(trainer->model->ctx->status);
    strata__line_begin(trainer, &logs);
    if (!validates(f, epoch))
        return STRATA_OK;
    STRATA_TRY(validate(f));
    if (trainer->stopping)
        return STRATA_OK;
    logs = strata__trainer_logs(trainer, true);
    strata__line_add(trainer, &logs);
    return trainer->model->ctx->status;
}

static strata_status stop_run(fitting *f)
{
    strata__trainer *trainer = f->trainer;
    return strata__fail(trainer->model->ctx, STRATA_RESTART,
                        "%s: training stopped after step %lld of epoch %lld and was saved in '%s'; "
                        "to go on, start again and resume from there",
                        strata__request_text(trainer->stopping), (long long)trainer->step,
                        (long long)trainer->epoch + 1, strata__hooks_place(&f->hooks));
}

static strata_status end_epoch(fitting *f, int epoch)
{
    strata__trainer *trainer = f->trainer;
    trainer->step = 0;
    trainer->epoch = epoch + 1;
    STRATA_TRY(strata__history_add(trainer->model->ctx, trainer->history, &trainer->line));
    strata__hooks_epoch_end(&f->hooks, epoch, &trainer->line);
    strata__progress_epoch_end(&f->progress, &trainer->line);
    return strata__agree(trainer->model->ctx);
}

static strata_status run_epoch(fitting *f, int epoch)
{
    strata__trainer *trainer = f->trainer;
    trainer->epoch = epoch;
    if (trainer->step == 0)
        strata__trainer_reset(trainer);
    strata__hooks_epoch_begin(&f->hooks, epoch);
    strata__progress_epoch(&f->progress, epoch, f->epochs, strata__feed_steps(f->feed));
    strata__progress_skip(&f->progress, trainer->step);
    STRATA_TRY(strata__agree(trainer->model->ctx));
    STRATA_TRY(train_epoch(f, epoch));
    if (!trainer->stopping)
        STRATA_TRY(epoch_line(f, epoch));
    return trainer->stopping ? stop_run(f) : end_epoch(f, epoch);
}

static strata_status run(fitting *f)
{
    strata__trainer *trainer = f->trainer;
    f->epochs = f->options->epochs ? f->options->epochs : 1;
    int first = f->options->initial_epoch;
    trainer->stop = false;
    trainer->step = 0;
    trainer->hooks = &f->hooks;
    trainer->can_stop = false;
    trainer->stopping = STRATA__GO_ON;
    if (f->hooks.saver >= 0)
        strata__signals_begin_run(trainer->model->ctx);
    strata__deadline_begin_run(trainer->model->ctx);
    STRATA_TRY(strata__resume_take(trainer, &f->hooks, &first));
    strata__hooks_train_begin(&f->hooks);
    for (int epoch = first; epoch < f->epochs && !trainer->stop; epoch++)
        STRATA_TRY(run_epoch(f, epoch));
    STRATA_TRY(strata__optimizer_finalize(trainer->optimizer));
    strata__hooks_train_end(&f->hooks);
    return strata__agree(trainer->model->ctx);
}

static void run_profiled(fitting *f)
{
    strata__profile *profile;
    if (strata__profile_begin(f->trainer->model, &profile) != STRATA_OK)
        return;
    strata_status status = run(f);
    strata__progress_stop(&f->progress);
    strata__profile_end(profile, status != STRATA_OK && status != STRATA_RESTART);
}

const strata_history *strata_fit_from(strata_model *model, strata_dataset *data,
                                      const strata_fit_options *options)
{
    strata__trainer *trainer = strata__trainer_meet(model, "fit");
    if (!trainer || !data)
        return NULL;
    fitting f = {.trainer = trainer, .options = options};
    prepare(&f, data);
    if (strata__agree(model->ctx) == STRATA_OK)
        run_profiled(&f);
    strata_status status = strata__agree(model->ctx);
    strata__progress_stop(&f.progress);
    strata__feed_free(f.feed);
    strata__feed_free(f.validation_feed);
    strata__signals_end_run(model->ctx);
    trainer->hooks = NULL;
    trainer->can_stop = false;
    trainer->class_weights = NULL;
    trainer->class_weight_count = 0;
    return status == STRATA_OK ? &trainer->history->shown : NULL;
}
