/* Callbacks: registration, and built-in ones by their text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "training/callback.h"
#include "training/names.h"

static const strata__class *const classes[] = {&strata__checkpoint_callback, &strata__csv_logger,
                                               &strata__early_stopping, &strata__model_checkpoint,
                                               &strata__terminate_on_nan};

const strata__family strata__callback_family = {
    .kind = "callback", .classes = classes, .class_count = sizeof classes / sizeof *classes};

static const strata__names names = {
    .family = &strata__callback_family,
    .missing = "BackupAndRestore|ReduceLROnPlateau|RemoteMonitor|TensorBoard|SwapEMAWeights|"
               "OrbaxCheckpoint"};

/* --- registration --- */

strata_callback *strata_callback_new(strata_context *ctx, const strata_callback *callback)
{
    if (!ctx || !callback || ctx->status != STRATA_OK)
        return NULL;
    strata_callback *copy = strata__alloc(ctx, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *callback;
    copy->ctx = ctx;
    copy->next = ctx->callbacks;
    ctx->callbacks = copy;
    return copy;
}

void strata__callbacks_free(strata_context *ctx)
{
    while (ctx->callbacks) {
        strata_callback *callback = ctx->callbacks;
        ctx->callbacks = callback->next;
        if (callback->destroy)
            callback->destroy(callback);
        strata__free(ctx, callback);
    }
}

/* --- built-in classes --- */

static void destroy_builtin(strata_callback *callback)
{
    const strata__callback_methods *methods = strata__callback_methods_of(callback);
    strata__builtin *state = callback->state;
    if (methods->free)
        methods->free(callback);
    strata__object_free(callback->ctx, &state->object);
    strata__free(callback->ctx, state);
}

const strata__callback_methods *strata__callback_methods_of(const strata_callback *callback)
{
    return callback->destroy == destroy_builtin
               ? ((const strata__builtin *)callback->state)->object.class->methods
               : NULL;
}

/* Takes the object over, on failure too. */
static strata_callback *make(strata_context *ctx, strata__object *object)
{
    const strata__callback_methods *methods = object->class->methods;
    strata__builtin *state = strata__calloc(ctx, 1, methods->state_size);
    if (!state) {
        strata__object_free(ctx, object);
        return NULL;
    }
    state->object = *object;
    strata_callback hooks = methods->hooks;
    hooks.ctx = ctx;
    hooks.name = object->class->name;
    hooks.state = state;
    hooks.destroy = destroy_builtin;
    bool fine = !methods->make || methods->make(&hooks) == STRATA_OK;
    strata_callback *callback = fine ? strata_callback_new(ctx, &hooks) : NULL;
    if (!callback)
        destroy_builtin(&hooks);
    return callback;
}

static strata_status refuse_function(strata_context *ctx, const char *name, const char *remedy)
{
    return strata__fail(ctx, STRATA_INVALID, "callback '%s' calls a function: make it with %s()",
                        name, remedy);
}

static strata_status parse(strata_context *ctx, const char *text, strata__object *object)
{
    json_t *json;
    if (strncmp(text, "LearningRateScheduler", 21) == 0)
        return refuse_function(ctx, "LearningRateScheduler", "strata_learning_rate_scheduler");
    if (strncmp(text, "LambdaCallback", 14) == 0)
        return refuse_function(ctx, "LambdaCallback", "strata_callback_new");
    STRATA_TRY(strata__names_parse(ctx, &names, text, &json, NULL));
    strata_status status = strata__object_from_json(ctx, &strata__callback_family, json, object);
    json_decref(json);
    return status;
}

strata_callback *strata_callback_from_text(strata_context *ctx, const char *text)
{
    if (!ctx || !text || ctx->status != STRATA_OK)
        return NULL;
    strata__object object = {0};
    return parse(ctx, text, &object) == STRATA_OK ? make(ctx, &object) : NULL;
}
