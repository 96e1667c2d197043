/* The state of a run beside its arrays. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/run_state.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "training/history.h"
#include "training/metric_sums.h"

static json_t *real(double value)
{
    return strata__json_real(value);
}

static int64_t whole(const json_t *state, const char *key)
{
    return json_integer_value(json_object_get(state, key));
}

/* --- history --- */

static json_t *history_json(const strata__history *history)
{
    json_t *names = json_array(), *values = json_array();
    for (int i = 0; history && i < history->shown.count; i++) {
        json_t *list = json_array();
        for (int epoch = 0; epoch < history->shown.epochs; epoch++)
            json_array_append_new(list, real(history->values[i][epoch]));
        json_array_append_new(names, json_string(history->names[i]));
        json_array_append_new(values, list);
    }
    return json_pack("{s:o, s:o}", "names", names, "values", values);
}

static double history_value(const json_t *values, size_t name, size_t epoch)
{
    double value;
    const json_t *json = json_array_get(json_array_get(values, name), epoch);
    return strata__json_number(json, &value) ? value : NAN;
}

static strata_status take_epochs(strata__trainer *trainer, const json_t *values, strata_logs *logs,
                                 double *room)
{
    size_t epochs = json_array_size(json_array_get(values, 0));
    for (size_t epoch = 0; epoch < epochs; epoch++) {
        for (int i = 0; i < logs->count; i++)
            room[i] = history_value(values, (size_t)i, epoch);
        STRATA_TRY(strata__history_add(trainer->model->ctx, trainer->history, logs));
    }
    return STRATA_OK;
}

static strata_status take_history(strata__trainer *trainer, const json_t *history)
{
    strata_context *ctx = trainer->model->ctx;
    const json_t *names = json_object_get(history, "names");
    size_t count = json_array_size(names);
    const char **list = strata__alloc(ctx, count * sizeof *list);
    double *values = strata__alloc(ctx, count * sizeof *values);
    strata_status status = list && values ? STRATA_OK : STRATA_NO_MEMORY;
    for (size_t i = 0; status == STRATA_OK && i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        list[i] = name ? name : "";
    }
    strata_logs logs = {.count = (int)count, .names = list, .values = values};
    if (status == STRATA_OK)
        status = take_epochs(trainer, json_object_get(history, "values"), &logs, values);
    strata__free(ctx, list);
    strata__free(ctx, values);
    return status;
}

/* --- random draws --- */

/* Layers that have drawn since the last step began, and how often. */
static void note_draws(void *user, strata_layer *layer)
{
    if (layer->draws.step == layer->ctx->step && layer->draws.count > 0)
        json_object_set_new(user, layer->path, json_integer((json_int_t)layer->draws.count));
}

static json_t *draws_json(const strata_model *model)
{
    json_t *draws = json_object();
    strata__layer_walk(model->layer, note_draws, draws);
    return draws;
}

static void take_draws(void *user, strata_layer *layer)
{
    const json_t *count = json_object_get(user, layer->path);
    layer->draws = (strata__draws){layer->ctx->step, (uint64_t)json_integer_value(count)};
}

/* --- all of it --- */

static const char *class_name(const strata__optimizer *optimizer)
{
    return optimizer->object.class->name;
}

json_t *strata__run_state(strata__trainer *trainer, const strata__callback_bytes *bytes)
{
    strata_context *ctx = trainer->model->ctx;
    const strata__mesh *mesh = ctx->mesh;
    const strata__optimizer *optimizer = trainer->optimizer;
    const strata__order *order = &trainer->order;
    json_t *sums = trainer->step > 0 ? strata__metric_sums_json(trainer) : json_null();
    return json_pack(
        "{s:s, s:[i, i, i], s:I, s:I, s:o, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:o, "
        "s:o, s:o}",
        "model", trainer->model->layer->name, "mesh", mesh->data, mesh->rows, mesh->cols, "seed",
        (json_int_t)ctx->settings.seed, "global_step", (json_int_t)ctx->step, "draws",
        draws_json(trainer->model), "optimizer", class_name(optimizer), "iteration",
        (json_int_t)optimizer->iteration, "learning_rate", real(optimizer->learning_rate), "epoch",
        (json_int_t)trainer->epoch, "step", (json_int_t)trainer->step, "samples",
        (json_int_t)order->samples, "batch_size", (json_int_t)order->batch_size, "steps_per_epoch",
        (json_int_t)order->steps, "shuffle", strata__shuffle_name(order->shuffle), "stopped",
        trainer->stop, "sums", sums, "history", history_json(trainer->history), "callbacks",
        strata__callback_states_json(trainer->hooks, bytes));
}

strata_status strata__run_state_check(strata_context *ctx, const json_t *state, const char *path)
{
    static const char *const counters[] = {"global_step", "iteration",  "epoch",          "step",
                                           "samples",     "batch_size", "steps_per_epoch"};
    double rate;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        const json_t *number = json_object_get(state, counters[i]);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return strata__fail(ctx, STRATA_BAD_DATA, "checkpoint '%s': '%s' is no counter", path,
                                counters[i]);
    }
    for (size_t axis = 0; axis < 3; axis++) {
        if (json_integer_value(json_array_get(json_object_get(state, "mesh"), axis)) < 1)
            return strata__fail(ctx, STRATA_BAD_DATA, "checkpoint '%s': 'mesh' is damaged", path);
    }
    if (whole(state, "epoch") >= INT_MAX || !json_is_integer(json_object_get(state, "seed")) ||
        !json_is_string(json_object_get(state, "shuffle")) ||
        !strata__json_number(json_object_get(state, "learning_rate"), &rate))
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "checkpoint '%s': epoch, seed, shuffle or learning_rate is damaged",
                            path);
    return STRATA_OK;
}

strata_status strata__run_state_check_optimizer(const strata__trainer *trainer, const json_t *state,
                                                const char *path)
{
    const char *saved = json_string_value(json_object_get(state, "optimizer"));
    const char *own = class_name(trainer->optimizer);
    if (saved && strcmp(saved, own) == 0)
        return STRATA_OK;
    return strata__fail(
        trainer->model->ctx, STRATA_BAD_DATA,
        "checkpoint '%s' was saved with the optimizer %s, the model has %s; compile "
        "it with the same",
        path, saved ? saved : "none", own);
}

bool strata__run_state_same_mesh(const strata_context *ctx, const json_t *state)
{
    const json_t *mesh = json_object_get(state, "mesh");
    return json_integer_value(json_array_get(mesh, 0)) == ctx->mesh->data &&
           json_integer_value(json_array_get(mesh, 1)) == ctx->mesh->rows &&
           json_integer_value(json_array_get(mesh, 2)) == ctx->mesh->cols;
}

void strata__run_state_apply(strata__trainer *trainer, const json_t *state)
{
    strata_context *ctx = trainer->model->ctx;
    double rate = 0;
    strata__json_number(json_object_get(state, "learning_rate"), &rate);
    ctx->settings.seed = (uint64_t)whole(state, "seed");
    ctx->step = (uint64_t)whole(state, "global_step");
    trainer->optimizer->iteration = whole(state, "iteration");
    trainer->optimizer->learning_rate = (float)rate;
    trainer->epoch = whole(state, "epoch");
    strata__layer_walk(trainer->model->layer, take_draws, json_object_get(state, "draws"));
}

/* --- taking it up --- */

static strata_status refuse_order(const strata__trainer *trainer, const json_t *state)
{
    const strata__order *now = &trainer->order;
    return strata__fail(
        trainer->model->ctx, STRATA_INVALID,
        "the checkpoint stands within an epoch of %lld samples in %lld batches of %lld, "
        "shuffle=%s; this fit has %lld in %lld of %lld, shuffle=%s",
        (long long)whole(state, "samples"), (long long)whole(state, "steps_per_epoch"),
        (long long)whole(state, "batch_size"), json_string_value(json_object_get(state, "shuffle")),
        (long long)now->samples, (long long)now->steps, (long long)now->batch_size,
        strata__shuffle_name(now->shuffle));
}

static bool same_order(const strata__order *order, const json_t *state)
{
    return whole(state, "samples") == order->samples &&
           whole(state, "batch_size") == order->batch_size &&
           whole(state, "steps_per_epoch") == order->steps &&
           strcmp(json_string_value(json_object_get(state, "shuffle")),
                  strata__shuffle_name(order->shuffle)) == 0;
}

static strata_status take(strata__trainer *trainer, const strata__hooks *hooks)
{
    const json_t *state = trainer->resume->state;
    if (whole(state, "step") > 0 && !same_order(&trainer->order, state))
        return refuse_order(trainer, state);
    trainer->epoch = whole(state, "epoch");
    trainer->step = whole(state, "step");
    trainer->stop = json_is_true(json_object_get(state, "stopped"));
    if (trainer->step > 0)
        STRATA_TRY(strata__metric_sums_take(
            trainer, json_object_get(state, "sums"),
            strata__run_state_same_mesh(trainer->model->ctx, state),
            json_integer_value(json_array_get(json_object_get(state, "mesh"), 2))));
    STRATA_TRY(take_history(trainer, json_object_get(state, "history")));
    return strata__callback_states_take(hooks, json_object_get(state, "callbacks"),
                                        &trainer->resume->callbacks);
}

strata_status strata__resume_take(strata__trainer *trainer, const strata__hooks *hooks,
                                  int *first_epoch)
{
    strata_context *ctx = trainer->model->ctx;
    if (!trainer->resume)
        return STRATA_OK;
    take(trainer, hooks);
    strata__resume_free(ctx, trainer->resume);
    trainer->resume = NULL;
    *first_epoch = (int)trainer->epoch;
    return strata__agree(ctx);
}

void strata__resume_free(strata_context *ctx, strata__resume *resume)
{
    if (!resume)
        return;
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++)
        strata__kept_weights_free(ctx, &resume->callbacks.kept[i]);
    strata__callback_bytes_free(ctx, resume->callbacks.bytes);
    strata__free(ctx, resume->path);
    json_decref(resume->state);
    strata__free(ctx, resume);
}
