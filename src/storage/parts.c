/* The parts of arrays that each rank writes to a checkpoint: listed, counted, read back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "mesh/traffic.h"
#include "storage/crc32c.h"
#include "storage/saving.h"
#include "storage/tree.h"
#include "tensor/tensor.h"

/* Whether the name is made of names that a reader takes, and is none of ours. */
static bool is_entry_name(const char *name)
{
    if (strata__is_own_name(name))
        return false;
    for (const char *part = name;; part++) {
        size_t length = strcspn(part, "/");
        if (!strata__tree_is_name(part, length))
            return false;
        part += length;
        if (!*part)
            return true;
    }
}

static strata_status check_entry(strata_context *ctx, const strata__entry *entry)
{
    if (!is_entry_name(entry->name))
        return strata__fail(ctx, STRATA_INVALID,
                            "'%s' cannot be the name of an array in a checkpoint", entry->name);
    for (int i = 0; i < entry->shard_count; i++) {
        strata__place place = strata__place_of(&entry->shape, &entry->shards[i], 0);
        if (strata__place_elements(&place, &entry->shape) < 0)
            return strata__fail(ctx, STRATA_INTERNAL, "a shard of '%s' reaches out of it",
                                entry->name);
    }
    return STRATA_OK;
}

static int compare_names(const void *a, const void *b)
{
    const strata__entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Numbers the entries by the order of their names. */
static strata_status number_entries(strata__saving *save)
{
    const strata__entry *entries = save->contents->entries;
    size_t count = (size_t)save->contents->count;
    const strata__entry **sorted = strata__alloc(save->ctx, count * sizeof *sorted);
    save->positions = strata__alloc(save->ctx, count * sizeof *save->positions);
    if (!sorted || !save->positions) {
        strata__free(save->ctx, sorted);
        return save->ctx->status;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = &entries[i];
    qsort(sorted, count, sizeof *sorted, compare_names);
    strata_status status = STRATA_OK;
    for (size_t i = 0; i < count; i++) {
        save->positions[sorted[i] - entries] = (int64_t)i;
        if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status = strata__fail(save->ctx, STRATA_INVALID,
                                  "two arrays of a checkpoint are called '%s'", sorted[i]->name);
    }
    strata__free(save->ctx, sorted);
    return status;
}

static void add_part(strata__saving *save, int index, const strata__shard *shard)
{
    const strata__entry *entry = &save->contents->entries[index];
    strata__place place = strata__place_of(&entry->shape, shard, save->positions[index]);
    if (shard->writes && strata__place_elements(&place, &entry->shape) > 0)
        save->parts[save->part_count++] = (strata__part){index, place, shard->data};
}

strata_status strata__parts_list(strata__saving *save)
{
    const strata__contents *contents = save->contents;
    int64_t most = 1;
    for (int i = 0; i < contents->count; i++) {
        STRATA_TRY(check_entry(save->ctx, &contents->entries[i]));
        most += contents->entries[i].shard_count;
    }
    STRATA_TRY(number_entries(save));
    save->parts = strata__alloc(save->ctx, (size_t)most * sizeof *save->parts);
    if (!save->parts)
        return save->ctx->status;
    for (int i = 0; i < contents->count; i++) {
        for (int j = 0; j < contents->entries[i].shard_count; j++)
            add_part(save, i, &contents->entries[i].shards[j]);
    }
    return STRATA_OK;
}

strata_status strata__parts_check_cover(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    const strata__entry *entries = save->contents->entries;
    int count = save->contents->count;
    int64_t *written = strata__calloc(ctx, (size_t)count + 1, sizeof *written);
    if (strata__agree(ctx) == STRATA_OK) {
        for (int64_t i = 0; i < save->part_count; i++) {
            const strata__part *p = &save->parts[i];
            written[p->entry] += strata__place_elements(&p->place, &entries[p->entry].shape);
        }
        strata__sum(ctx, STRATA__WORLD, written, count, STRATA_INT64);
        for (int i = 0; i < count; i++) {
            int64_t elements = strata__product(&entries[i].shape, 0, entries[i].shape.rank);
            if (written[i] != elements)
                strata__fail(ctx, STRATA_INTERNAL,
                             "%lld elements of '%s' would be written to a checkpoint; it has %lld",
                             (long long)written[i], entries[i].name, (long long)elements);
        }
    }
    strata__free(ctx, written);
    return strata__agree(ctx);
}

strata_status strata__parts_count(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    const strata__mesh *mesh = ctx->mesh;
    save->counts = strata__calloc(ctx, 2 * (size_t)mesh->size, sizeof *save->counts);
    STRATA_TRY(strata__agree(ctx));
    save->counts[mesh->rank] = (int32_t)save->part_count;
    strata__sum(ctx, STRATA__WORLD, save->counts, mesh->size, STRATA_INT32);
    for (int i = 0; i < mesh->size; i++) {
        save->counts[mesh->size + i] = (int32_t)save->all_parts;
        save->all_parts += save->counts[i];
        if (save->all_parts > INT32_MAX)
            return strata__fail(ctx, STRATA_UNSUPPORTED,
                                "a checkpoint of more than %d parts of arrays", INT32_MAX);
    }
    return STRATA_OK;
}

strata_status strata__parts_gather(strata__saving *save, strata__place *all)
{
    strata_context *ctx = save->ctx;
    const strata__mesh *mesh = ctx->mesh;
    size_t count = (size_t)save->part_count, bytes = count * sizeof(strata__place);
    strata__place *own = strata__alloc(ctx, bytes);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        MPI_Datatype row;
        const char *outer = strata__begin(&ctx->activity, STRATA__COLLECTIVE, "gather of places");
        for (size_t i = 0; i < count; i++)
            own[i] = save->parts[i].place;
        MPI_Type_contiguous(STRATA__PLACE_COLUMNS, MPI_INT64_T, &row);
        MPI_Type_commit(&row);
        MPI_Gatherv(own, (int)count, row, all, save->counts, save->counts + mesh->size, row, 0,
                    mesh->comm);
        MPI_Type_free(&row);
        strata__traffic_sent(ctx, STRATA__WORLD, mesh->rank == 0 ? 0 : (int64_t)bytes);
        strata__end(&ctx->activity, STRATA__COLLECTIVE, outer);
    }
    strata__free(ctx, own);
    return status;
}

void strata__part_sum(const strata__saving *save, strata__part *part)
{
    const strata__entry *entry = &save->contents->entries[part->entry];
    part->place.crc32c =
        strata__crc32c(0, part->data,
                       (size_t)strata__place_elements(&part->place, &entry->shape) *
                           strata_dtype_size(entry->dtype));
}

static strata_status compare_part(const strata__saving *save, const strata__part *p)
{
    const strata__entry *entry = &save->contents->entries[p->entry];
    strata__bytes bytes = {.name = save->file.path, .fd = save->file.fd, .size = INT64_MAX};
    strata__stored stored = {.bytes = &bytes,
                             .offset = save->offsets[p->entry],
                             .shape = entry->shape,
                             .size = strata_dtype_size(entry->dtype)};
    uint32_t sum;
    STRATA_TRY(strata__stored_sum(save->ctx, &stored, &p->place, &sum));
    if (sum == p->place.crc32c)
        return STRATA_OK;
    return strata__fail(save->ctx, STRATA_IO,
                        "'%s' reads back from the new '%s' different from what was written",
                        entry->name, save->file.path);
}

strata_status strata__parts_compare(const strata__saving *save)
{
    for (int64_t i = 0; i < save->part_count; i++)
        STRATA_TRY(compare_part(save, &save->parts[i]));
    return STRATA_OK;
}
