/* Checkpoints of a run: saving and loading. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/checkpoint.h"

#include <string.h>

#include "base/memory.h"
#include "training/callback.h"
#include "training/checkpoint_arrays.h"
#include "training/run_state.h"

/* --- saving --- */

static strata_status add_all(strata__checkpoint_arrays *arrays, strata__trainer *trainer)
{
    const strata__hooks *hooks = trainer->hooks;
    STRATA_TRY(strata__checkpoint_arrays_add_model(arrays, trainer->model));
    strata__checkpoint_arrays_add_optimizer(arrays, trainer->optimizer);
    for (int i = 0; hooks && i < hooks->count; i++) {
        const strata__kept_weights *kept = strata__kept_of(hooks, i);
        if (kept)
            strata__checkpoint_arrays_add_kept(arrays, i, kept);
    }
    return strata__checkpoint_arrays_seal(arrays);
}

static strata_status save(strata__trainer *trainer, const char *path,
                          strata__checkpoint_arrays *arrays)
{
    strata_context *ctx = trainer->model->ctx;
    json_t *state = strata__run_state(trainer);
    char *document = state ? strata__json_dump(ctx, state, 0) : NULL;
    json_decref(state);
    if (!document)
        strata__fail(ctx, STRATA_NO_MEMORY, "checkpoint '%s': no memory for its document", path);
    strata_status status = add_all(arrays, trainer);
    if (status == STRATA_OK)
        status = strata__checkpoint_save(ctx, path, arrays->entries, arrays->count, document);
    strata__free(ctx, document);
    return status;
}

strata_status strata_checkpoint_save(strata_model *model, const char *path)
{
    strata__trainer *trainer = strata__trainer_of(model, "checkpoint_save");
    if (!trainer)
        return model ? model->ctx->status : STRATA_INVALID;
    STRATA_TRY(strata__trainer_ready(trainer));
    strata__checkpoint_arrays arrays = {.ctx = model->ctx};
    strata_status status = save(trainer, path, &arrays);
    strata__checkpoint_arrays_free(&arrays);
    return status;
}

/* --- loading --- */

static strata_status parse(strata_context *ctx, const char *document, const char *path,
                           strata__resume *resume)
{
    resume->state = strata__json_parse(ctx, document, strlen(document), path);
    return resume->state ? strata__run_state_check(ctx, resume->state, path) : ctx->status;
}

/* Room for what the callbacks had set aside. */
static strata_status add_kept(strata__checkpoint_arrays *arrays, const strata_model *model,
                              strata__resume *resume)
{
    const json_t *list = json_object_get(resume->state, "callbacks");
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++) {
        const json_t *saved = json_array_get(list, (size_t)i);
        if (!json_is_true(json_object_get(saved, "kept")))
            continue;
        STRATA_TRY(strata__kept_weights_take(&resume->kept[i], model));
        STRATA_TRY(strata__checkpoint_arrays_add_kept(arrays, i, &resume->kept[i]));
    }
    return STRATA_OK;
}

static strata_status read_arrays(strata__trainer *trainer, const strata__checkpoint *file,
                                 strata__resume *resume)
{
    strata_context *ctx = trainer->model->ctx;
    strata__checkpoint_arrays arrays = {
        .ctx = ctx, .loads = true, .same_mesh = strata__run_state_same_mesh(ctx, resume->state)};
    strata_status status = strata__checkpoint_arrays_add_model(&arrays, trainer->model);
    if (status == STRATA_OK) {
        strata__checkpoint_arrays_add_optimizer(&arrays, trainer->optimizer);
        add_kept(&arrays, trainer->model, resume);
        status = strata__checkpoint_arrays_seal(&arrays);
    }
    if (status == STRATA_OK)
        status = strata__checkpoint_arrays_read(&arrays, file);
    strata__checkpoint_arrays_free(&arrays);
    return status;
}

static strata_status load(strata__trainer *trainer, const strata__checkpoint *file,
                          const char *path, strata__resume *resume)
{
    strata_context *ctx = trainer->model->ctx;
    if (resume)
        parse(ctx, strata__checkpoint_document(file), path, resume);
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(read_arrays(trainer, file, resume));
    strata__run_state_apply(trainer, resume->state);
    return STRATA_OK;
}

strata_status strata_checkpoint_load(strata_model *model, const char *path)
{
    strata__trainer *trainer = strata__trainer_of(model, "checkpoint_load");
    if (!trainer)
        return model ? model->ctx->status : STRATA_INVALID;
    strata_context *ctx = model->ctx;
    strata__checkpoint *file;
    STRATA_TRY(strata__trainer_ready(trainer));
    STRATA_TRY(strata__checkpoint_open(ctx, path, &file));
    strata__resume *resume = strata__calloc(ctx, 1, sizeof *resume);
    strata_status status = load(trainer, file, path, resume);
    strata__checkpoint_close(ctx, file);
    strata__resume_free(ctx, trainer->resume);
    trainer->resume = status == STRATA_OK ? resume : NULL;
    if (status != STRATA_OK)
        strata__resume_free(ctx, resume);
    return status;
}
