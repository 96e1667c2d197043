/* Writing Keras's weight files: groups and contiguous datasets as h5py lays them out for Keras. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/weights_writer.h"

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/hdf5_types.h"

/* Not on ranks other than 0, nor after a failure. */
static bool is_writing(const strata__weights_writer *writer)
{
    return writer->hdf5.file >= 0 && writer->ctx->status == STRATA_OK;
}

static void check(strata__weights_writer *writer, bool good, const char *what)
{
    if (!good)
        strata__fail(writer->ctx, STRATA_IO, "cannot write '%s' of '%s'", what, writer->file.path);
}

static void start_file(strata_context *ctx, const char *path, strata__weights_writer *writer)
{
    if (strata__file_create(ctx, path, &writer->file) != STRATA_OK)
        return;
    strata__hdf5_settings before = strata__hdf5_quiet();
    strata__hdf5_create(ctx, &writer->file, &writer->hdf5);
    strata__hdf5_loud(ctx, &before);
}

strata_status strata__weights_create(strata_context *ctx, const char *path,
                                     strata__weights_writer **writer)
{
    *writer = strata__alloc(ctx, sizeof **writer);
    if (*writer) {
        **writer =
            (strata__weights_writer){.ctx = ctx, .file = {.fd = -1}, .hdf5 = STRATA__HDF5_NONE};
        if (ctx->mesh->rank == 0)
            start_file(ctx, path, *writer);
    }
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK) {
        strata__weights_discard(ctx, *writer);
        *writer = NULL;
    }
    return status;
}

/* Parents are made on the way. */
static hid_t new_group(hid_t file, const char *path)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE), group;
    H5Pset_create_intermediate_group(links, 1);
    group = H5Gcreate2(file, path, links, H5P_DEFAULT, H5P_DEFAULT);
    H5Pclose(links);
    return group;
}

/* The attribute as h5py writes a str: a scalar of variable-length UTF-8. */
static bool set_name(hid_t group, const char *name)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t attribute = H5Acreate2(group, "name", type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, type, &name) >= 0;
    if (attribute >= 0)
        good &= H5Aclose(attribute) >= 0;
    H5Sclose(space);
    H5Tclose(type);
    return good;
}

void strata__weights_add(strata__weights_writer *writer, const char *object, const char *name)
{
    if (!is_writing(writer))
        return;
    char *path = strata__format(writer->ctx, "%s%svars", object, *object ? "/" : "");
    if (!path)
        return;
    strata__hdf5_settings before = strata__hdf5_quiet();
    hid_t group = new_group(writer->hdf5.file, path);
    check(writer, group >= 0 && set_name(group, name), path);
    if (group >= 0)
        check(writer, H5Gclose(group) >= 0, path);
    strata__hdf5_loud(writer->ctx, &before);
    strata__free(writer->ctx, path);
}

/* Without times of change, so that equal weights make equal files. */
static bool write_dataset(hid_t file, const char *path, strata_dtype dtype,
                          const strata_shape *shape, const void *data)
{
    hsize_t dims[STRATA_MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (hsize_t)shape->dims[i];
    hid_t space = shape->rank ? H5Screate_simple(shape->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE), type = strata__hdf5_file_type(dtype);
    hid_t memory = dtype == STRATA_BOOL ? type : strata__hdf5_memory_type(dtype);
    H5Pset_obj_track_times(creation, 0);
    hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    bool good = dataset >= 0 && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    if (dataset >= 0)
        good &= H5Dclose(dataset) >= 0;
    H5Tclose(type);
    H5Pclose(creation);
    H5Sclose(space);
    return good;
}

void strata__weights_write(strata__weights_writer *writer, const char *object, int index,
                           strata_dtype dtype, strata_shape shape, const void *data)
{
    if (!is_writing(writer))
        return;
    char *path = strata__format(writer->ctx, "%s%svars/%d", object, *object ? "/" : "", index);
    if (!path)
        return;
    strata__hdf5_settings before = strata__hdf5_quiet();
    check(writer, write_dataset(writer->hdf5.file, path, dtype, &shape, data), path);
    strata__hdf5_loud(writer->ctx, &before);
    strata__free(writer->ctx, path);
}

void strata__weights_seal(strata__weights_writer *writer)
{
    if (writer->hdf5.file < 0)
        return;
    strata__hdf5_settings before = strata__hdf5_quiet();
    check(writer, strata__hdf5_close(&writer->hdf5), "the end");
    strata__hdf5_loud(writer->ctx, &before);
}

strata_status strata__weights_finish(strata_context *ctx, strata__weights_writer *writer)
{
    strata__weights_seal(writer);
    if (writer->file.temporary && ctx->status == STRATA_OK)
        strata__file_commit(ctx, &writer->file);
    strata__weights_discard(ctx, writer);
    return strata__agree(ctx);
}

void strata__weights_discard(strata_context *ctx, strata__weights_writer *writer)
{
    if (!writer)
        return;
    strata__weights_seal(writer);
    strata__file_discard(ctx, &writer->file);
    strata__free(ctx, writer);
}
