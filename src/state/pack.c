/* Packing: trainable variables in arenas, bucket by bucket in the order in which gradients are
 * completed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "state/variable.h"

/* In elements: small buckets cost messages, large ones wait for their last gradient. 16 floats are
 * a cache line. */
enum { BUCKET = 128 * 1024, ALIGNMENT = 16 };

static const strata__axis axes[2] = {STRATA__BATCH, STRATA__DATA};

/* --- where everything lies --- */

static int arena_of(const strata_variable *variable)
{
    return variable->replicas == STRATA__DATA;
}

/* Bounds of the buckets of one arena. At most one bucket a variable. */
typedef struct layout {
    int64_t *bounds; /* [bucket_count + 1] */
    int bucket_count;
    int64_t count;
} layout;

int64_t strata__pack_room(const strata_variable *variable)
{
    return (variable->count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* From the last variable to the first, since the backward pass completes the last layer first. */
static void lay_out(strata__pack *pack, int arena, layout *l)
{
    int64_t first = 0;
    for (int i = pack->count - 1; i >= 0; i--) {
        strata_variable *variable = pack->variables[i];
        if (arena_of(variable) != arena)
            continue;
        if (l->count - first >= BUCKET)
            l->bounds[++l->bucket_count] = first = l->count;
        variable->offset = l->count;
        pack->bucket_of[i] = l->bucket_count;
        l->count += strata__pack_room(variable);
    }
    l->bounds[++l->bucket_count] = l->count;
}

static bool has_arena(const strata__pack *pack, int arena)
{
    for (int i = 0; i < pack->count; i++) {
        if (arena_of(pack->variables[i]) == arena)
            return true;
    }
    return false;
}

static strata_status arena_make(strata_context *ctx, strata__pack *pack, int arena)
{
    layout l = {.bounds = strata__calloc(ctx, (size_t)pack->count + 1, sizeof *l.bounds)};
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        lay_out(pack, arena, &l);
        strata__arena_new(ctx, axes[arena], l.bucket_count, l.bounds, &pack->arenas[arena]);
        status = strata__agree(ctx);
    }
    strata__free(ctx, l.bounds);
    return status;
}

/* --- moving in and out --- */

static void point_at(strata_variable *variable, float *data, float *sink)
{
    variable->value->buffer->data = variable->value->data = data;
    variable->value->sink = sink;
    variable->value->sink_filled = false;
}

static void move_in(strata__pack *pack)
{
    for (int i = 0; i < pack->count; i++) {
        strata_variable *variable = pack->variables[i];
        strata__arena *arena = pack->arenas[arena_of(variable)];
        if (arena->values_writer)
            memcpy(arena->values + variable->offset, variable->storage,
                   (size_t)variable->count * sizeof(float));
    }
    for (int a = 0; a < 2; a++) {
        if (pack->arenas[a])
            strata__arena_publish(pack->arenas[a]);
    }
    for (int i = 0; i < pack->count; i++) {
        strata_variable *variable = pack->variables[i];
        strata__arena *arena = pack->arenas[arena_of(variable)];
        point_at(variable, arena->values + variable->offset, arena->gradients + variable->offset);
        strata__free(variable->ctx, variable->storage);
        variable->storage = NULL;
        variable->arena = arena;
        variable->pack_index = i;
    }
}

static void move_out(strata_variable *variable)
{
    size_t bytes = (size_t)variable->count * sizeof(float);
    variable->storage = strata__alloc(variable->ctx, bytes);
    if (!variable->storage)
        strata__abort(variable->ctx, "ending the training");
    memcpy(variable->storage, variable->value->data, bytes);
    point_at(variable, variable->storage, NULL);
    variable->arena = NULL;
}

/* --- making a pack --- */

static strata_status check_variables(strata_context *ctx, int count,
                                     strata_variable *const *variables)
{
    for (int i = 0; i < count; i++) {
        if (!variables[i]->trainable)
            return strata__fail(ctx, STRATA_INTERNAL,
                                "variable '%s' is not trainable and cannot be packed",
                                variables[i]->path);
        if (variables[i]->arena)
            return strata__fail(ctx, STRATA_INVALID,
                                "variable '%s' is being trained already; end that training first",
                                variables[i]->path);
        for (int j = 0; j < i; j++) {
            if (variables[j] == variables[i])
                return strata__fail(ctx, STRATA_INTERNAL, "variable '%s' is packed twice",
                                    variables[i]->path);
        }
    }
    return STRATA_OK;
}

static strata_status allocate(strata_context *ctx, int count, strata_variable *const *variables,
                              strata__pack *pack)
{
    size_t size = (size_t)count;
    pack->count = count;
    pack->variables = strata__alloc(ctx, size * sizeof(strata_variable *));
    pack->bucket_of = strata__calloc(ctx, size, sizeof *pack->bucket_of);
    pack->complete = strata__calloc(ctx, size, sizeof *pack->complete);
    pack->open = strata__calloc(ctx, 2 * size, sizeof *pack->open);
    if (!pack->variables || !pack->bucket_of || !pack->complete || !pack->open)
        return STRATA_NO_MEMORY;
    for (int i = 0; i < count; i++)
        pack->variables[i] = variables[i];
    pack->open_first[1] = count;
    return STRATA_OK;
}

static void release(strata_context *ctx, strata__pack *pack)
{
    for (int a = 0; a < 2; a++) {
        if (pack->arenas[a])
            strata__arena_free(pack->arenas[a]);
    }
    strata__free(ctx, pack->variables);
    strata__free(ctx, pack->bucket_of);
    strata__free(ctx, pack->complete);
    strata__free(ctx, pack->open);
    strata__free(ctx, pack);
}

strata_status strata__pack_new(strata_context *ctx, int count, strata_variable *const *variables,
                               strata__pack **made)
{
    *made = NULL;
    STRATA_TRY(check_variables(ctx, count, variables));
    strata__pack *pack = strata__calloc(ctx, 1, sizeof *pack);
    if (pack)
        allocate(ctx, count, variables, pack);
    strata_status status = strata__agree(ctx);
    for (int a = 0; a < 2 && status == STRATA_OK; a++) {
        if (has_arena(pack, a))
            status = arena_make(ctx, pack, a);
    }
    if (status == STRATA_OK) {
        move_in(pack);
        *made = pack;
    } else if (pack) {
        release(ctx, pack);
    }
    return status;
}

void strata__pack_free(strata_context *ctx, strata__pack *pack)
{
    if (!pack)
        return;
    for (int i = 0; i < pack->count; i++)
        move_out(pack->variables[i]);
    release(ctx, pack);
}

/* --- a step --- */

static int *open_count(strata__pack *pack, int index)
{
    return &pack->open[pack->open_first[arena_of(pack->variables[index])] + pack->bucket_of[index]];
}

void strata__pack_clear(strata__pack *pack)
{
    for (int i = 0; i < pack->count; i++)
        pack->variables[i]->value->sink_filled = false;
}

void strata__pack_begin(strata__pack *pack)
{
    for (int a = 0; a < 2; a++) {
        if (pack->arenas[a])
            strata__arena_begin(pack->arenas[a]);
    }
    strata__pack_clear(pack);
    memset(pack->open, 0, 2 * (size_t)pack->count * sizeof *pack->open);
    for (int i = 0; i < pack->count; i++) {
        pack->complete[i] = false;
        ++*open_count(pack, i);
    }
}

/* A gradient that nothing was written to is zero: the last step's sum still lies there. */
static void complete(strata__pack *pack, int index)
{
    strata_variable *variable = pack->variables[index];
    if (pack->complete[index])
        return;
    pack->complete[index] = true;
    if (!variable->value->sink_filled)
        memset(variable->value->sink, 0, (size_t)variable->count * sizeof(float));
    if (--*open_count(pack, index) == 0)
        strata__arena_ready(variable->arena, pack->bucket_of[index]);
}

/* The pass may reach variables that are not trained here: another model's, or frozen ones. */
void strata__pack_complete(void *user, strata_variable *variable)
{
    strata__pack *pack = user;
    int index = variable->pack_index;
    if (variable->arena && index < pack->count && pack->variables[index] == variable)
        complete(pack, index);
}

void strata__pack_close(strata__pack *pack)
{
    for (int i = pack->count - 1; i >= 0; i--)
        complete(pack, i);
}
