/* One step on a batch: forward, losses, metrics, backward, update. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "ops/batch.h"
#include "tensor/numerics.h"
#include "training/step.h"

/* Losses of the step, as targets of the backward pass. */
typedef struct sums {
    strata__trainer *trainer;
    const strata__batch *batch;
    bool training;
    bool rehearses; /* no gradient is summed, no value updated */
    double part;    /* this rank's part of the total loss */
    strata__list targets, upstream;
} sums;

static strata_tensor *scalar(strata_context *ctx, double value)
{
    strata_tensor *tensor =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SCALAR, (strata__layout){0});
    if (tensor)
        *(float *)tensor->data = (float)value;
    return tensor;
}

/* A constant of the target's shape. */
static strata_tensor *filled(strata_tensor *like, double value)
{
    strata_tensor *tensor = strata__tensor_like(like);
    for (int64_t i = 0; tensor && i < strata__local_count(tensor); i++)
        ((float *)tensor->data)[i] = (float)value;
    return tensor;
}

static strata_status add_target(sums *s, strata_tensor *loss, double factor)
{
    strata_context *ctx = s->trainer->model->ctx;
    if (!s->training)
        return STRATA_OK;
    factor *= strata__optimizer_loss_scale(s->trainer->optimizer);
    strata_tensor *upstream = NULL;
    if (factor != 1)
        upstream = loss->shape.rank == 0 ? scalar(ctx, factor) : filled(loss, factor);
    bool added =
        strata__list_add(ctx, &s->targets, loss) && strata__list_add(ctx, &s->upstream, upstream);
    return added ? ctx->status : STRATA_NO_MEMORY;
}

/* --- losses of outputs --- */

static strata_tensor *weight_of(sums *s, const strata__binding *binding, int output,
                                strata_tensor *y_true)
{
    strata__trainer *trainer = s->trainer;
    if (binding->weights[output] >= 0)
        return s->batch->weights[binding->weights[output]];
    if (trainer->class_weight_count > 0 && s->training)
        return strata__class_sample_weight(y_true, trainer->class_weight_count,
                                           trainer->class_weights);
    return NULL;
}

static strata_status add_output(sums *s, const strata__binding *binding, int output,
                                strata_tensor *y_pred)
{
    strata__target *target = &s->trainer->targets[output];
    strata_tensor *y_true = binding->y[output] >= 0 ? s->batch->y[binding->y[output]] : NULL;
    if (!y_true)
        return STRATA_OK;
    strata_context *ctx = s->trainer->model->ctx;
    strata_tensor *weight = weight_of(s, binding, output, y_true);
    STRATA_TRY(ctx->status);
    int64_t samples = y_pred->local.dims[0];
    if (target->loss) {
        double part = 0;
        strata_tensor *loss = strata__loss_call(target->loss, y_true, y_pred, weight, &part);
        if (!loss)
            return ctx->status;
        strata__look(loss, loss->data, &loss->shape, NULL, "loss of output %d", output);
        s->part += target->weight * part;
        if (target->tracker)
            strata__metric_add(target->tracker, part * (double)s->batch->size, (double)samples);
        STRATA_TRY(add_target(s, loss, target->weight));
    }
    for (int i = 0; i < target->metric_count; i++)
        STRATA_TRY(strata__metric_update(target->metrics[i], y_true, y_pred, NULL));
    for (int i = 0; i < target->weighted_count; i++)
        STRATA_TRY(strata__metric_update(target->weighted[i], y_true, y_pred, weight));
    return STRATA_OK;
}

/* --- losses of layers --- */

/*
 * A loss is Σ of its elements. Batches and parts add up over the ranks; what is equal on all ranks
 * is counted once: each rank takes 1/R of it, of its gradient too.
 */
static strata_status add_layer_loss(sums *s, strata_tensor *loss)
{
    if (!loss)
        return s->trainer->model->ctx->status;
    bool adds_up = loss->layout.batch || loss->part;
    double share = adds_up ? 1 : 1.0 / s->trainer->model->ctx->mesh->groups[STRATA__BATCH].size;
    s->part += share * strata__batch_dot_part(loss->data, NULL, strata__local_count(loss));
    return add_target(s, loss, share);
}

/* A regularizer's gradient knows the replicas (state/variable.h), its value is whole. */
static strata_status add_regularization(sums *s, strata_tensor *loss)
{
    if (!loss)
        return s->trainer->model->ctx->status;
    s->part += *(const float *)loss->data /
               (double)s->trainer->model->ctx->mesh->groups[STRATA__BATCH].size;
    return add_target(s, loss, 1);
}

typedef int strata__loss_source(strata_layer *layer, strata_tensor **losses, int size);

static strata_status add_losses_from(sums *s, strata__loss_source *source,
                                     strata_status (*add)(sums *s, strata_tensor *loss))
{
    strata_context *ctx = s->trainer->model->ctx;
    strata_layer *layer = s->trainer->model->layer;
    int count = source(layer, NULL, 0);
    if (count == 0)
        return STRATA_OK;
    strata_tensor **losses = strata__calloc(ctx, (size_t)count, sizeof *losses);
    if (!losses)
        return STRATA_NO_MEMORY;
    source(layer, losses, count);
    strata_status status = ctx->status;
    for (int i = 0; status == STRATA_OK && i < count; i++)
        status = add(s, losses[i]);
    strata__free(ctx, losses);
    return status;
}

/* --- the step --- */

static strata_status compute_losses(sums *s, const strata__binding *binding)
{
    strata_model *model = s->trainer->model;
    strata_tensor *inputs[STRATA_MAX_COLUMNS], *outputs[STRATA_MAX_COLUMNS];
    for (int i = 0; i < model->input_count; i++)
        inputs[i] = s->batch->x[binding->x[i]];
    STRATA_TRY(
        strata_layer_call_many(model->layer, model->input_count, inputs, s->training, outputs));
    for (int i = 0; i < model->output_count; i++)
        STRATA_TRY(add_output(s, binding, i, outputs[i]));
    STRATA_TRY(add_losses_from(s, strata__layer_added_losses, add_layer_loss));
    STRATA_TRY(add_losses_from(s, strata__layer_regularization, add_regularization));
    int64_t samples = inputs[0]->local.dims[0];
    strata__metric_add(s->trainer->tracker, s->part * (double)s->batch->size, (double)samples);
    return model->ctx->status;
}

static strata_status forward(sums *s, const strata__binding *binding)
{
    strata__activity *activity = &s->trainer->model->ctx->activity;
    const char *outer = strata__begin(activity, STRATA__PHASE, "forward");
    strata_status status = compute_losses(s, binding);
    strata__end(activity, STRATA__PHASE, outer);
    return status;
}

static strata_status no_loss(const strata__trainer *trainer)
{
    return strata__fail(
        trainer->model->ctx, STRATA_INVALID,
        "No loss to compute. Provide a `loss` argument in `compile()` (model '%s').",
        trainer->model->layer->name);
}

/* Trainable ones after their update, others after what the forward pass did to them. */
static void look_at_variables(const strata_context *ctx)
{
    for (const strata_variable *v = ctx->variables; ctx->settings.check_numerics && v; v = v->next)
        strata__look(v->value, v->value->data, &v->shape, NULL, "updated '%s'", v->path);
}

static strata_status backward(sums *s)
{
    strata_context *ctx = s->trainer->model->ctx;
    if (s->targets.count == 0)
        return no_loss(s->trainer);
    const char *outer = strata__begin(&ctx->activity, STRATA__PHASE, "backward");
    strata_status status =
        strata__tape_backward(ctx, s->targets.count, (strata_tensor *const *)s->targets.items,
                              (strata_tensor *const *)s->upstream.items);
    strata__end(&ctx->activity, STRATA__PHASE, outer);
    return status;
}

static strata_status update(strata__trainer *trainer, strata_status (*apply)(strata__optimizer *))
{
    strata__activity *activity = &trainer->model->ctx->activity;
    const char *outer = strata__begin(activity, STRATA__PHASE, "update");
    strata_status status = apply(trainer->optimizer);
    look_at_variables(trainer->model->ctx);
    strata__end(activity, STRATA__PHASE, outer);
    return status;
}

static strata_status train(sums *s, const strata__binding *binding)
{
    strata__trainer *trainer = s->trainer;
    strata_context *ctx = trainer->model->ctx;
    strata__complete *complete = s->rehearses ? NULL : strata__optimizer_complete;
    if (s->rehearses)
        strata__pack_clear(trainer->optimizer->pack);
    else
        strata__optimizer_begin(trainer->optimizer);
    STRATA_TRY(strata__tape_begin(ctx, complete, trainer->optimizer));
    strata_status status = forward(s, binding);
    if (status == STRATA_OK)
        status = backward(s);
    if (status == STRATA_OK)
        status =
            update(trainer, s->rehearses ? strata__optimizer_rehearse : strata__optimizer_apply);
    strata__tape_free(ctx);
    return status;
}

/* Memory or a library failed on this rank: the others are on their way into collectives that it
 * will not reach. */
static strata_status finish(sums *s, strata_status status)
{
    strata_context *ctx = s->trainer->model->ctx;
    strata__list_free(ctx, &s->targets);
    strata__list_free(ctx, &s->upstream);
    if ((status == STRATA_NO_MEMORY || status == STRATA_INTERNAL) && ctx->mesh->size > 1)
        strata__abort(ctx, s->training ? "a training step" : "an evaluation step");
    return status;
}

strata_status strata__step_run(strata__trainer *trainer, const strata__binding *binding,
                               const strata__batch *batch, bool training, double *part)
{
    strata_context *ctx = trainer->model->ctx;
    sums s = {.trainer = trainer, .batch = batch, .training = training};
    strata_status status = finish(&s, training ? train(&s, binding) : forward(&s, binding));
    if (part)
        *part = s.part;
    if (training)
        atomic_store(&ctx->activity.step, ++ctx->step);
    return status;
}

strata_status strata__step_rehearse(strata__trainer *trainer, const strata__binding *binding,
                                    const strata__batch *batch)
{
    sums s = {.trainer = trainer, .batch = batch, .training = true, .rehearses = true};
    return finish(&s, train(&s, binding));
}
