/* What the callbacks of a fit remember, as checkpoints hold it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/callback_states.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "training/callback.h"

strata__kept_weights *strata__kept_of(const strata__hooks *hooks, int index)
{
    const strata__callback_methods *methods = strata__callback_methods_of(hooks->callbacks[index]);
    return methods && methods->kept ? methods->kept(hooks->callbacks[index]) : NULL;
}

/* --- the caller's own --- */

/* Rank 0's sizes, on all ranks. */
static void ask_sizes(strata_context *ctx, const strata__hooks *hooks,
                      strata__callback_bytes *bytes)
{
    int64_t sizes[STRATA_MAX_CALLBACKS];
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++) {
        strata_callback *callback = hooks && i < hooks->count ? hooks->callbacks[i] : NULL;
        sizes[i] = callback && callback->save ? (int64_t)callback->save(callback, NULL, 0) : -1;
    }
    strata__broadcast(ctx, STRATA__WORLD, 0, sizes, sizeof sizes);
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++)
        bytes[i] = (strata__callback_bytes){.size = sizes[i]};
}

strata_status strata__callback_bytes_ask(strata_context *ctx, const strata__hooks *hooks,
                                         strata__callback_bytes *bytes)
{
    STRATA_TRY(strata__agree(ctx));
    ask_sizes(ctx, hooks, bytes);
    for (int i = 0; hooks && i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        size_t size = bytes[i].size > 0 ? (size_t)bytes[i].size : 0;
        if (bytes[i].size < 0)
            continue;
        bytes[i].data = strata__calloc(ctx, size, 1);
        if (bytes[i].data)
            callback->save(callback, bytes[i].data, size);
    }
    return strata__agree(ctx);
}

void strata__callback_bytes_free(strata_context *ctx, strata__callback_bytes *bytes)
{
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++) {
        strata__free(ctx, bytes[i].data);
        bytes[i] = (strata__callback_bytes){.size = -1};
    }
}

/* --- saving --- */

json_t *strata__callback_states_json(const strata__hooks *hooks,
                                     const strata__callback_bytes *bytes)
{
    json_t *list = json_array();
    for (int i = 0; hooks && i < hooks->count; i++) {
        strata_callback *callback = hooks->callbacks[i];
        const strata__callback_methods *methods = strata__callback_methods_of(callback);
        const strata__kept_weights *kept = strata__kept_of(hooks, i);
        json_t *state = methods && methods->save ? methods->save(callback) : json_null();
        json_array_append_new(list, json_pack("{s:s?, s:o, s:b, s:I}", "name", callback->name,
                                              "state", state, "kept", kept && kept->count > 0,
                                              "bytes", (json_int_t)bytes[i].size));
    }
    return list;
}

/* --- loading --- */

static const char *name_of(const strata_callback *callback)
{
    return callback->name ? callback->name : "";
}

/* Whether the callback can take up what is saved of one of its name. */
static bool takes(const strata_callback *callback, const json_t *saved)
{
    const strata__callback_methods *methods = strata__callback_methods_of(callback);
    const char *name = json_string_value(json_object_get(saved, "name"));
    if (strcmp(name_of(callback), name ? name : "") != 0)
        return false;
    if (methods)
        return methods->restore && json_is_object(json_object_get(saved, "state"));
    const json_t *bytes = json_object_get(saved, "bytes");
    return callback->load && json_is_integer(bytes) && json_integer_value(bytes) >= 0;
}

static void move_kept(strata_context *ctx, strata__kept_weights *from, strata__kept_weights *to)
{
    if (!to)
        return;
    strata__kept_weights_free(ctx, to);
    *to = *from;
    *from = (strata__kept_weights){0};
}

static strata_status take(const strata__hooks *hooks, int index, const json_t *saved,
                          strata__callback_bytes *bytes, strata__kept_weights *kept)
{
    strata_callback *callback = hooks->callbacks[index];
    const strata__callback_methods *methods = strata__callback_methods_of(callback);
    if (!methods)
        return callback->load(callback, bytes->data, (size_t)bytes->size);
    move_kept(hooks->model->ctx, kept, strata__kept_of(hooks, index));
    return methods->restore(callback, hooks->model, json_object_get(saved, "state"));
}

strata_status strata__callback_states_take(const strata__hooks *hooks, const json_t *list,
                                           strata__callback_states *states)
{
    int first = 0;
    for (int i = 0; i < STRATA_MAX_CALLBACKS; i++) {
        const json_t *saved = json_array_get(list, (size_t)i);
        int taker = first;
        while (taker < hooks->count && !takes(hooks->callbacks[taker], saved))
            taker++;
        if (taker == hooks->count)
            continue;
        STRATA_TRY(take(hooks, taker, saved, &states->bytes[i], &states->kept[i]));
        first = taker + 1;
    }
    return STRATA_OK;
}
