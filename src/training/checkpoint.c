/* Checkpoints of a run: saving and loading. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/checkpoint.h"

#include <string.h>

#include "base/memory.h"
#include "training/callback.h"
#include "training/checkpoint_arrays.h"
#include "training/run_state.h"

/* --- saving --- */

static strata_status add_all(strata__checkpoint_arrays *arrays, strata__trainer *trainer,
                             const strata__callback_bytes *bytes)
{
    const strata__hooks *hooks = trainer->hooks;
    strata__checkpoint_arrays_add_model(arrays, trainer->model);
    strata__checkpoint_arrays_add_optimizer(arrays, trainer->optimizer);
    for (int i = 0; hooks && i < hooks->count; i++) {
        const strata__kept_weights *kept = strata__kept_of(hooks, i);
        if (kept)
            strata__checkpoint_arrays_add_kept(arrays, i, kept);
        if (bytes[i].size >= 0)
            strata__checkpoint_arrays_add_bytes(arrays, i, &bytes[i]);
    }
    return strata__checkpoint_arrays_seal(arrays);
}

/* What a file is to hold. Starts with {.arrays.ctx}. */
typedef struct contents {
    strata__callback_bytes bytes[STRATA_MAX_CALLBACKS];
    strata__checkpoint_arrays arrays;
    char *document;
} contents;

static strata_status gather(strata__trainer *trainer, contents *c)
{
    strata_context *ctx = trainer->model->ctx;
    STRATA_TRY(strata__trainer_ready(trainer));
    STRATA_TRY(strata__callback_bytes_ask(ctx, trainer->hooks, c->bytes));
    json_t *state = strata__run_state(trainer, c->bytes);
    c->document = state ? strata__json_dump(ctx, state, 0) : NULL;
    json_decref(state);
    if (!c->document)
        strata__fail(ctx, STRATA_NO_MEMORY, "no memory for the document of a checkpoint");
    return add_all(&c->arrays, trainer, c->bytes);
}

static void contents_free(contents *c)
{
    strata_context *ctx = c->arrays.ctx;
    strata__checkpoint_arrays_free(&c->arrays);
    strata__callback_bytes_free(ctx, c->bytes);
    strata__free(ctx, c->document);
}

/* `rotation` NULL: to `path`. */
static strata_status save(strata__trainer *trainer, const char *path, strata__rotation *rotation)
{
    strata_context *ctx = trainer->model->ctx;
    contents c = {.arrays.ctx = ctx};
    bool step = strata__no_way_back(ctx, false);
    strata_status status = gather(trainer, &c);
    strata__contents file = {
        .entries = c.arrays.entries, .count = c.arrays.count, .document = c.document};
    if (status == STRATA_OK && rotation)
        status = strata__rotation_save(rotation, trainer->optimizer->iteration, &file);
    else if (status == STRATA_OK)
        status = strata__checkpoint_save(ctx, path, &file);
    contents_free(&c);
    strata__no_way_back(ctx, step);
    return status;
}

strata_status strata_checkpoint_save(strata_model *model, const char *path)
{
    strata__trainer *trainer = strata__trainer_meet(model, "checkpoint_save");
    if (!trainer)
        return model ? model->ctx->status : STRATA_INVALID;
    return save(trainer, path, NULL);
}

strata_status strata__checkpoint_rotate(strata__trainer *trainer, strata__rotation *rotation)
{
    save(trainer, NULL, rotation);
    return strata__agree(trainer->model->ctx);
}

/* --- loading --- */

static strata_status parse(strata_context *ctx, const char *document, const char *path,
                           strata__resume *resume)
{
    resume->state = strata__json_parse(ctx, document, strlen(document), path);
    return resume->state ? strata__run_state_check(ctx, resume->state, path) : ctx->status;
}

static strata_status make_bytes(strata_context *ctx, const strata__checkpoint *file, int number,
                                const json_t *saved, strata__callback_bytes *bytes)
{
    const json_t *size = json_object_get(saved, "bytes");
    bytes->size = json_is_integer(size) ? json_integer_value(size) : -1;
    if (bytes->size < 0)
        return STRATA_OK;
    if (!strata__checkpoint_has_bytes(file, number, bytes->size))
        return strata__fail(ctx, STRATA_BAD_DATA, "checkpoint: the state of callback %d is damaged",
                            number);
    bytes->data = strata__alloc(ctx, (size_t)bytes->size);
    return ctx->status;
}

/* Room for what the callbacks remember. Local. */
static strata_status make_states(const strata__checkpoint *file, const strata_model *model,
                                 strata__resume *resume)
{
    const json_t *list = json_object_get(resume->state, "callbacks");
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++) {
        const json_t *saved = json_array_get(list, (size_t)i);
        if (json_is_true(json_object_get(saved, "kept")))
            STRATA_TRY(strata__kept_weights_take(&resume->callbacks.kept[i], model));
        STRATA_TRY(make_bytes(model->ctx, file, i, saved, &resume->callbacks.bytes[i]));
    }
    return STRATA_OK;
}

static void add_states(strata__checkpoint_arrays *arrays, const strata__callback_states *states)
{
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++) {
        strata__checkpoint_arrays_add_kept(arrays, i, &states->kept[i]);
        if (states->bytes[i].data)
            strata__checkpoint_arrays_add_bytes(arrays, i, &states->bytes[i]);
    }
}

static strata_status read_arrays(strata__trainer *trainer, const strata__checkpoint *file,
                                 strata__resume *resume)
{
    strata_context *ctx = trainer->model->ctx;
    strata__checkpoint_arrays arrays = {
        .ctx = ctx, .loads = true, .same_mesh = strata__run_state_same_mesh(ctx, resume->state)};
    make_states(file, trainer->model, resume);
    strata__checkpoint_arrays_add_model(&arrays, trainer->model);
    strata__checkpoint_arrays_add_optimizer(&arrays, trainer->optimizer);
    add_states(&arrays, &resume->callbacks);
    strata_status status = strata__checkpoint_arrays_seal(&arrays);
    if (status == STRATA_OK)
        status = strata__checkpoint_fits(ctx, file, arrays.entries, arrays.count);
    if (status == STRATA_OK)
        status = strata__run_state_check_optimizer(trainer, resume->state, resume->path);
    if (status == STRATA_OK)
        status = strata__checkpoint_arrays_read(&arrays, file);
    strata__checkpoint_arrays_free(&arrays);
    return status;
}

static strata_status load(strata__trainer *trainer, const strata__checkpoint *file,
                          const char *path, strata__resume *resume)
{
    strata_context *ctx = trainer->model->ctx;
    if (resume) {
        resume->path = strata__strdup(ctx, path);
        parse(ctx, strata__checkpoint_document(file), path, resume);
    }
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(read_arrays(trainer, file, resume));
    strata__run_state_apply(trainer, resume->state);
    return STRATA_OK;
}

strata_status strata_checkpoint_load(strata_model *model, const char *path)
{
    strata__trainer *trainer = strata__trainer_meet(model, "checkpoint_load");
    if (!trainer)
        return model ? model->ctx->status : STRATA_INVALID;
    strata_context *ctx = model->ctx;
    strata__checkpoint *file;
    strata__origin origin;
    STRATA_TRY(strata__trainer_ready(trainer));
    STRATA_TRY(strata__rotation_load(ctx, path, &file, &origin));
    strata__resume *resume = strata__calloc(ctx, 1, sizeof *resume);
    strata_status status = load(trainer, file, path, resume);
    strata__checkpoint_close(ctx, file);
    strata__resume_free(ctx, trainer->resume);
    trainer->resume = status == STRATA_OK ? resume : NULL;
    if (status == STRATA_OK)
        resume->origin = origin;
    else
        strata__resume_free(ctx, resume);
    return status;
}
