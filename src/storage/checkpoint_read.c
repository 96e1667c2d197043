/* Reading checkpoints: every part is summed up once, then each rank reads what it holds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/seal.h"
#include "storage/shard.h"
#include "storage/tree.h"
#include "tensor/tensor.h"

struct strata__checkpoint {
    strata__tree *tree;
    strata__entry *entries; /* sorted by name, like the tree's items */
    const strata__tree_item **items;
    int count;
    char *document;
    strata__place *places;
    int64_t place_count;
    uint64_t run;
};

static const char *name_of(const strata__checkpoint *checkpoint)
{
    return checkpoint->tree->bytes.name;
}

/* A dataset of ours as it must be: plain, of this type and rank. NULL after an error. */
static const strata__tree_item *find_own(strata_context *ctx, const strata__checkpoint *checkpoint,
                                         const char *name, strata_dtype dtype, int rank)
{
    const strata__tree_item *item = strata__tree_find(checkpoint->tree, name);
    if (item && item->is_number && item->dtype == dtype && item->shape.rank == rank)
        return item;
    strata__fail(ctx, STRATA_BAD_DATA, "'%s' in checkpoint '%s' is missing or damaged", name,
                 name_of(checkpoint));
    return NULL;
}

static strata_status read_document(strata_context *ctx, strata__checkpoint *checkpoint)
{
    const strata__tree_item *item = find_own(ctx, checkpoint, "document", STRATA_UINT8, 1);
    if (!item)
        return ctx->status;
    checkpoint->document = strata__alloc(ctx, (size_t)item->shape.dims[0] + 1);
    if (!checkpoint->document)
        return ctx->status;
    checkpoint->document[item->shape.dims[0]] = '\0';
    return strata__tree_read(ctx, checkpoint->tree, item, NULL, NULL, STRATA_UINT8,
                             checkpoint->document);
}

static strata_status read_places(strata_context *ctx, strata__checkpoint *checkpoint)
{
    const strata__tree_item *item = find_own(ctx, checkpoint, "shards", STRATA_INT64, 2);
    if (!item)
        return ctx->status;
    if (item->shape.dims[1] != STRATA__PLACE_COLUMNS)
        return strata__fail(ctx, STRATA_BAD_DATA, "'shards' in checkpoint '%s' is damaged",
                            name_of(checkpoint));
    checkpoint->place_count = item->shape.dims[0];
    checkpoint->places =
        strata__calloc(ctx, (size_t)checkpoint->place_count + 1, sizeof *checkpoint->places);
    if (!checkpoint->places)
        return ctx->status;
    return strata__tree_read(ctx, checkpoint->tree, item, NULL, NULL, STRATA_INT64,
                             checkpoint->places);
}

/* Every other dataset is an entry. */
static strata_status list_entries(strata_context *ctx, strata__checkpoint *checkpoint)
{
    const strata__tree *tree = checkpoint->tree;
    size_t most = (size_t)tree->count + 1;
    checkpoint->entries = strata__calloc(ctx, most, sizeof *checkpoint->entries);
    checkpoint->items = strata__alloc(ctx, most * sizeof *checkpoint->items);
    if (!checkpoint->entries || !checkpoint->items)
        return ctx->status;
    for (int i = 0; i < tree->count; i++) {
        const strata__tree_item *item = &tree->items[i];
        if (item->is_group || strata__is_own_name(item->path))
            continue;
        bool empty = strata__product(&item->shape, 0, item->shape.rank) == 0;
        if (!item->is_number || (item->offset < 0 && !empty))
            return strata__fail(ctx, STRATA_BAD_DATA,
                                "'%s' in checkpoint '%s' is not stored as one plain run of "
                                "numbers",
                                item->path, name_of(checkpoint));
        checkpoint->items[checkpoint->count] = item;
        checkpoint->entries[checkpoint->count++] =
            (strata__entry){.name = item->path, .dtype = item->dtype, .shape = item->shape};
    }
    return STRATA_OK;
}

static strata__stored stored(const strata__checkpoint *checkpoint, const strata__tree_item *item)
{
    return (strata__stored){.bytes = &checkpoint->tree->bytes,
                            .offset = item->offset,
                            .shape = item->shape,
                            .size = strata_dtype_size(item->dtype)};
}

/* The parts lie in their arrays and make up all of them. */
static strata_status check_places(strata_context *ctx, const strata__checkpoint *checkpoint)
{
    int64_t *missing = strata__alloc(ctx, ((size_t)checkpoint->count + 1) * sizeof *missing);
    if (!missing)
        return ctx->status;
    for (int i = 0; i < checkpoint->count; i++) {
        const strata_shape *shape = &checkpoint->entries[i].shape;
        missing[i] = strata__product(shape, 0, shape->rank);
    }
    for (int64_t i = 0; i < checkpoint->place_count; i++) {
        const strata__place *place = &checkpoint->places[i];
        bool known = place->entry >= 0 && place->entry < checkpoint->count;
        int64_t elements =
            known ? strata__place_elements(place, &checkpoint->entries[place->entry].shape) : -1;
        if (elements < 0)
            strata__fail(ctx, STRATA_BAD_DATA, "row %lld of 'shards' in checkpoint '%s' is damaged",
                         (long long)i, name_of(checkpoint));
        else
            missing[place->entry] -= elements;
    }
    for (int i = 0; i < checkpoint->count; i++) {
        if (missing[i] != 0)
            strata__fail(ctx, STRATA_BAD_DATA,
                         "'%s' in checkpoint '%s' has no checksum for a part of it",
                         checkpoint->entries[i].name, name_of(checkpoint));
    }
    strata__free(ctx, missing);
    return ctx->status;
}

/* Part i is summed up by rank i modulo their number. */
static strata_status check_sums(strata_context *ctx, const strata__checkpoint *checkpoint)
{
    for (int64_t i = ctx->mesh->rank; i < checkpoint->place_count; i += ctx->mesh->size) {
        const strata__place *place = &checkpoint->places[i];
        const strata__tree_item *item = checkpoint->items[place->entry];
        strata__stored array = stored(checkpoint, item);
        uint32_t sum;
        STRATA_TRY(strata__stored_sum(ctx, &array, place, &sum));
        if (sum != place->crc32c)
            return strata__fail(ctx, STRATA_BAD_DATA,
                                "'%s' in checkpoint '%s' is damaged: a checksum is wrong",
                                item->path, name_of(checkpoint));
    }
    return STRATA_OK;
}

/* What each rank does by itself; the caller agrees. */
static strata_status examine(strata_context *ctx, strata__bytes *bytes,
                             strata__checkpoint *checkpoint)
{
    STRATA_TRY(strata__tree_open(ctx, bytes, &checkpoint->tree));
    STRATA_TRY(read_document(ctx, checkpoint));
    STRATA_TRY(read_places(ctx, checkpoint));
    STRATA_TRY(list_entries(ctx, checkpoint));
    STRATA_TRY(check_places(ctx, checkpoint));
    return check_sums(ctx, checkpoint);
}

strata_status strata__checkpoint_open(strata_context *ctx, const char *path,
                                      strata__checkpoint **checkpoint)
{
    strata__bytes bytes = {0};
    uint64_t run = 0;
    *checkpoint = strata__calloc(ctx, 1, sizeof **checkpoint);
    if (ctx->mesh->rank == 0 && strata__bytes_open(ctx, path, &bytes) == STRATA_OK)
        strata__seal_check(ctx, &bytes, &run);
    if (strata__bytes_share(ctx, &bytes, STRATA__COPY_LIMIT) == STRATA_OK) {
        strata__broadcast(ctx, STRATA__WORLD, 0, &run, sizeof run);
        (*checkpoint)->run = run;
        examine(ctx, &bytes, *checkpoint);
    }
    strata__bytes_free(ctx, &bytes);
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK) {
        strata__checkpoint_close(ctx, *checkpoint);
        *checkpoint = NULL;
    }
    return status;
}

const char *strata__checkpoint_document(const strata__checkpoint *checkpoint)
{
    return checkpoint->document;
}

uint64_t strata__checkpoint_run(const strata__checkpoint *checkpoint)
{
    return checkpoint->run;
}

const strata__entry *strata__checkpoint_entry(const strata__checkpoint *checkpoint, int number)
{
    return number >= 0 && number < checkpoint->count ? &checkpoint->entries[number] : NULL;
}

/* The array of that name, of this type and shape; NULL after an error. */
static const strata__tree_item *
find_entry(strata_context *ctx, const strata__checkpoint *checkpoint, const strata__entry *wanted)
{
    char is[STRATA__SHAPE_TEXT], needed[STRATA__SHAPE_TEXT];
    const strata__tree_item *item = strata__tree_find(checkpoint->tree, wanted->name);
    if (!item || item->is_group) {
        strata__fail(ctx, STRATA_BAD_DATA, "checkpoint '%s' has no '%s'; was it another model's?",
                     name_of(checkpoint), wanted->name);
        return NULL;
    }
    if (strata__shape_equal(&item->shape, &wanted->shape) && item->dtype == wanted->dtype)
        return item;
    strata__fail(ctx, STRATA_BAD_DATA, "'%s' is %s %s in checkpoint '%s', but %s %s here",
                 wanted->name, strata_dtype_name(item->dtype), strata__shape_text(&item->shape, is),
                 name_of(checkpoint), strata_dtype_name(wanted->dtype),
                 strata__shape_text(&wanted->shape, needed));
    return NULL;
}

/* Whether two names lie below one top group. */
static bool same_top(const char *a, const char *b)
{
    size_t length = strcspn(a, "/");
    return length == strcspn(b, "/") && memcmp(a, b, length) == 0;
}

/* Of a top group, everything or nothing is asked for. */
static strata_status check_complete(strata_context *ctx, const strata__checkpoint *checkpoint,
                                    const strata__entry *wanted, int count)
{
    for (int i = 0; i < checkpoint->count; i++) {
        const char *name = checkpoint->entries[i].name;
        bool concerned = false, found = false;
        for (int j = 0; j < count && !found; j++) {
            concerned |= same_top(wanted[j].name, name);
            found = strcmp(wanted[j].name, name) == 0;
        }
        if (concerned && !found)
            return strata__fail(ctx, STRATA_BAD_DATA,
                                "checkpoint '%s' has '%s', which is not there in this model",
                                name_of(checkpoint), name);
    }
    return STRATA_OK;
}

static strata_status read_entry(strata_context *ctx, const strata__checkpoint *checkpoint,
                                const strata__entry *entry)
{
    const strata__tree_item *item = find_entry(ctx, checkpoint, entry);
    if (!item)
        return ctx->status;
    strata__stored array = stored(checkpoint, item);
    for (int i = 0; i < entry->shard_count; i++) {
        strata__place place = strata__place_of(&entry->shape, &entry->shards[i], 0);
        if (strata__place_elements(&place, &entry->shape) < 0)
            return strata__fail(ctx, STRATA_INTERNAL, "a shard of '%s' reaches out of it",
                                entry->name);
        STRATA_TRY(strata__stored_read(ctx, &array, &place, entry->shards[i].data));
    }
    return STRATA_OK;
}

strata_status strata__checkpoint_fits(strata_context *ctx, const strata__checkpoint *checkpoint,
                                      const strata__entry *entries, int count)
{
    for (int i = 0; i < count; i++) {
        if (!find_entry(ctx, checkpoint, &entries[i]))
            return ctx->status;
    }
    return check_complete(ctx, checkpoint, entries, count);
}

/* Nothing is read before everything is found to fit. */
static strata_status read_entries(strata_context *ctx, const strata__checkpoint *checkpoint,
                                  const strata__entry *entries, int count)
{
    STRATA_TRY(strata__checkpoint_fits(ctx, checkpoint, entries, count));
    for (int i = 0; i < count; i++)
        STRATA_TRY(read_entry(ctx, checkpoint, &entries[i]));
    return STRATA_OK;
}

strata_status strata__checkpoint_read(strata_context *ctx, const strata__checkpoint *checkpoint,
                                      const strata__entry *entries, int count)
{
    read_entries(ctx, checkpoint, entries, count);
    return strata__agree(ctx);
}

void strata__checkpoint_close(strata_context *ctx, strata__checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    strata__free(ctx, checkpoint->document);
    strata__free(ctx, checkpoint->places);
    strata__free(ctx, checkpoint->items);
    strata__free(ctx, checkpoint->entries);
    strata__tree_close(ctx, checkpoint->tree);
    strata__free(ctx, checkpoint);
}
