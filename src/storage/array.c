/* Arrays in files: opening, sizes, and reading rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/array.h"

#include <byteswap.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/memory.h"
#include "storage/file.h"
#include "storage/idx.h"
#include "storage/npy.h"

struct strata__array_parts {
    int fd;    /* of a plain file; -1: packed */
    gzFile gz; /* of a packed one */
    int64_t file_bytes;
    int64_t offset, bytes; /* of all elements, in the unpacked file */
    bool swapped;
    void *map; /* the whole file, or NULL */
};

enum { MAX_RATIO = 1032 }; /* deflate packs no better */

static strata_status packed_error(strata_context *ctx, const strata__array *array)
{
    int code = Z_OK;
    const char *words = gzerror(array->parts->gz, &code);
    return strata__fail(ctx, STRATA_BAD_DATA, "gzip file '%s' is damaged: %s", array->path,
                        code == Z_OK ? "it ends too early" : words);
}

/* Up to `size` bytes from the present place of a packed file; the number read, or -1 after an
 * error. */
static int64_t unpack(strata_context *ctx, const strata__array *array, void *out, int64_t size)
{
    const int64_t largest = (int64_t)1 << 30; /* gzread() counts in ints */
    int64_t done = 0;
    while (done < size) {
        int64_t count = size - done < largest ? size - done : largest;
        int got = gzread(array->parts->gz, (char *)out + done, (unsigned)count);
        if (got < 0) {
            packed_error(ctx, array);
            return -1;
        }
        if (got == 0)
            break;
        done += got;
    }
    return done;
}

static strata_status open_file(strata_context *ctx, strata__array *array)
{
    struct strata__array_parts *parts = array->parts;
    unsigned char first[2] = {0};
    parts->fd = strata__file_open(ctx, array->path, &parts->file_bytes);
    if (parts->fd < 0)
        return ctx->status;
    if (parts->file_bytes >= 2)
        STRATA_TRY(strata__read_at(ctx, parts->fd, array->path, 0, first, 2));
    if (first[0] != 0x1f || first[1] != 0x8b)
        return STRATA_OK;
    parts->gz = gzdopen(parts->fd, "rb");
    if (!parts->gz)
        return strata__fail(ctx, STRATA_NO_MEMORY, "no memory to unpack '%s'", array->path);
    parts->fd = -1;
    gzbuffer(parts->gz, 1 << 17);
    return STRATA_OK;
}

/* The start of the (unpacked) file; the number of bytes, or -1 after an error. */
static int64_t read_start(strata_context *ctx, const strata__array *array, unsigned char *start)
{
    const struct strata__array_parts *parts = array->parts;
    if (parts->gz)
        return unpack(ctx, array, start, STRATA__NPY_HEADER_SIZE);
    int64_t size =
        parts->file_bytes < STRATA__NPY_HEADER_SIZE ? parts->file_bytes : STRATA__NPY_HEADER_SIZE;
    return strata__read_at(ctx, parts->fd, array->path, 0, start, size) == STRATA_OK ? size : -1;
}

static strata_status parse(strata_context *ctx, const char *path, const unsigned char *start,
                           int64_t size, strata__array_header *header)
{
    if (strata__npy_is(start, size))
        return strata__npy_parse(ctx, path, start, size, header);
    if (strata__idx_is(start, size))
        return strata__idx_parse(ctx, path, start, size, header);
    return strata__fail(ctx, STRATA_BAD_DATA, "'%s' is neither an NPY nor an IDX file (%lld bytes)",
                        path, (long long)size);
}

/* Products of sizes, against overflow and the size of the file. */
static strata_status measure(strata_context *ctx, strata__array *array)
{
    struct strata__array_parts *parts = array->parts;
    int64_t row_bytes = (int64_t)strata_dtype_size(array->dtype);
    bool overflow = false;
    for (int i = 1; i < array->shape.rank; i++)
        overflow |= __builtin_mul_overflow(row_bytes, array->shape.dims[i], &row_bytes);
    array->rows = array->shape.rank ? array->shape.dims[0] : 1;
    array->row_bytes = row_bytes;
    overflow |= __builtin_mul_overflow(row_bytes, array->rows, &parts->bytes);
    int64_t expected;
    overflow |= __builtin_add_overflow(parts->bytes, parts->offset, &expected);
    if (overflow)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "the sizes in the header of '%s' multiply to over 2^63 bytes",
                            array->path);
    if (parts->gz ? expected / MAX_RATIO > parts->file_bytes : expected != parts->file_bytes)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "'%s' has %lld bytes%s; expected %lld from its header", array->path,
                            (long long)parts->file_bytes, parts->gz ? ", packed" : "",
                            (long long)expected);
    return STRATA_OK;
}

static strata_status read_header(strata_context *ctx, strata__array *array)
{
    unsigned char *start = strata__alloc(ctx, STRATA__NPY_HEADER_SIZE);
    if (!start)
        return ctx->status;
    strata__array_header header = {0};
    int64_t size = read_start(ctx, array, start);
    strata_status status = size < 0 ? ctx->status : parse(ctx, array->path, start, size, &header);
    strata__free(ctx, start);
    STRATA_TRY(status);
    array->dtype = header.dtype;
    array->shape = header.shape;
    array->parts->swapped = header.swapped;
    array->parts->offset = header.offset;
    return measure(ctx, array);
}

strata_status strata__array_open(strata_context *ctx, const char *path, strata__array **array)
{
    strata__array *opened = strata__calloc(ctx, 1, sizeof *opened);
    *array = NULL;
    if (!opened)
        return ctx->status;
    opened->path = strata__strdup(ctx, path);
    opened->parts = strata__calloc(ctx, 1, sizeof *opened->parts);
    strata_status status = ctx->status;
    if (opened->parts)
        opened->parts->fd = -1;
    if (opened->path && opened->parts) {
        status = open_file(ctx, opened);
        if (status == STRATA_OK)
            status = read_header(ctx, opened);
    }
    if (status != STRATA_OK) {
        strata__array_close(ctx, opened);
        return status;
    }
    *array = opened;
    return STRATA_OK;
}

/* Reverses the bytes of `count` elements. */
static void swap_bytes(void *elements, int64_t count, size_t size)
{
    char *at = elements;
    for (int64_t i = 0; i < count; i++, at += size) {
        if (size == 4) {
            uint32_t value;
            memcpy(&value, at, 4);
            value = bswap_32(value);
            memcpy(at, &value, 4);
        } else {
            uint64_t value;
            memcpy(&value, at, 8);
            value = bswap_64(value);
            memcpy(at, &value, 8);
        }
    }
}

/* Behind the last element a packed file must end, and its checksum be right. */
static strata_status check_end(strata_context *ctx, const strata__array *array)
{
    char more;
    int64_t got = unpack(ctx, array, &more, 1);
    if (got < 0)
        return ctx->status;
    if (got > 0)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "'%s' unpacks to more than the %lld bytes that its header gives",
                            array->path, (long long)(array->parts->offset + array->parts->bytes));
    int code = Z_OK;
    gzerror(array->parts->gz, &code);
    return code == Z_OK || code == Z_STREAM_END ? STRATA_OK : packed_error(ctx, array);
}

static strata_status read_packed(strata_context *ctx, const strata__array *array, int64_t first,
                                 void *out, int64_t bytes)
{
    const struct strata__array_parts *parts = array->parts;
    if (gzseek(parts->gz, (z_off_t)(parts->offset + first), SEEK_SET) < 0)
        return packed_error(ctx, array);
    int64_t got = unpack(ctx, array, out, bytes);
    if (got < 0)
        return ctx->status;
    if (got < bytes)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "'%s' ends too early: unpacked, %lld bytes were expected, %lld found",
                            array->path, (long long)(parts->offset + parts->bytes),
                            (long long)gztell(parts->gz));
    return first + bytes == parts->bytes ? check_end(ctx, array) : STRATA_OK;
}

strata_status strata__array_read(strata_context *ctx, strata__array *array, int64_t first,
                                 int64_t rows, void *out)
{
    const struct strata__array_parts *parts = array->parts;
    if (first < 0 || rows < 0 || first > array->rows || rows > array->rows - first)
        return strata__fail(ctx, STRATA_INVALID, "rows %lld to %lld do not exist in '%s' (%lld)",
                            (long long)first, (long long)(first + rows), array->path,
                            (long long)array->rows);
    int64_t at = first * array->row_bytes, bytes = rows * array->row_bytes;
    STRATA_TRY(parts->gz
                   ? read_packed(ctx, array, at, out, bytes)
                   : strata__read_at(ctx, parts->fd, array->path, parts->offset + at, out, bytes));
    size_t size = strata_dtype_size(array->dtype);
    if (parts->swapped)
        swap_bytes(out, bytes / (int64_t)size, size);
    return STRATA_OK;
}

const void *strata__array_map(strata__array *array)
{
    struct strata__array_parts *parts = array->parts;
    if (parts->gz || parts->swapped || parts->bytes == 0 ||
        parts->offset % (int64_t)strata_dtype_size(array->dtype) != 0)
        return NULL;
    if (!parts->map) {
        void *map = mmap(NULL, (size_t)parts->file_bytes, PROT_READ, MAP_SHARED, parts->fd, 0);
        parts->map = map == MAP_FAILED ? NULL : map;
    }
    return parts->map ? (const char *)parts->map + parts->offset : NULL;
}

void strata__array_close(strata_context *ctx, strata__array *array)
{
    if (!array)
        return;
    struct strata__array_parts *parts = array->parts;
    if (parts && parts->map)
        munmap(parts->map, (size_t)parts->file_bytes);
    if (parts && parts->gz)
        gzclose(parts->gz);
    else if (parts && parts->fd >= 0)
        close(parts->fd);
    strata__free(ctx, parts);
    strata__free(ctx, array->path);
    strata__free(ctx, array);
}
