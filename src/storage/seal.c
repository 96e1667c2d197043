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
    int64_t needed = (int64_t)sizeof(seal) + arrays * (int64_t)sizeof(strata__extent), bytes = 4096;
    while (bytes < needed)
        bytes *= 2;
    return bytes;
}

/* The bytes in front of extent `index`, or behind the last one, which belong to no extent. */
static strata__extent gap_before(const strata__extent *extents, int64_t count, int64_t index,
                                 int64_t first, int64_t file_bytes)
{
    if (index > 0)
        first = extents[index - 1].offset + extents[index - 1].bytes;
    return (strata__extent){first, (index < count ? extents[index].offset : file_bytes) - first};
}

/* CRC-32C of what lies in no extent; the user block is `head`, with 0 for its checksum. */
static strata_status sum_file(strata_context *ctx, const strata__bytes *bytes, const seal *head,
                              uint32_t *sum)
{
    *sum = strata__crc32c(0, head, (size_t)head->user_block);
    for (int64_t i = 0; i <= head->extent_count; i++) {
        strata__extent gap =
            gap_before(head->extents, head->extent_count, i, head->user_block, head->file_bytes);
        STRATA_TRY(strata__bytes_sum(ctx, bytes, gap.offset, gap.bytes, strata__crc32c, sum));
    }
    return STRATA_OK;
}

/* --- sealing --- */

/* Told of bytes of an image, one piece after the other. */
typedef strata_status take_bytes(void *user, int64_t offset, const char *data, int64_t bytes);

static strata_status pass_gap(const strata__image *image, strata__extent gap, take_bytes *take,
                              void *user)
{
    char piece[8192];
    while (gap.bytes > 0) {
        int64_t bytes = gap.bytes < (int64_t)sizeof piece ? gap.bytes : (int64_t)sizeof piece;
        strata__image_read(image, gap.offset, piece, bytes);
        STRATA_TRY(take(user, gap.offset, piece, bytes));
        gap.offset += bytes;
        gap.bytes -= bytes;
    }
    return STRATA_OK;
}

/* All that lies outside of the arrays, the user block first. */
static strata_status pass_gaps(const strata__image *image, const strata__extent *extents,
                               int64_t count, take_bytes *take, void *user)
{
    for (int64_t i = 0; i <= count; i++)
        STRATA_TRY(pass_gap(image, gap_before(extents, count, i, 0, image->size), take, user));
    return STRATA_OK;
}

static strata_status add_to_sum(void *user, int64_t offset, const char *data, int64_t bytes)
{
    uint32_t *sum = user;
    (void)offset;
    *sum = strata__crc32c(*sum, data, (size_t)bytes);
    return STRATA_OK;
}

static int compare_extents(const void *a, const void *b)
{
    const strata__extent *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

strata_status strata__seal_make(strata__image *image, uint64_t run, strata__extent *extents,
                                int64_t count)
{
    strata_context *ctx = image->ctx;
    seal *head = strata__calloc(ctx, 1, (size_t)strata__seal_bytes(count));
    if (!head)
        return ctx->status;
    memcpy(head->magic, magic, sizeof magic);
    head->version = STRATA__CHECKPOINT_VERSION;
    head->user_block = strata__seal_bytes(count);
    head->file_bytes = image->size;
    head->run = run;
    head->extent_count = count;
    if (count > 0) {
        qsort(extents, (size_t)count, sizeof *extents, compare_extents);
        memcpy(head->extents, extents, (size_t)count * sizeof *extents);
    }
    strata_status status = strata__image_write(image, 0, head, head->user_block);
    uint32_t sum = 0;
    if (status == STRATA_OK)
        status = pass_gaps(image, extents, count, add_to_sum, &sum);
    head->crc32c = sum;
    if (status == STRATA_OK)
        status = strata__image_write(image, 0, head, (int64_t)sizeof *head);
    strata__free(ctx, head);
    return status;
}

/* A file on its way. */
typedef struct target {
    strata_context *ctx;
    const strata__new_file *file;
} target;

static strata_status write_bytes(void *user, int64_t offset, const char *data, int64_t bytes)
{
    const target *to = user;
    return strata__write_at(to->ctx, to->file->fd, to->file->path, offset, data, bytes);
}

strata_status strata__seal_write(const strata__image *image, const strata__extent *extents,
                                 int64_t count, const strata__new_file *file)
{
    target to = {image->ctx, file};
    return pass_gaps(image, extents, count, write_bytes, &to);
}

/* --- checking --- */

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
