/* The seal of a checkpoint: its first bytes, with a checksum over everything that is no array. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/seal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "storage/checkpoint.h"
#include "storage/crc32c.h"
#include "storage/file.h"

static const char magic[8] = "STRATACP";

typedef struct seal {
    char magic[8];
    int64_t version, user_block, file_bytes;
    uint64_t run;
    int64_t extent_count, crc32c;
    strata__extent extents[];
} seal;

int64_t strata__seal_bytes(int64_t arrays)
{
    int64_t needed = (int64_t)sizeof(seal) + arrays * (int64_t)sizeof(strata__extent), bytes = 512;
    while (bytes < needed)
        bytes *= 2;
    return bytes;
}

/* CRC-32C of what lies in no extent; the user block is `head`, with 0 for its checksum. */
static strata_status sum_file(strata_context *ctx, const strata__bytes *bytes, const seal *head,
                              uint32_t *sum)
{
    int64_t at = head->user_block;
    *sum = strata__crc32c(0, head, (size_t)at);
    for (int64_t i = 0; i < head->extent_count; i++) {
        const strata__extent *extent = &head->extents[i];
        STRATA_TRY(strata__bytes_sum(ctx, bytes, at, extent->offset - at, strata__crc32c, sum));
        at = extent->offset + extent->bytes;
    }
    return strata__bytes_sum(ctx, bytes, at, head->file_bytes - at, strata__crc32c, sum);
}

static int compare_extents(const void *a, const void *b)
{
    const strata__extent *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

strata_status strata__seal_write(strata_context *ctx, const strata__bytes *bytes, uint64_t run,
                                 strata__extent *extents, int64_t count)
{
    int64_t size = strata__seal_bytes(count);
    seal *head = strata__calloc(ctx, 1, (size_t)size);
    if (!head)
        return ctx->status;
    memcpy(head->magic, magic, sizeof magic);
    head->version = STRATA__CHECKPOINT_VERSION;
    head->user_block = size;
    head->file_bytes = bytes->size;
    head->run = run;
    head->extent_count = count;
    if (count > 0) {
        qsort(extents, (size_t)count, sizeof *extents, compare_extents);
        memcpy(head->extents, extents, (size_t)count * sizeof *extents);
    }
    uint32_t sum;
    strata_status status = sum_file(ctx, bytes, head, &sum);
    head->crc32c = sum;
    if (status == STRATA_OK)
        status = strata__write_at(ctx, bytes->fd, bytes->name, 0, head, size);
    strata__free(ctx, head);
    return status;
}

static strata_status damaged(strata_context *ctx, const strata__bytes *bytes, const char *what)
{
    return strata__fail(ctx, STRATA_BAD_DATA, "checkpoint '%s' is damaged: %s", bytes->name, what);
}

/* What the fixed part says, before the rest is believed. */
static strata_status check_head(strata_context *ctx, const strata__bytes *bytes, const seal *head)
{
    if (memcmp(head->magic, magic, sizeof magic) != 0)
        return strata__fail(ctx, STRATA_BAD_DATA, "'%s' is not a checkpoint of Strata",
                            bytes->name);
    if (head->version > STRATA__CHECKPOINT_VERSION)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "checkpoint '%s' has format version %lld, this program reads up to %d; "
                            "use a newer Strata",
                            bytes->name, (long long)head->version, STRATA__CHECKPOINT_VERSION);
    if (head->file_bytes != bytes->size)
        return strata__fail(ctx, STRATA_BAD_DATA,
                            "checkpoint '%s' is damaged: it has %lld bytes, not %lld", bytes->name,
                            (long long)bytes->size, (long long)head->file_bytes);
    if (head->extent_count < 0 || head->extent_count > bytes->size / 16 ||
        head->user_block != strata__seal_bytes(head->extent_count) ||
        head->user_block > bytes->size)
        return damaged(ctx, bytes, "its first bytes make no sense");
    return STRATA_OK;
}

/* The extents follow one another inside of the file. */
static strata_status check_extents(strata_context *ctx, const strata__bytes *bytes,
                                   const seal *head)
{
    int64_t at = head->user_block;
    for (int64_t i = 0; i < head->extent_count; i++) {
        const strata__extent *extent = &head->extents[i];
        if (extent->offset < at || extent->bytes < 0 || extent->offset > bytes->size ||
            extent->bytes > bytes->size - extent->offset)
            return damaged(ctx, bytes, "its list of arrays makes no sense");
        at = extent->offset + extent->bytes;
    }
    return STRATA_OK;
}

static strata_status check_sum(strata_context *ctx, const strata__bytes *bytes, seal *head)
{
    int64_t expected = head->crc32c;
    uint32_t sum;
    STRATA_TRY(check_extents(ctx, bytes, head));
    head->crc32c = 0;
    STRATA_TRY(sum_file(ctx, bytes, head, &sum));
    return sum == expected ? STRATA_OK
                           : damaged(ctx, bytes, "the checksum of its structures is wrong");
}

strata_status strata__seal_check(strata_context *ctx, const strata__bytes *bytes, uint64_t *run)
{
    seal head;
    if (bytes->size < (int64_t)sizeof head)
        return strata__fail(ctx, STRATA_BAD_DATA, "'%s' is not a checkpoint of Strata",
                            bytes->name);
    STRATA_TRY(strata__bytes_read(ctx, bytes, 0, &head, sizeof head));
    STRATA_TRY(check_head(ctx, bytes, &head));
    *run = head.run;
    seal *whole = strata__alloc(ctx, (size_t)head.user_block);
    if (!whole)
        return ctx->status;
    strata_status status = strata__bytes_read(ctx, bytes, 0, whole, head.user_block);
    if (status == STRATA_OK)
        status = check_sum(ctx, bytes, whole);
    strata__free(ctx, whole);
    return status;
}

uint64_t strata__seal_run(const char *path)
{
    seal head;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    bool sealed = fd >= 0 && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head &&
                  memcmp(head.magic, magic, sizeof magic) == 0 &&
                  head.version <= STRATA__CHECKPOINT_VERSION;
    if (fd >= 0)
        close(fd);
    return sealed ? head.run : 0;
}
