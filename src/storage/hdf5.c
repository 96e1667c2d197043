/* HDF5 files over our own bytes: a driver, and quiet calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/hdf5.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* What a file is made of, one of the three. HDF5 carries it from the access list to open_file(). */
typedef struct source {
    strata_context *ctx;
    const strata__bytes *bytes;   /* to read */
    const strata__new_file *file; /* to write */
    strata__image *image;         /* to write */
} source;

typedef struct driver_file {
    H5FD_t base; /* first, HDF5's own */
    source from;
    haddr_t allocated, end; /* what HDF5 has given out; length of the file */
} driver_file;

strata__hdf5_settings strata__hdf5_quiet(void)
{
    strata__hdf5_settings before = {0};
    H5Eget_auto2(H5E_DEFAULT, &before.print, &before.print_data);
    H5PLget_loading_state(&before.plugins);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
    return before;
}

void strata__hdf5_loud(const strata_context *ctx, const strata__hdf5_settings *before)
{
    if (ctx->status == STRATA_OK)
        H5Eset_auto2(H5E_DEFAULT, before->print, before->print_data);
    H5PLset_loading_state(before->plugins);
}

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t limit)
{
    (void)name, (void)flags, (void)limit; /* the source says it all */
    const source *from = H5Pget_driver_info(access);
    driver_file *opened = from ? calloc(1, sizeof *opened) : NULL;
    if (!opened)
        return NULL;
    opened->from = *from;
    opened->end = from->bytes ? (haddr_t)from->bytes->size : 0;
    return &opened->base;
}

static herr_t close_file(H5FD_t *base)
{
    free(base);
    return 0;
}

static herr_t query(const H5FD_t *base, unsigned long *flags)
{
    (void)base; /* every file of ours is alike; HDF5 also asks about none */
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type; /* one space for all kinds of data */
    return ((const driver_file *)base)->allocated;
}

static herr_t set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((driver_file *)base)->allocated = address;
    return 0;
}

static haddr_t get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)base)->end;
}

/* A new file is read back now and then; behind its end are zeros. */
static strata_status read_new(const driver_file *opened, haddr_t address, size_t size, char *buffer)
{
    const source *from = &opened->from;
    if (from->image) {
        strata__image_read(from->image, (int64_t)address, buffer, (int64_t)size);
        return STRATA_OK;
    }
    size_t there = address < opened->end ? (size_t)(opened->end - address) : 0;
    if (there > size)
        there = size;
    memset(buffer + there, 0, size - there);
    return strata__read_at(from->ctx, from->file->fd, from->file->path, (int64_t)address, buffer,
                           (int64_t)there);
}

static herr_t read_bytes(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address,
                         size_t size, void *buffer)
{
    (void)type, (void)transfer;
    const driver_file *opened = (driver_file *)base;
    const source *from = &opened->from;
    if (address > INT64_MAX || size > INT64_MAX)
        return -1;
    strata_status status = from->bytes ? strata__bytes_read(from->ctx, from->bytes,
                                                            (int64_t)address, buffer, (int64_t)size)
                                       : read_new(opened, address, size, buffer);
    return status == STRATA_OK ? 0 : -1;
}

static strata_status write_new(const source *from, haddr_t address, const void *buffer, size_t size)
{
    STRATA_TRY(from->ctx->status);
    if (from->image)
        return strata__image_write(from->image, (int64_t)address, buffer, (int64_t)size);
    return strata__write_at(from->ctx, from->file->fd, from->file->path, (int64_t)address, buffer,
                            (int64_t)size);
}

static herr_t write_bytes(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address,
                          size_t size, const void *buffer)
{
    (void)type, (void)transfer;
    driver_file *opened = (driver_file *)base;
    if (opened->from.bytes || address > INT64_MAX || size > INT64_MAX)
        return -1;
    if (write_new(&opened->from, address, buffer, size) == STRATA_OK &&
        address + size > opened->end)
        opened->end = address + size;
    return 0;
}

static herr_t truncate_file(H5FD_t *base, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    driver_file *opened = (driver_file *)base;
    source *from = &opened->from;
    if (from->bytes || opened->end == opened->allocated)
        return 0;
    if (from->image)
        from->image->size = (int64_t)opened->allocated;
    else if (ftruncate(from->file->fd, (off_t)opened->allocated) != 0)
        strata__fail(from->ctx, STRATA_IO, "cannot set the length of '%s': %s", from->file->path,
                     strerror(errno));
    opened->end = opened->allocated;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)(H5_VFD_RESERVED + 2718),
#endif
    .name = "strata",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(source),
    .open = open_file,
    .close = close_file,
    .query = query,
    .get_eoa = get_eoa,
    .set_eoa = set_eoa,
    .get_eof = get_eof,
    .read = read_bytes,
    .write = write_bytes,
    .truncate = truncate_file,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* Access by a driver of its own, with every identifier of a file closed with it. */
static hid_t access_list(const source *from, hid_t driver_id)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_driver(access, driver_id, from);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    return access;
}

strata_status strata__hdf5_open(strata_context *ctx, const strata__bytes *bytes, strata__hdf5 *hdf5)
{
    *hdf5 = STRATA__HDF5_NONE;
    if (bytes->size > 0) {
        hdf5->driver = H5FDregister(&driver);
        hid_t access = access_list(&(source){.ctx = ctx, .bytes = bytes}, hdf5->driver);
        hdf5->file = H5Fopen(bytes->name, H5F_ACC_RDONLY, access);
        H5Pclose(access);
    }
    if (hdf5->file >= 0)
        return STRATA_OK;
    strata__hdf5_close(hdf5);
    return strata__fail(ctx, STRATA_BAD_DATA,
                        "'%s' is not an HDF5 file, or it is damaged or cut short (%lld bytes)",
                        bytes->name, (long long)bytes->size);
}

strata_status strata__hdf5_create(strata_context *ctx, const strata__new_file *file,
                                  strata__hdf5 *hdf5)
{
    hdf5->driver = H5FDregister(&driver);
    hid_t access = access_list(&(source){.ctx = ctx, .file = file}, hdf5->driver);
    hdf5->file = H5Fcreate(file->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (hdf5->file >= 0)
        return STRATA_OK;
    strata__hdf5_close(hdf5);
    return strata__fail(ctx, STRATA_IO, "cannot start an HDF5 file for '%s'", file->path);
}

strata_status strata__hdf5_create_image(strata__image *image, const strata__hdf5_space *space,
                                        strata__hdf5 *hdf5)
{
    hdf5->driver = H5FDregister(&driver);
    hid_t access = access_list(&(source){.ctx = image->ctx, .image = image}, hdf5->driver);
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(creation, (hsize_t)space->user_block);
    H5Pset_alignment(access, (hsize_t)space->aligned_from, (hsize_t)space->alignment);
    hdf5->file = H5Fcreate("image", H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    if (hdf5->file >= 0)
        return STRATA_OK;
    strata__hdf5_close(hdf5);
    return strata__fail(image->ctx, STRATA_INTERNAL, "cannot start an HDF5 file in memory");
}

bool strata__hdf5_close(strata__hdf5 *hdf5)
{
    bool good = hdf5->file < 0 || H5Fclose(hdf5->file) >= 0;
    if (hdf5->driver >= 0)
        H5FDunregister(hdf5->driver);
    *hdf5 = STRATA__HDF5_NONE;
    return good;
}
