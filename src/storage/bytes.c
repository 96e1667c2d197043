/* A run of bytes to read from: part of a file, or memory; on one rank or on all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/bytes.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/file.h"

strata_status strata__bytes_open(strata_context *ctx, const char *path, strata__bytes *bytes)
{
    *bytes = (strata__bytes){.name = strata__strdup(ctx, path)};
    if (!bytes->name)
        return ctx->status;
    bytes->fd = strata__file_open(ctx, path, &bytes->size);
    if (bytes->fd >= 0)
        return STRATA_OK;
    strata__free(ctx, bytes->name);
    *bytes = (strata__bytes){0};
    return ctx->status;
}

strata_status strata__bytes_of_memory(strata_context *ctx, const char *name, char *memory,
                                      int64_t size, strata__bytes *bytes)
{
    *bytes = (strata__bytes){
        .name = strata__strdup(ctx, name), .memory = memory, .fd = -1, .size = size};
    if (bytes->name)
        return STRATA_OK;
    strata__free(ctx, memory);
    *bytes = (strata__bytes){0};
    return ctx->status;
}

strata_status strata__bytes_read(strata_context *ctx, const strata__bytes *bytes, int64_t offset,
                                 void *data, int64_t count)
{
    if (offset < 0 || count < 0 || offset > bytes->size || count > bytes->size - offset)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "'%s' ends too early: bytes %lld to %lld were expected, it has %lld",
                            bytes->name, (long long)offset, (long long)(offset + count),
                            (long long)bytes->size);
    if (!bytes->memory)
        return strata__read_at(ctx, bytes->fd, bytes->name, bytes->first + offset, data, count);
    memcpy(data, bytes->memory + offset, (size_t)count);
    return STRATA_OK;
}

strata_status strata__bytes_sum(strata_context *ctx, const strata__bytes *bytes, int64_t offset,
                                int64_t count, strata__sum_function *function, uint32_t *sum)
{
    const int64_t most = 1 << 18; /* stays in the cache between read and sum */
    char *piece = strata__alloc(ctx, (size_t)(count < most ? count : most));
    strata_status status = piece ? STRATA_OK : ctx->status;
    while (count > 0 && status == STRATA_OK) {
        int64_t size = count < most ? count : most;
        status = strata__bytes_read(ctx, bytes, offset, piece, size);
        if (status == STRATA_OK)
            *sum = function(*sum, piece, (size_t)size);
        offset += size;
        count -= size;
    }
    strata__free(ctx, piece);
    return status;
}

/* What the ranks are told before the bytes themselves. */
typedef struct announcement {
    int64_t name_size, first, size;
    bool copied;
} announcement;

/* The run of a file becomes one in memory. */
static void load(strata_context *ctx, strata__bytes *bytes)
{
    char *memory = strata__alloc(ctx, (size_t)bytes->size);
    if (!memory || strata__bytes_read(ctx, bytes, 0, memory, bytes->size) != STRATA_OK) {
        strata__free(ctx, memory);
        return;
    }
    close(bytes->fd);
    bytes->fd = -1;
    bytes->first = 0;
    bytes->memory = memory;
}

/* A rank other than 0 makes room for what was announced. */
static void prepare(strata_context *ctx, const announcement *about, strata__bytes *bytes)
{
    *bytes = (strata__bytes){.fd = -1, .first = about->first, .size = about->size};
    bytes->name = strata__alloc(ctx, (size_t)about->name_size);
    if (about->copied)
        bytes->memory = strata__alloc(ctx, (size_t)about->size);
}

/* Another rank opens the file of rank 0; a file of another size there is another file. */
static void open_announced(strata_context *ctx, const announcement *about, strata__bytes *bytes)
{
    int64_t size;
    bytes->fd = strata__file_open(ctx, bytes->name, &size);
    if (bytes->fd >= 0 && (about->first > size || about->size > size - about->first))
        strata__fail(
            ctx, STRATA_BAD_DATA,
            "'%s' has %lld bytes here but at least %lld on rank 0; is the file system shared?",
            bytes->name, (long long)size, (long long)(about->first + about->size));
}

strata_status strata__bytes_share(strata_context *ctx, strata__bytes *bytes, int64_t copy_limit)
{
    if (ctx->mesh->size == 1)
        return strata__agree(ctx);
    bool root = ctx->mesh->rank == 0;
    announcement about = {0};
    if (root && bytes->name) {
        if (!bytes->memory && bytes->size <= copy_limit)
            load(ctx, bytes);
        about = (announcement){.name_size = (int64_t)strlen(bytes->name) + 1,
                               .first = bytes->first,
                               .size = bytes->size,
                               .copied = bytes->memory != NULL};
    }
    STRATA_TRY(strata__agree(ctx));
    strata__broadcast(ctx, STRATA__WORLD, 0, &about, sizeof about);
    if (!root)
        prepare(ctx, &about, bytes);
    STRATA_TRY(strata__agree(ctx));
    strata__broadcast(ctx, STRATA__WORLD, 0, bytes->name, about.name_size);
    if (about.copied)
        strata__broadcast(ctx, STRATA__WORLD, 0, bytes->memory, about.size);
    else if (!root)
        open_announced(ctx, &about, bytes);
    return strata__agree(ctx);
}

void strata__bytes_free(strata_context *ctx, strata__bytes *bytes)
{
    if (bytes->name && !bytes->memory && bytes->fd >= 0)
        close(bytes->fd);
    strata__free(ctx, bytes->name);
    strata__free(ctx, bytes->memory);
    *bytes = (strata__bytes){0};
}
