/* The driver "pwrite" of checkpoints: every rank writes its own parts; nothing is collective. */
/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* sync_file_range */
#include <fcntl.h>

#include "storage/crc32c.h"
#include "storage/saving.h"

/* Bytes summed up and written at a time, so that they are read from memory once; bytes whose way to
 * the disk begins at a time. */
enum { CHUNK = 1 << 18, FLUSH = 1 << 23 };

/* The disk works while the next bytes are summed up. Of short runs other ranks' bytes lie between,
 * which are better written together. */
static void start_flush(const strata__saving *save, int64_t offset, int64_t bytes)
{
    if (bytes >= FLUSH)
        sync_file_range(save->file.fd, offset, bytes, SYNC_FILE_RANGE_WRITE);
}

static strata_status write_run(const strata__saving *save, int64_t offset, const char *from,
                               int64_t bytes, uint32_t *sum)
{
    int64_t flushed = 0;
    for (int64_t done = 0; done < bytes;) {
        int64_t piece = bytes - done < CHUNK ? bytes - done : CHUNK;
        *sum = strata__crc32c(*sum, from + done, (size_t)piece);
        STRATA_TRY(strata__write_at(save->ctx, save->file.fd, save->file.path, offset + done,
                                    from + done, piece));
        done += piece;
        if (done - flushed >= FLUSH) {
            start_flush(save, offset + flushed, done - flushed);
            flushed = done;
        }
    }
    return STRATA_OK;
}

static strata_status write_part(const strata__saving *save, strata__part *part)
{
    const strata__entry *entry = &save->contents->entries[part->entry];
    int64_t size = (int64_t)strata_dtype_size(entry->dtype), first;
    strata__runs runs = strata__runs_of(&part->place, &entry->shape);
    const char *from = part->data;
    uint32_t sum = 0;
    while (strata__runs_next(&runs, &first)) {
        STRATA_TRY(write_run(save, save->offsets[part->entry] + first * size, from,
                             runs.length * size, &sum));
        from += runs.length * size;
    }
    part->place.crc32c = sum;
    return STRATA_OK;
}

void strata__fill_by_pwrite(strata__saving *save)
{
    if (strata__saving_open(save) != STRATA_OK)
        return;
    for (int64_t i = 0; i < save->part_count; i++) {
        if (write_part(save, &save->parts[i]) != STRATA_OK)
            return;
    }
}
