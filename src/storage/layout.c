/* The layout of a checkpoint: HDF5's structures, document, table of parts and seal, in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>

#include "base/memory.h"
#include "storage/hdf5_types.h"
#include "storage/hdf5.h"
#include "storage/saving.h"
#include "storage/seal.h"
#include "tensor/tensor.h"

/* Arrays of some size begin at pages, so that writes of whole pages go through as such. */
enum { ALIGNED_FROM = 1 << 16, ALIGNMENT = 4096 };

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

static bool write_document(strata__saving *save, hid_t file)
{
    const char *document = save->contents->document;
    int64_t size = (int64_t)strlen(document);
    strata_shape shape = {.rank = 1, .dims = {size}};
    int64_t offset = reserve(file, "document", STRATA_UINT8, &shape);
    return offset >= 0 && strata__image_write(&save->image, offset, document, size) == STRATA_OK;
}

static bool lay_out(strata__saving *save, hid_t file)
{
    const strata__contents *contents = save->contents;
    strata_shape table = {.rank = 2, .dims = {save->all_parts, STRATA__PLACE_COLUMNS}};
    bool good = write_version(file) && write_document(save, file);
    for (int i = 0; i < contents->count && good; i++) {
        const strata__entry *entry = &contents->entries[i];
        save->offsets[i] = reserve(file, entry->name, entry->dtype, &entry->shape);
        good = save->offsets[i] >= 0;
        if (!good)
            strata__fail(save->ctx, STRATA_INVALID, "cannot make room for '%s' in a checkpoint",
                         entry->name);
    }
    int64_t *table_offset = &save->offsets[contents->count];
    *table_offset = good ? reserve(file, "shards", STRATA_INT64, &table) : -1;
    return *table_offset >= 0;
}

strata_status strata__layout_make(strata__saving *save)
{
    const strata__hdf5_space space = {.user_block = strata__seal_bytes(save->contents->count),
                                      .aligned_from = ALIGNED_FROM,
                                      .alignment = ALIGNMENT};
    strata__hdf5_settings before = strata__hdf5_quiet();
    strata__hdf5 hdf5;
    bool good = strata__hdf5_create_image(&save->image, &space, &hdf5) == STRATA_OK &&
                lay_out(save, hdf5.file);
    if (!strata__hdf5_close(&hdf5) || !good)
        strata__fail(save->ctx, STRATA_INTERNAL, "cannot lay out a checkpoint in memory");
    strata__hdf5_loud(save->ctx, &before);
    return save->ctx->status;
}

strata_status strata__layout_set_places(strata__saving *save, const strata__place *places)
{
    return strata__image_write(&save->image, save->offsets[save->contents->count], places,
                               save->all_parts * (int64_t)sizeof *places);
}

/* Where the arrays lie; the empty ones at the end. */
static strata__extent *list_extents(const strata__saving *save)
{
    int count = save->contents->count;
    strata__extent *extents = strata__alloc(save->ctx, ((size_t)count + 1) * sizeof *extents);
    for (int i = 0; i < count && extents; i++) {
        const strata__entry *entry = &save->contents->entries[i];
        int64_t bytes = strata__product(&entry->shape, 0, entry->shape.rank) *
                        (int64_t)strata_dtype_size(entry->dtype);
        extents[i] = (strata__extent){bytes ? save->offsets[i] : save->image.size, bytes};
    }
    return extents;
}

/* What the file holds outside of the arrays is what was meant. */
static strata_status check_file(const strata__saving *save)
{
    strata_context *ctx = save->ctx;
    strata__bytes bytes = {.name = save->file.path, .fd = save->file.fd, .size = save->image.size};
    uint64_t run;
    if (strata__seal_check(ctx, &bytes, &run) != STRATA_BAD_DATA)
        return ctx->status;
    strata_error_clear(ctx);
    return strata__fail(ctx, STRATA_IO,
                        "the structures of the new '%s' read back different from what was written",
                        save->file.path);
}

strata_status strata__layout_write(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    int count = save->contents->count;
    strata__extent *extents = list_extents(save);
    if (extents &&
        strata__seal_make(&save->image, save->contents->run, extents, count) == STRATA_OK &&
        strata__seal_write(&save->image, extents, count, &save->file) == STRATA_OK)
        check_file(save);
    strata__free(ctx, extents);
    return ctx->status;
}
