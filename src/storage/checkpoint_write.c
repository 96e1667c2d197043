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
#include "storage/shard.h"
#include "storage/tree.h"
#include "tensor/tensor.h"

/* A part of an array that this rank writes. */
typedef struct part {
    int array;
    strata__place place;
    const void *data;
} part;

/* A checkpoint on its way. Its arrays are the caller's entries and, last, the document. */
typedef struct saving {
    strata_context *ctx;
    strata__entry *arrays; /* (count + 1) */
    int count;             /* of the caller's */
    strata__shard document;
    int64_t *positions; /* (count + 1) of each array among the sorted names */
    int64_t *offsets;   /* (count + 2) in the file, of each array and of /shards */
    part *parts;
    int64_t part_count, first_part, all_parts; /* of this rank; before it; of all ranks */
    strata__new_file file;                     /* on other ranks only the descriptor and names */
} saving;

/* Whether the name is made of names that a reader takes, and is none of ours. */
static bool is_entry_name(const char *name)
{
    if (strcmp(name, "document") == 0 || strcmp(name, "shards") == 0)
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

/* The document becomes the last array. Its size is known to rank 0. Collective. */
static strata_status list_arrays(saving *save, const strata__entry *entries, const char *document)
{
    strata_context *ctx = save->ctx;
    bool root = ctx->mesh->rank == 0;
    size_t count = (size_t)save->count;
    save->arrays = strata__alloc(ctx, (count + 1) * sizeof *save->arrays);
    save->positions = strata__alloc(ctx, (count + 1) * sizeof *save->positions);
    save->offsets = strata__calloc(ctx, count + 2, sizeof *save->offsets);
    STRATA_TRY(strata__agree(ctx));
    int64_t size = root ? (int64_t)strlen(document) : 0;
    strata__broadcast(ctx, STRATA__WORLD, 0, &size, sizeof size);
    if (count > 0)
        memcpy(save->arrays, entries, count * sizeof *entries);
    save->document = (strata__shard){
        .flat = true, .writes = root, .count = {root ? size : 0}, .data = (void *)document};
    save->arrays[count] = (strata__entry){.name = "document",
                                          .dtype = STRATA_UINT8,
                                          .shape = {.rank = 1, .dims = {size}},
                                          .shards = &save->document,
                                          .shard_count = 1};
    return STRATA_OK;
}

static int compare_names(const void *a, const void *b)
{
    const strata__entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Numbers the entries by the order of their names. */
static strata_status number_arrays(saving *save)
{
    const strata__entry **sorted =
        strata__alloc(save->ctx, ((size_t)save->count + 1) * sizeof *sorted);
    if (!sorted)
        return save->ctx->status;
    for (int i = 0; i < save->count; i++)
        sorted[i] = &save->arrays[i];
    qsort(sorted, (size_t)save->count, sizeof *sorted, compare_names);
    strata_status status = STRATA_OK;
    for (int i = 0; i < save->count; i++) {
        save->positions[sorted[i] - save->arrays] = i;
        if (i > 0 && strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status = strata__fail(save->ctx, STRATA_INVALID,
                                  "two arrays of a checkpoint are called '%s'", sorted[i]->name);
    }
    save->positions[save->count] = STRATA__DOCUMENT;
    strata__free(save->ctx, sorted);
    return status;
}

static void add_part(saving *save, int array, const strata__shard *shard)
{
    const strata__entry *entry = &save->arrays[array];
    strata__place place = strata__place_of(&entry->shape, shard, save->positions[array]);
    size_t bytes =
        (size_t)strata__place_elements(&place, &entry->shape) * strata_dtype_size(entry->dtype);
    if (bytes == 0 || !shard->writes)
        return;
    place.crc32c = strata__crc32c(0, shard->data, bytes);
    save->parts[save->part_count++] = (part){array, place, shard->data};
}

/* Lists what this rank writes, with checksums. */
static strata_status list_parts(saving *save)
{
    int64_t most = 1;
    for (int i = 0; i < save->count; i++) {
        STRATA_TRY(check_entry(save->ctx, &save->arrays[i]));
        most += save->arrays[i].shard_count;
    }
    STRATA_TRY(number_arrays(save));
    save->parts = strata__alloc(save->ctx, (size_t)most * sizeof *save->parts);
    if (!save->parts)
        return save->ctx->status;
    for (int i = 0; i <= save->count; i++) {
        for (int j = 0; j < save->arrays[i].shard_count; j++)
            add_part(save, i, &save->arrays[i].shards[j]);
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
        written[p->array] += strata__place_elements(&p->place, &save->arrays[p->array].shape);
    }
    strata__sum(save->ctx, STRATA__WORLD, written, save->count, STRATA_INT64);
    for (int i = 0; i < save->count; i++) {
        const strata_shape *shape = &save->arrays[i].shape;
        int64_t elements = strata__product(shape, 0, shape->rank);
        if (written[i] != elements)
            strata__fail(save->ctx, STRATA_INTERNAL,
                         "%lld elements of '%s' would be written to a checkpoint; it has %lld",
                         (long long)written[i], save->arrays[i].name, (long long)elements);
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

static bool write_version(hid_t file)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate2(file, "format_version", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    int32_t version = STRATA__CHECKPOINT_VERSION;
    bool good = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT32, &version) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return good;
}

static bool lay_out(saving *save, hid_t file)
{
    strata_shape table = {.rank = 2, .dims = {save->all_parts, STRATA__PLACE_COLUMNS}};
    int64_t *offset = save->offsets;
    bool good = write_version(file);
    for (int i = 0; i <= save->count && good; i++, offset++) {
        const strata__entry *array = &save->arrays[i];
        *offset = reserve(file, array->name, array->dtype, &array->shape);
        good = *offset >= 0;
        if (!good)
            strata__fail(save->ctx, STRATA_INVALID, "cannot make room for '%s' in '%s'",
                         array->name, save->file.path);
    }
    *offset = good ? reserve(file, "shards", STRATA_INT64, &table) : -1;
    return *offset >= 0;
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
    hid_t file = strata__hdf5_create(save->ctx, &save->file);
    bool good = file >= 0 && lay_out(save, file);
    if (file >= 0)
        good &= H5Fclose(file) >= 0;
    if (!good)
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
                      (save->count + 2) * (int64_t)sizeof *save->offsets);
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
    const strata__entry *array = &save->arrays[p->array];
    const strata__new_file *file = &save->file;
    int64_t size = (int64_t)strata_dtype_size(array->dtype), first;
    strata__runs runs = strata__runs_of(&p->place, &array->shape);
    const char *from = p->data;
    while (strata__runs_next(&runs, &first)) {
        STRATA_TRY(strata__write_at(save->ctx, file->fd, file->path,
                                    save->offsets[p->array] + first * size, from,
                                    runs.length * size));
        from += runs.length * size;
    }
    return strata__write_at(save->ctx, file->fd, file->path,
                            save->offsets[save->count + 1] + row * (int64_t)sizeof p->place,
                            &p->place, sizeof p->place);
}

/* What lies in the file now is what this rank holds. */
static strata_status compare_part(const saving *save, const part *p)
{
    const strata__entry *array = &save->arrays[p->array];
    strata__bytes bytes = {.name = save->file.path, .fd = save->file.fd, .size = INT64_MAX};
    strata__stored stored = {.bytes = &bytes,
                             .offset = save->offsets[p->array],
                             .shape = array->shape,
                             .size = strata_dtype_size(array->dtype)};
    uint32_t sum;
    STRATA_TRY(strata__stored_sum(save->ctx, &stored, &p->place, &sum));
    if (sum == p->place.crc32c)
        return STRATA_OK;
    return strata__fail(save->ctx, STRATA_IO,
                        "'%s' reads back from the new '%s' different from what was written",
                        array->name, save->file.path);
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

static strata_status save_all(saving *save, const char *path, const strata__entry *entries,
                              const char *document)
{
    strata_context *ctx = save->ctx;
    STRATA_TRY(list_arrays(save, entries, document));
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
    if (ctx->mesh->rank == 0)
        strata__file_commit(ctx, &save->file);
    return strata__agree(ctx);
}

strata_status strata__checkpoint_save(strata_context *ctx, const char *path,
                                      const strata__entry *entries, int count, const char *document)
{
    saving save = {.ctx = ctx, .count = count, .file = {.fd = -1}};
    strata_status status = save_all(&save, path, entries, document);
    if (ctx->mesh->rank != 0) { /* the name is rank 0's to remove */
        strata__free(ctx, save.file.temporary);
        save.file.temporary = NULL;
    }
    strata__file_discard(ctx, &save.file);
    strata__free(ctx, save.parts);
    strata__free(ctx, save.offsets);
    strata__free(ctx, save.positions);
    strata__free(ctx, save.arrays);
    return status;
}
