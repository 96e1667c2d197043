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

static strata_status add_whole(strata__checkpoint_arrays *arrays, strata_variable *variable,
                               void *piece)
{
    strata_context *ctx = arrays->ctx;
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    strata__whole_value *whole = strata__calloc(ctx, 1, sizeof *whole);
    void *data = strata__alloc(ctx, (size_t)count * strata_dtype_size(variable->dtype));
    if (!whole || !data || !strata__list_add(ctx, &arrays->wholes, whole)) {
        strata__free(ctx, whole);
        strata__free(ctx, data);
        return STRATA_NO_MEMORY;
    }
    *whole = (strata__whole_value){variable, piece, data};
    strata__shard shard = {
        .flat = true, .writes = ctx->mesh->rank == 0, .count = {count}, .data = data};
    add_shard(arrays, &shard);
    return ctx->status;
}

static strata_status add_replicas(strata__checkpoint_arrays *arrays, const char *group,
                                  const strata_variable *variable, void *data)
{
    int64_t count = strata__product(&variable->shape, 0, variable->shape.rank);
    const strata__group *replicas = &arrays->ctx->mesh->groups[variable->replicas];
    piece p = {.arrays = arrays,
               .data = data,
               .size = strata_dtype_size(variable->dtype),
               .start = replicas->rank * count,
               .writes = strata__optimizer_counts(variable)};
    STRATA_TRY(add_entry(arrays, group, variable->path, variable->dtype,
                         STRATA_SHAPE(replicas->size, count)));
    strata__variable_runs(variable, add_run, &p);
    return STRATA_OK;
}

/* --- what there is --- */

/* Values of variables, their own or set aside (pieces). */
typedef struct values {
    const char *group, *replicas; /* names of their groups */
    int count;
    strata_variable **variables;
    void *const *pieces; /* NULL: their own */
} values;

static void *piece_of(const values *v, int index)
{
    return v->pieces ? v->pieces[index] : v->variables[index]->value->data;
}

static strata_status add_value(strata__checkpoint_arrays *arrays, const values *v, int index)
{
    strata_variable *variable = v->variables[index];
    STRATA_TRY(add_entry(arrays, v->group, variable->path, variable->dtype, variable->shape));
    if (strata__variable_varies(variable))
        return add_whole(arrays, variable, v->pieces ? v->pieces[index] : NULL);
    add_piece(arrays, variable, piece_of(v, index));
    return arrays->ctx->status;
}

static strata_status add_values(strata__checkpoint_arrays *arrays, const values *v)
{
    bool replicas = !arrays->loads || arrays->same_mesh;
    for (int i = 0; i < v->count; i++)
        STRATA_TRY(add_value(arrays, v, i));
    for (int i = 0; i < v->count && replicas; i++) {
        if (strata__variable_varies(v->variables[i]))
            STRATA_TRY(add_replicas(arrays, v->replicas, v->variables[i], piece_of(v, i)));
    }
    return STRATA_OK;
}

strata_status strata__checkpoint_arrays_add_model(strata__checkpoint_arrays *arrays,
                                                  const strata_model *model)
{
    int count = strata_layer_weights(model->layer, NULL, 0);
    arrays->weights = strata__alloc(arrays->ctx, (size_t)count * sizeof(*arrays->weights));
    if (!arrays->weights)
        return STRATA_NO_MEMORY;
    arrays->weight_count = strata_layer_weights(model->layer, arrays->weights, count);
    values own = {
        .group = "weights", .replicas = "replicas", .count = count, .variables = arrays->weights};
    return add_values(arrays, &own);
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
    char group[32], replicas[32];
    snprintf(group, sizeof group, "callbacks/%d", number);
    snprintf(replicas, sizeof replicas, "kept_replicas/%d", number);
    values aside = {.group = group,
                    .replicas = replicas,
                    .count = kept->count,
                    .variables = kept->weights,
                    .pieces = kept->pieces};
    return add_values(arrays, &aside);
}

strata_status strata__checkpoint_arrays_add_bytes(strata__checkpoint_arrays *arrays, int number,
                                                  const strata__callback_bytes *bytes)
{
    char group[32];
    snprintf(group, sizeof group, "callbacks/%d", number);
    STRATA_TRY(add_entry(arrays, group, "state", STRATA_UINT8, STRATA_SHAPE(bytes->size)));
    strata__shard shard = {.flat = true,
                           .writes = arrays->ctx->mesh->rank == 0,
                           .count = {bytes->size},
                           .data = bytes->data};
    add_shard(arrays, &shard);
    return arrays->ctx->status;
}

bool strata__checkpoint_has_bytes(const strata__checkpoint *file, int number, int64_t size)
{
    char name[64];
    const strata__entry *entry;
    snprintf(name, sizeof name, "callbacks/%d/state", number);
    for (int i = 0; (entry = strata__checkpoint_entry(file, i)); i++) {
        if (strcmp(entry->name, name) == 0)
            return entry->dtype == STRATA_UINT8 && entry->shape.rank == 1 &&
                   entry->shape.dims[0] == size;
    }
    return false;
}

/* --- use --- */

static void swap(void *a, void *b, size_t bytes)
{
    unsigned char *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char kept = x[i];
        x[i] = y[i];
        y[i] = kept;
    }
}

/* What was set aside is aggregated as the variable is: in its place. Collective on the mesh. */
static strata_status aggregate(const strata__whole_value *whole)
{
    strata_variable *variable = whole->variable;
    size_t bytes = (size_t)variable->count * strata_dtype_size(variable->dtype);
    if (whole->piece)
        swap(whole->piece, variable->value->data, bytes);
    strata_status status = strata_cross_read(variable, whole->data);
    if (whole->piece)
        swap(whole->piece, variable->value->data, bytes);
    return status;
}

/* The other way; the variable's own value is lost when this one was set aside. */
static strata_status distribute(const strata__whole_value *whole)
{
    strata_variable *variable = whole->variable;
    STRATA_TRY(strata_cross_assign(variable, whole->data));
    if (whole->piece)
        memcpy(whole->piece, variable->value->data,
               (size_t)variable->count * strata_dtype_size(variable->dtype));
    return STRATA_OK;
}

strata_status strata__checkpoint_arrays_seal(strata__checkpoint_arrays *arrays)
{
    STRATA_TRY(strata__agree(arrays->ctx));
    strata__shard *next = arrays->shards;
    for (int i = 0; i < arrays->count; i++) {
        arrays->entries[i].shards = next;
        next += arrays->entries[i].shard_count;
    }
    for (int i = 0; i < arrays->wholes.count && !arrays->loads; i++)
        STRATA_TRY(aggregate(arrays->wholes.items[i]));
    return STRATA_OK;
}

/* From the last to the first: the model's own come first, and so last. */
static strata_status distribute_all(const strata__checkpoint_arrays *arrays)
{
    for (int i = arrays->wholes.count - 1; i >= 0; i--)
        STRATA_TRY(distribute(arrays->wholes.items[i]));
    return STRATA_OK;
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
    return status == STRATA_OK && !arrays->same_mesh ? distribute_all(arrays) : status;
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
