/* Writing checkpoints: rank 0 reserves the file, all ranks write, sync and compare their parts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/crc32c.h"
#include "storage/hdf5_types.h"
#include "storage/seal.h"
#include "storage/shard.h"
#include "storage/tree.h"
#include "tensor/tensor.h"

/* A part of an array that this rank writes. */
typedef struct part {
    int entry;
    strata__place place;
    const void *data;
} part;

/* A checkpoint on its way. */
typedef struct saving {
    strata_context *ctx;
    const strata__entry *entries;
    int count;
    const char *document; /* on rank 0 */
    uint64_t run;
    int64_t *positions;   /* (count) of each entry among the sorted names */
    int64_t *offsets;     /* (count + 1) in the file, of each entry and of /shards */
    part *parts;
    int64_t part_count, first_part, all_parts; /* of this rank; before it; of all ranks */
    strata__new_file file;                     /* on other ranks only the descriptor and names */
} saving;

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
static strata_status number_entries(saving *save)
{
    size_t count = (size_t)save->count;
    const strata__entry **sorted = strata__alloc(save->ctx, count * sizeof *sorted);
    save->positions = strata__alloc(save->ctx, count * sizeof *save->positions);
    if (!sorted || !save->positions) {
        strata__free(save->ctx, sorted);
        return save->ctx->status;
    }
    for (int i = 0; i < save->count; i++)
        sorted[i] = &save->entries[i];
    qsort(sorted, count, sizeof *sorted, compare_names);
    strata_status status = STRATA_OK;
    for (int i = 0; i < save->count; i++) {
        save->positions[sorted[i] - save->entries] = i;
        if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status = strata__fail(save->ctx, STRATA_INVALID,
                                  "two arrays of a checkpoint are called '%s'", sorted[i]->name);
    }
    strata__free(save->ctx, sorted);
    return status;
}

static void add_part(saving *save, int index, const strata__shard *shard)
{
    const strata__entry *entry = &save->entries[index];
    strata__place place = strata__place_of(&entry->shape, shard, save->positions[index]);
    size_t bytes =
        (size_t)strata__place_elements(&place, &entry->shape) * strata_dtype_size(entry->dtype);
    if (bytes == 0 || !shard->writes)
        return;
    place.crc32c = strata__crc32c(0, shard->data, bytes);
    save->parts[save->part_count++] = (part){index, place, shard->data};
}

/* Lists what this rank writes, with checksums. */
static strata_status list_parts(saving *save)
{
    int64_t most = 1;
    for (int i = 0; i < save->count; i++) {
        STRATA_TRY(check_entry(save->ctx, &save->entries[i]));
        most += save->entries[i].shard_count;
    }
    STRATA_TRY(number_entries(save));
    save->parts = strata__alloc(save->ctx, (size_t)most * sizeof *save->parts);
    if (!save->parts)
        return save->ctx->status;
    for (int i = 0; i < save->count; i++) {
        for (int j = 0; j < save->entries[i].shard_count; j++)
            add_part(save, i, &save->entries[i].shards[j]);
    }
    return STRATA_OK;
}

/* Every element of every array has one writer, as far as numbers tell. Collective. */
static strata_status check_cover(const saving *save)
{
    int64_t *written = strata__calloc(save->ctx, (size_t)save->count + 1, sizeof *written);
    STRATA_TRY(strata__agree(save->ctx));
    for (int64_t i = 0; i < save->part_count; i++) {
        const part *p = &save->parts[i];
        written[p->entry] += strata__place_elements(&p->place, &save->entries[p->entry].shape);
    }
    strata__sum(save->ctx, STRATA__WORLD, written, save->count, STRATA_INT64);
    for (int i = 0; i < save->count; i++) {
        const strata_shape *shape = &save->entries[i].shape;
        int64_t elements = strata__product(shape, 0, shape->rank);
        if (written[i] != elements)
            strata__fail(save->ctx, STRATA_INTERNAL,
                         "%lld elements of '%s' would be written to a checkpoint; it has %lld",
                         (long long)written[i], save->entries[i].name, (long long)elements);
    }
    strata__free(save->ctx, written);
    return strata__agree(save->ctx);
}

/* Which rows of /shards are whose. Collective. */
static strata_status number_parts(saving *save)
{
    const strata__mesh *mesh = save->ctx->mesh;
    int64_t *counts = strata__calloc(save->ctx, (size_t)mesh->size, sizeof *counts);
    STRATA_TRY(strata__agree(save->ctx));
    counts[mesh->rank] = save->part_count;
    strata__sum(save->ctx, STRATA__WORLD, counts, mesh->size, STRATA_INT64);
    for (int i = 0; i < mesh->size; i++) {
        save->first_part += i < mesh->rank ? counts[i] : 0;
        save->all_parts += counts[i];
    }
    strata__free(save->ctx, counts);
    return STRATA_OK;
}

/* A contiguous dataset whose space is there but not filled; its offset in the file, or negative. */
static int64_t reserve(hid_t file, const char *name, strata_dtype dtype, const strata_shape *shape)
{
    hsize_t dims[STRATA_MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dims[i];
    hid_t space = shape->rank ? H5Screate_simple(shape->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t type = strata__hdf5_file_type(dtype);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation, 0);
    H5Pset_create_intermediate_group(links, 1);
    hid_t dataset = H5Dcreate2(file, name, type, space, links, creation, H5P_DEFAULT);
    int64_t offset = -1;
    if (dataset >= 0) {
        bool empty = strata__product(shape, 0, shape->rank) == 0;
        offset = empty ? 0 : (int64_t)H5Dget_offset(dataset);
        H5Dclose(dataset);
    }
    H5Tclose(type);
    H5Pclose(links);
    H5Pclose(creation);
    H5Sclose(space);
    return offset;
}

/* For those who look; the version that counts is in the seal. */
static bool write_version(hid_t file)
{
    const int32_t version = STRATA__CHECKPOINT_VERSION;
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate2(file, "format_version", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT32, &version) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return good;
}

static bool write_document(const saving *save, hid_t file)
{
    int64_t size = (int64_t)strlen(save->document);
    strata_shape shape = {.rank = 1, .dims = {size}};
    int64_t offset = reserve(file, "document", STRATA_UINT8, &shape);
    return offset >= 0 && strata__write_at(save->ctx, save->file.fd, save->file.path, offset,
                                           save->document, size) == STRATA_OK;
}

static bool lay_out(saving *save, hid_t file)
{
    strata_shape table = {.rank = 2, .dims = {save->all_parts, STRATA__PLACE_COLUMNS}};
    bool good = write_version(file) && write_document(save, file);
    for (int i = 0; i < save->count && good; i++) {
        const strata__entry *entry = &save->entries[i];
        save->offsets[i] = reserve(file, entry->name, entry->dtype, &entry->shape);
        good = save->offsets[i] >= 0;
        if (!good)
            strata__fail(save->ctx, STRATA_INVALID, "cannot make room for '%s' in '%s'",
                         entry->name, save->file.path);
    }
    int64_t *table_offset = &save->offsets[save->count];
    *table_offset = good ? reserve(file, "shards", STRATA_INT64, &table) : -1;
    return *table_offset >= 0;
}

/* All the space that the file will take is taken now, where one rank alone finds a full disk. */
static void reserve_space(saving *save)
{
    struct stat about;
    int error = fstat(save->file.fd, &about) == 0 ? posix_fallocate(save->file.fd, 0, about.st_size)
                                                  : errno;
    if (error)
        strata__fail(save->ctx, STRATA_IO, "cannot reserve space for '%s': %s", save->file.path,
                     strerror(error));
}

/* On rank 0 alone. */
static void start_file(saving *save, const char *path)
{
    if (strata__file_create(save->ctx, path, &save->file) != STRATA_OK)
        return;
    strata__hdf5_settings before = strata__hdf5_quiet();
    strata__hdf5 hdf5;
    bool good = strata__hdf5_create(save->ctx, &save->file, strata__seal_bytes(save->count),
                                    &hdf5) == STRATA_OK &&
                lay_out(save, hdf5.file);
    if (!strata__hdf5_close(&hdf5) || !good)
        strata__fail(save->ctx, STRATA_IO, "cannot lay out '%s'", path);
    strata__hdf5_loud(save->ctx, &before);
    if (save->ctx->status == STRATA_OK)
        reserve_space(save);
}

/* The other ranks open what rank 0 has laid out. Collective. */
static strata_status join_file(saving *save)
{
    strata_context *ctx = save->ctx;
    bool root = ctx->mesh->rank == 0;
    int64_t sizes[2] = {0};
    if (root) {
        sizes[0] = (int64_t)strlen(save->file.path) + 1;
        sizes[1] = (int64_t)strlen(save->file.temporary) + 1;
    }
    strata__broadcast(ctx, STRATA__WORLD, 0, sizes, sizeof sizes);
    if (!root) {
        save->file.path = strata__alloc(ctx, (size_t)sizes[0]);
        save->file.temporary = strata__alloc(ctx, (size_t)sizes[1]);
    }
    STRATA_TRY(strata__agree(ctx));
    strata__broadcast(ctx, STRATA__WORLD, 0, save->file.path, sizes[0]);
    strata__broadcast(ctx, STRATA__WORLD, 0, save->file.temporary, sizes[1]);
    strata__broadcast(ctx, STRATA__WORLD, 0, save->offsets,
                      (save->count + 1) * (int64_t)sizeof *save->offsets);
    if (!root)
        save->file.fd = open(save->file.temporary, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (save->file.fd < 0)
        strata__fail(ctx, STRATA_IO, "cannot open the new '%s': %s; is the file system shared?",
                     save->file.path, strerror(errno));
    return strata__agree(ctx);
}

/* Puts a part at its place, and its row into /shards. */
static strata_status write_part(const saving *save, const part *p, int64_t row)
{
    const strata__entry *entry = &save->entries[p->entry];
    const strata__new_file *file = &save->file;
    int64_t size = (int64_t)strata_dtype_size(entry->dtype), first;
    strata__runs runs = strata__runs_of(&p->place, &entry->shape);
    const char *from = p->data;
    while (strata__runs_next(&runs, &first)) {
        STRATA_TRY(strata__write_at(save->ctx, file->fd, file->path,
                                    save->offsets[p->entry] + first * size, from,
                                    runs.length * size));
        from += runs.length * size;
    }
    return strata__write_at(save->ctx, file->fd, file->path,
                            save->offsets[save->count] + row * (int64_t)sizeof p->place, &p->place,
                            sizeof p->place);
}

/* What lies in the file now is what this rank holds. */
static strata_status compare_part(const saving *save, const part *p)
{
    const strata__entry *entry = &save->entries[p->entry];
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

/* What each rank does by itself; the caller agrees. */
static strata_status write_and_compare(const saving *save)
{
    for (int64_t i = 0; i < save->part_count; i++)
        STRATA_TRY(write_part(save, &save->parts[i], save->first_part + i));
    if (fsync(save->file.fd) != 0)
        return strata__fail(save->ctx, STRATA_IO, "cannot sync '%s': %s", save->file.path,
                            strerror(errno));
    for (int64_t i = 0; i < save->part_count; i++)
        STRATA_TRY(compare_part(save, &save->parts[i]));
    return STRATA_OK;
}

/* On rank 0, when all arrays are in the file. */
static strata_status seal_file(const saving *save)
{
    struct stat about;
    if (fstat(save->file.fd, &about) != 0)
        return strata__fail(save->ctx, STRATA_IO, "cannot look at '%s': %s", save->file.path,
                            strerror(errno));
    strata__extent *extents = strata__alloc(save->ctx, ((size_t)save->count + 1) * sizeof *extents);
    if (!extents)
        return save->ctx->status;
    int64_t count = 0;
    for (int i = 0; i < save->count; i++) {
        const strata__entry *entry = &save->entries[i];
        int64_t bytes = strata__product(&entry->shape, 0, entry->shape.rank) *
                        (int64_t)strata_dtype_size(entry->dtype);
        extents[count++] = (strata__extent){bytes ? save->offsets[i] : about.st_size, bytes};
    }
    strata__bytes bytes = {
        .name = save->file.path, .fd = save->file.fd, .size = (int64_t)about.st_size};
    strata_status status = strata__seal_write(save->ctx, &bytes, save->run, extents, count);
    strata__free(save->ctx, extents);
    return status;
}

/* Every rank leaves at the same place; the end is agreed by the caller. */
static strata_status save_all(saving *save, const char *path)
{
    strata_context *ctx = save->ctx;
    save->offsets = strata__calloc(ctx, (size_t)save->count + 1, sizeof *save->offsets);
    list_parts(save);
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(check_cover(save));
    STRATA_TRY(number_parts(save));
    if (ctx->mesh->rank == 0)
        start_file(save, path);
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(join_file(save));
    write_and_compare(save);
    STRATA_TRY(strata__agree(ctx));
    if (ctx->mesh->rank == 0 && seal_file(save) == STRATA_OK)
        strata__file_commit(ctx, &save->file);
    return ctx->status;
}

strata_status strata__checkpoint_save(strata_context *ctx, const char *path,
                                      const strata__contents *contents)
{
    saving save = {.ctx = ctx,
                   .entries = contents->entries,
                   .count = contents->count,
                   .document = contents->document,
                   .run = contents->run,
                   .file = {.fd = -1}};
    const char *outer = strata__begin(&ctx->activity, STRATA__PHASE, "checkpoint");
    save_all(&save, path);
    if (ctx->mesh->rank != 0) { /* the name is rank 0's to remove */
        strata__free(ctx, save.file.temporary);
        save.file.temporary = NULL;
    }
    strata__file_discard(ctx, &save.file);
    strata__free(ctx, save.parts);
    strata__free(ctx, save.offsets);
    strata__free(ctx, save.positions);
    strata_status status = strata__agree(ctx);
    strata__end(&ctx->activity, STRATA__PHASE, outer);
    return status;
}
