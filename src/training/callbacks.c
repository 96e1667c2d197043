/* Callbacks: registration, built-in ones by their text, what these share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
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

/* --- what they share --- */

void strata__callback_say(strata_context *ctx, const char *format, ...)
{
    va_list arguments;
    if (ctx->rank != 0)
        return;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void strata__text_real(strata__text *text, double value)
{
    json_t *json = isfinite(value) ? json_real(value) : NULL;
    char *words = json ? strata__json_dump(text->ctx, json, 0) : NULL;
    if (words)
        strata__text_puts(text, words);
    else
        strata__text_puts(text, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    strata__free(text->ctx, words);
    json_decref(json);
}

/* A bare number in quotation marks could mean either. */
static bool read_time(const char *word, double *seconds)
{
    bool bare = strspn(word, "0123456789.") == strlen(word);
    return seconds && !bare && strata__seconds_parse(word, seconds) && *seconds > 0;
}

strata_status strata__save_freq_read(strata_context *ctx, const char *owner, const char *text,
                                     int64_t *batches, double *seconds)
{
    json_error_t error;
    json_t *json = strata__json_decode(ctx, text, strlen(text), &error);
    const char *word = json_string_value(json);
    *batches = json_integer_value(json);
    bool good = word ? strcmp(word, "epoch") == 0 || read_time(word, seconds) : *batches > 0;
    json_decref(json);
    if (good)
        return STRATA_OK;
    return strata__fail(ctx, STRATA_INVALID,
                        "%s: save_freq=%.100s is neither 'epoch' nor a number of batches%s", owner,
                        text, seconds ? " nor a time as '600s'" : "");
}

bool strata__batch_counter_due(strata__batch_counter *counter, int64_t batches)
{
    if (batches == 0 || ++counter->since < batches)
        return false;
    counter->since = 0;
    return true;
}
