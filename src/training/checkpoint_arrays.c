/* The arrays of a run as entries of a checkpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/checkpoint_arrays.h"

#include <string.h>

#include "base/memory.h"
#include "training/optimizer_parts.h"

/* --- growing lists --- */

/* Room for one more of `size` bytes. */
static bool reserve(strata_context *ctx, void **items, int count, int *room, size_t size)
{
    if (count < *room)
        return true;
    int more = *room ? 2 * *room : 64;
    void *moved = strata__realloc(ctx, *items, (size_t)more * size);
    if (!moved)
        return false;
    *items = moved;
    *room = more;
    return true;
}

static bool has_name(const strata__checkpoint_arrays *arrays, const char *name)
{
    for (int i = 0; i < arrays->count; i++) {
        if (strcmp(arrays->entries[i].name, name) == 0)
            return true;
    }
    return false;
}

/* A layer may have several weights of one name: "weights/scale/w", "weights/scale/w~2". */
static char *free_name(const strata__checkpoint_arrays *arrays, const char *group, const char *path)
{
    char *name = strata__format(arrays->ctx, "%s/%s", group, path);
    for (int number = 2; name && has_name(arrays, name); number++) {
        strata__free(arrays->ctx, name);
        name = strata__format(arrays->ctx, "%s/%s~%d", group, path, number);
    }
    return name;
}

static strata_status add_entry(strata__checkpoint_arrays *arrays, const char *group,
                               const char *path, strata_dtype dtype, strata_shape shape)
{
    char *name = free_name(arrays, group, path);
    if (!name || !reserve(arrays->ctx, (void **)&arrays->entries, arrays->count, &arrays->room,
                          sizeof *arrays->entries)) {
        strata__free(arrays->ctx, name);
        return STRATA_NO_MEMORY;
    }
    arrays->entries[arrays->count++] =
        (strata__entry){.name = name, .dtype = dtype, .shape = shape};
    return STRATA_OK;
}

static void add_shard(strata__checkpoint_arrays *arrays, const strata__shard *shard)
{
    if (!reserve(arrays->ctx, (void **)&arrays->shards, arrays->shard_count, &arrays->shard_room,
                 sizeof *arrays->shards))
        return;
    arrays->shards[arrays->shard_count++] = *shard;
    arrays->entries[arrays->count - 1].shard_count++;
}

/* --- pieces of variables --- */

/* A rank's piece of the last entry, on the way into shards. */
typedef struct piece {
    strata__checkpoint_arrays *arrays;
    char *data;
    size_t size;   /* of an element */
    int64_t start; /* element of the entry at which the variable begins */
    bool writes;
} piece;

static void add_run(void *user, int64_t global, int64_t local, int64_t length)
{
    const piece *p = user;
    strata__shard shard = {.flat = true,
                           .writes = p->writes,
                           .first = {p->start + global},
                           .count = {length},
                           .data = p->data + (size_t)local * p->size};
    add_shard(p->arrays, &shard);
}

/* One of the ranks that hold equal pieces stands for them. */
static bool writes_piece(const strata_variable *variable)
{
    const strata__mesh *mesh = variable->ctx->mesh;
    return mesh->groups[variable->replicas].rank == 0 && strata__optimizer_counts(variable);
}

/* The blocks of a matrix are one shard each, all else consists of few runs. */
static void add_piece(strata__checkpoint_arrays *arrays, const strata_variable *variable,
                      void *data)
{
    piece p = {.arrays = arrays,
               .data = data,
               .size = strata_dtype_size(variable->dtype),
               .writes = writes_piece(variable)};
    if (variable->placement != STRATA__MATRIX || variable->shape.rank != 2) {
        strata__variable_runs(variable, add_run, &p);
        return;
    }
    int64_t global[2];
    strata__shard shard = {.writes = p.writes, .data = data};
    strata__variable_block(variable, shard.first, shard.count, global);
    add_shard(arrays, &shard);
}

static bool differs_by_replica(const strata_variable *variable)
{
    return variable->synchronization == STRATA_SYNCHRONIZATION_ON_READ &&
           strata__variable_replicas(variable) > 1;
}

static strata_status add_whole(strata__checkpoint_arrays *arrays, strata_variable *variable)
{
    strata_context *ctx = arrays->ctx;
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    strata__whole_value *whole = strata__calloc(ctx, 1, sizeof *whole);
    void *data = strata__alloc(ctx, (size_t)count * strata_dtype_size(variable->dtype));
    bool listed = whole && data && strata__list_add(ctx, &arrays->wholes, whole);
    if (!listed) {
        strata__free(ctx, whole);
        strata__free(ctx, data);
    }
    STRATA_TRY(strata__agree(ctx));
    *whole = (strata__whole_value){variable, data};
    if (!arrays->loads)
        STRATA_TRY(strata_cross_read(variable, data));
    strata__shard shard = {
        .flat = true, .writes = ctx->mesh->rank == 0, .count = {count}, .data = data};
    add_shard(arrays, &shard);
    return STRATA_OK;
}

static strata_status add_replicas(strata__checkpoint_arrays *arrays, strata_variable *variable)
{
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    const strata__group *group = &arrays->ctx->mesh->groups[variable->replicas];
    piece p = {.arrays = arrays,
               .data = variable->value->data,
               .size = strata_dtype_size(variable->dtype),
               .start = group->rank * count,
               .writes = strata__optimizer_counts(variable)};
    STRATA_TRY(add_entry(arrays, "replicas", variable->path, variable->dtype,
                         STRATA_SHAPE(group->size, count)));
    strata__variable_runs(variable, add_run, &p);
    return STRATA_OK;
}

/* --- what there is --- */

static strata_status add_variable(strata__checkpoint_arrays *arrays, strata_variable *variable)
{
    STRATA_TRY(add_entry(arrays, "weights", variable->path, variable->dtype, variable->shape));
    if (differs_by_replica(variable))
        return add_whole(arrays, variable);
    add_piece(arrays, variable, variable->value->data);
    return STRATA_OK;
}

static strata_status add_all_replicas(strata__checkpoint_arrays *arrays)
{
    for (int i = 0; i < arrays->weight_count; i++) {
        if (differs_by_replica(arrays->weights[i]))
            STRATA_TRY(add_replicas(arrays, arrays->weights[i]));
    }
    return STRATA_OK;
}

strata_status strata__checkpoint_arrays_add_model(strata__checkpoint_arrays *arrays,
                                                  const strata_model *model)
{
    int count = strata_layer_weights(model->layer, NULL, 0);
    arrays->weights = strata__alloc(arrays->ctx, (size_t)count * sizeof(*arrays->weights));
    STRATA_TRY(strata__agree(arrays->ctx));
    arrays->weight_count = strata_layer_weights(model->layer, arrays->weights, count);
    for (int i = 0; i < count; i++)
        STRATA_TRY(add_variable(arrays, arrays->weights[i]));
    return !arrays->loads || arrays->same_mesh ? add_all_replicas(arrays) : STRATA_OK;
}

static void add_slot_run(void *user, int64_t global, float *elements, int64_t length)
{
    piece *p = user;
    p->data = (char *)elements;
    add_run(p, global, 0, length);
}

strata_status strata__checkpoint_arrays_add_optimizer(strata__checkpoint_arrays *arrays,
                                                      const strata__optimizer *optimizer)
{
    piece p = {.arrays = arrays, .size = sizeof(float), .writes = true};
    for (int i = 0; i < strata__optimizer_variable_count(optimizer); i++) {
        strata__optimizer_variable slot = strata__optimizer_variable_at(optimizer, i);
        if (!slot.slot)
            continue;
        STRATA_TRY(add_entry(arrays, "optimizer", slot.name, slot.dtype, slot.shape));
        strata__optimizer_runs(optimizer, i, !arrays->loads, add_slot_run, &p);
    }
    return STRATA_OK;
}

strata_status strata__checkpoint_arrays_add_kept(strata__checkpoint_arrays *arrays, int number,
                                                 const strata__kept_weights *kept)
{
    char group[32];
    snprintf(group, sizeof group, "callbacks/%d", number);
    for (int i = 0; i < kept->count; i++) {
        const strata_variable *variable = kept->weights[i];
        STRATA_TRY(add_entry(arrays, group, variable->path, variable->dtype, variable->shape));
        add_piece(arrays, variable, kept->pieces[i]);
    }
    return STRATA_OK;
}

/* --- use --- */

strata_status strata__checkpoint_arrays_seal(strata__checkpoint_arrays *arrays)
{
    strata__shard *next = arrays->shards;
    for (int i = 0; i < arrays->count; i++) {
        arrays->entries[i].shards = next;
        next += arrays->entries[i].shard_count;
    }
    return strata__agree(arrays->ctx);
}

/* The entries of the model come first, in the order of its weights. Where a node shares its values,
 * one of its ranks reads them. */
strata_status strata__checkpoint_arrays_read(strata__checkpoint_arrays *arrays,
                                             const strata__checkpoint *file)
{
    strata_context *ctx = arrays->ctx;
    for (int i = 0; i < arrays->weight_count; i++) {
        if (!strata__variable_write_begin(arrays->weights[i]))
            arrays->entries[i].shard_count = 0;
    }
    strata_status status = strata__checkpoint_read(ctx, file, arrays->entries, arrays->count);
    for (int i = 0; i < arrays->weight_count; i++)
        strata__variable_write_end(arrays->weights[i]);
    for (int i = 0; status == STRATA_OK && !arrays->same_mesh && i < arrays->wholes.count; i++) {
        const strata__whole_value *whole = arrays->wholes.items[i];
        status = strata_cross_assign(whole->variable, whole->data);
    }
    return status;
}

void strata__checkpoint_arrays_free(strata__checkpoint_arrays *arrays)
{
    strata_context *ctx = arrays->ctx;
    for (int i = 0; i < arrays->count; i++)
        strata__free(ctx, (void *)(uintptr_t)arrays->entries[i].name);
    for (int i = 0; i < arrays->wholes.count; i++) {
        strata__whole_value *whole = arrays->wholes.items[i];
        strata__free(ctx, whole->data);
        strata__free(ctx, whole);
    }
    strata__list_free(ctx, &arrays->wholes);
    strata__free(ctx, arrays->weights);
    strata__free(ctx, arrays->entries);
    strata__free(ctx, arrays->shards);
}
