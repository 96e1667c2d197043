/* evaluate, predict and the single-batch calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "training/drift.h"
#include "training/loop.h"

/* --- evaluate --- */

static strata_status test_batch(strata__trainer *trainer, const strata__binding *binding,
                                const strata__batch *batch, strata__hooks *hooks,
                                strata__progress *progress)
{
    strata__hooks_batch_begin(hooks, STRATA__TEST, batch->step);
    STRATA_TRY(strata__step_run(trainer, binding, batch, false, NULL));
    strata__step_flags flags = {.show = progress && strata__progress_due(progress, batch->step)};
    if (trainer->can_stop)
        flags.request = strata__request_now(trainer->model->ctx);
    STRATA_TRY(strata__step_agree(trainer->model->ctx, &flags));
    if (flags.request >= STRATA__STOP_IN_TIME)
        trainer->stopping = flags.request;
    if (!hooks->batch_logs && !flags.show) {
        strata__hooks_batch_end(hooks, STRATA__TEST, batch->step, NULL);
        return STRATA_OK;
    }
    strata_logs logs = strata__trainer_logs(trainer, true);
    logs.names = trainer->names;
    if (progress)
        strata__progress_show(progress, batch->step + 1, &logs);
    strata__hooks_batch_end(hooks, STRATA__TEST, batch->step, &logs);
    return trainer->model->ctx->status;
}

strata_status strata__evaluate_feed(strata__trainer *trainer, strata__feed *feed,
                                    const strata__binding *binding, strata__hooks *hooks,
                                    strata__progress *progress)
{
    strata_context *ctx = trainer->model->ctx;
    strata__batch batch;
    strata_status status = STRATA_OK;
    bool more = true;
    strata__trainer_reset(trainer);
    strata__hooks_test_begin(hooks);
    strata__feed_start(feed, 0, 0);
    while (more && status == STRATA_OK && !trainer->stopping) {
        strata_scope_begin(ctx);
        more = strata__feed_next(feed, &batch);
        if (more)
            status = test_batch(trainer, binding, &batch, hooks, progress);
        strata_scope_end(ctx);
    }
    if (status == STRATA_OK && !trainer->stopping) {
        strata_logs logs = strata__trainer_logs(trainer, true);
        logs.names = trainer->names;
        strata__hooks_test_end(hooks, &logs);
    }
    return status == STRATA_OK ? ctx->status : status;
}

static strata_status evaluate(strata__trainer *trainer, strata_dataset *data,
                              const strata_evaluate_options *options, strata__progress *progress)
{
    strata_context *ctx = trainer->model->ctx;
    strata__binding binding;
    strata__hooks hooks;
    strata__feed *feed = NULL;
    strata__feed_options feeding = {.batch_size = options->batch_size ? options->batch_size : 32,
                                    .steps = options->steps,
                                    .prefetch = true};
    strata_status status = strata__progress_start(progress, ctx, options->verbose);
    if (status == STRATA_OK)
        status = strata__bind(trainer->model, data, true, &binding);
    if (status == STRATA_OK)
        status = strata__feed_new(data, &feeding, &feed);
    if (strata__agree(ctx) == STRATA_OK) {
        strata__hooks_take(&hooks, trainer->model, options->callbacks);
        strata__progress_epoch(progress, -1, 0, strata__feed_steps(feed));
        strata__evaluate_feed(trainer, feed, &binding, &hooks, progress);
    }
    strata__feed_free(feed);
    return strata__agree(ctx);
}

/* The numbers stand in the first half of the log room, under their plain names. */
static const strata_logs *shown_logs(strata__trainer *trainer)
{
    trainer->shown = strata__trainer_logs(trainer, false);
    return trainer->model->ctx->status == STRATA_OK ? &trainer->shown : NULL;
}

const strata_logs *strata_evaluate_from(strata_model *model, strata_dataset *data,
                                        const strata_evaluate_options *options)
{
    strata__trainer *trainer = strata__trainer_meet(model, "evaluate");
    if (!trainer || !data)
        return NULL;
    strata__progress progress = {0};
    const strata_logs *logs = NULL;
    if (evaluate(trainer, data, options, &progress) == STRATA_OK)
        logs = shown_logs(trainer);
    if (logs)
        strata__progress_epoch_end(&progress, logs);
    strata__progress_stop(&progress);
    return logs;
}

/* --- predict --- */

typedef struct predicting {
    strata_model *model;
    strata__binding binding;
    float *const *outputs;
    int64_t done;                    /* samples written */
    void *whole[STRATA_MAX_COLUMNS]; /* one gathered batch of each output */
    int64_t room[STRATA_MAX_COLUMNS];
} predicting;

static strata_status store(predicting *p, int output, strata_tensor *y)
{
    strata_context *ctx = p->model->ctx;
    int64_t count = strata__product(&y->shape, 0, y->shape.rank);
    if (y->dtype != STRATA_FLOAT32)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "predict: output %d of model '%s' is %s, not float32", output,
                            p->model->layer->name, strata_dtype_name(y->dtype));
    if (p->room[output] < count) {
        strata__free(ctx, p->whole[output]);
        p->whole[output] = strata__alloc(ctx, (size_t)count * sizeof(float));
        p->room[output] = p->whole[output] ? count : 0;
        if (!p->whole[output])
            return STRATA_NO_MEMORY;
    }
    STRATA_TRY(strata_tensor_gather(y, p->whole[output]));
    int64_t sample = strata__product(&y->shape, 1, y->shape.rank);
    if (ctx->mesh->rank == 0 && p->outputs[output])
        memcpy(p->outputs[output] + p->done * sample, p->whole[output],
               (size_t)count * sizeof(float));
    return STRATA_OK;
}

static strata_status predict_batch(predicting *p, const strata__batch *batch)
{
    strata_tensor *inputs[STRATA_MAX_COLUMNS], *outputs[STRATA_MAX_COLUMNS];
    for (int i = 0; i < p->model->input_count; i++)
        inputs[i] = batch->x[p->binding.x[i]];
    STRATA_TRY(strata_layer_call_many(p->model->layer, p->model->input_count, inputs, 0, outputs));
    STRATA_TRY(strata__step_agree(p->model->ctx, &(strata__step_flags){0}));
    for (int i = 0; i < p->model->output_count; i++)
        STRATA_TRY(store(p, i, strata__whole(outputs[i])));
    p->done += batch->size;
    return STRATA_OK;
}

static strata_status predict_feed(predicting *p, strata__feed *feed, strata__hooks *hooks,
                                  strata__progress *progress)
{
    strata_context *ctx = p->model->ctx;
    strata__batch batch;
    strata_status status = STRATA_OK;
    bool more = true;
    strata__feed_start(feed, 0, 0);
    strata__hooks_predict_begin(hooks);
    while (more && status == STRATA_OK) {
        strata_scope_begin(ctx);
        more = strata__feed_next(feed, &batch);
        if (more) {
            strata__hooks_batch_begin(hooks, STRATA__PREDICT, batch.step);
            status = predict_batch(p, &batch);
            strata__hooks_batch_end(hooks, STRATA__PREDICT, batch.step, NULL);
            if (strata__progress_due(progress, batch.step))
                strata__progress_show(progress, batch.step + 1, &(strata_logs){0});
        }
        strata_scope_end(ctx);
    }
    strata__hooks_predict_end(hooks);
    strata__progress_epoch_end(progress, &(strata_logs){0});
    return status;
}

static strata_status prepare(predicting *p, strata_dataset *data,
                             const strata_predict_options *options, strata__progress *progress,
                             strata__feed **feed)
{
    strata_model *model = p->model;
    strata__feed_options feeding = {.batch_size = options->batch_size ? options->batch_size : 32,
                                    .steps = options->steps,
                                    .prefetch = true};
    STRATA_TRY(strata__model_ready(model));
    if (model->output_count > STRATA_MAX_COLUMNS)
        return strata__fail(model->ctx, STRATA_UNSUPPORTED,
                            "model '%s' has %d outputs; predict() takes at most %d",
                            model->layer->name, model->output_count, STRATA_MAX_COLUMNS);
    STRATA_TRY(strata__progress_start(progress, model->ctx, options->verbose));
    STRATA_TRY(strata__bind(model, data, false, &p->binding));
    return strata__feed_new(data, &feeding, feed);
}

strata_status strata_predict_from(strata_model *model, strata_dataset *data, float *const *outputs,
                                  const strata_predict_options *options)
{
    if (!model)
        return STRATA_INVALID;
    strata_context *ctx = model->ctx;
    predicting p = {.model = model, .outputs = outputs};
    strata__feed *feed = NULL;
    strata__progress progress = {0};
    strata__hooks hooks;
    STRATA_TRY(strata__agree(ctx));
    if (!data)
        return STRATA_INVALID;
    prepare(&p, data, options, &progress, &feed);
    if (strata__agree(ctx) == STRATA_OK) {
        strata__hooks_take(&hooks, model, options->callbacks);
        strata__progress_epoch(&progress, -1, 0, strata__feed_steps(feed));
        predict_feed(&p, feed, &hooks, &progress);
    }
    strata_status status = strata__agree(ctx);
    strata__progress_stop(&progress);
    strata__feed_free(feed);
    for (int i = 0; i < STRATA_MAX_COLUMNS; i++)
        strata__free(ctx, p.whole[i]);
    return status;
}

/* --- one batch --- */

static const strata_logs *on_batch(strata_model *model, strata_dataset *data, bool training)
{
    strata__trainer *trainer =
        strata__trainer_meet(model, training ? "train_on_batch" : "test_on_batch");
    if (!trainer || !data || strata__trainer_ready(trainer) != STRATA_OK)
        return NULL;
    strata_context *ctx = model->ctx;
    strata__binding binding;
    strata__feed *feed = NULL;
    strata__feed_options feeding = {.batch_size = data->size};
    if (strata__bind(model, data, true, &binding) == STRATA_OK)
        strata__feed_new(data, &feeding, &feed);
    if (strata__agree(ctx) != STRATA_OK) {
        strata__feed_free(feed);
        return NULL;
    }
    strata__batch batch;
    strata_scope_begin(ctx);
    strata__feed_start(feed, 0, 0);
    strata_status status = STRATA_OK;
    if (strata__feed_next(feed, &batch))
        status = strata__step_run(trainer, &binding, &batch, training, NULL);
    strata_scope_end(ctx);
    strata__feed_free(feed);
    strata__step_flags flags = {0};
    if (status == STRATA_OK)
        status = training ? strata__train_agree(trainer, &flags) : strata__step_agree(ctx, &flags);
    return status == STRATA_OK ? shown_logs(trainer) : NULL;
}

const strata_logs *strata_train_on_batch(strata_model *model, strata_dataset *data)
{
    return on_batch(model, data, true);
}

const strata_logs *strata_test_on_batch(strata_model *model, strata_dataset *data)
{
    return on_batch(model, data, false);
}
