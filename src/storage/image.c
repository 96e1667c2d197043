/* A file in memory, mostly holes: what a checkpoint has besides its arrays. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/image.h"

#include <string.h>

#include "base/memory.h"

enum { PAGE_BYTES = 4096 };

typedef struct strata__image_page {
    int64_t number; /* it begins at number · PAGE_BYTES */
    char *data;     /* (PAGE_BYTES) */
} page;

/* The first page whose number is not below. */
static int find_from(const strata__image *image, int64_t number)
{
    int low = 0, high = image->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (image->pages[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static strata_status make_room(strata__image *image)
{
    if (image->count < image->room)
        return STRATA_OK;
    int more = image->room ? 2 * image->room : 64;
    page *moved = strata__realloc(image->ctx, image->pages, (size_t)more * sizeof *image->pages);
    if (!moved)
        return image->ctx->status;
    image->pages = moved;
    image->room = more;
    return STRATA_OK;
}

/* The page's bytes, zeros at first; NULL without memory. */
static char *page_of(strata__image *image, int64_t number)
{
    int at = find_from(image, number);
    if (at < image->count && image->pages[at].number == number)
        return image->pages[at].data;
    char *data = strata__calloc(image->ctx, 1, PAGE_BYTES);
    if (!data || make_room(image) != STRATA_OK) {
        strata__free(image->ctx, data);
        return NULL;
    }
    memmove(&image->pages[at + 1], &image->pages[at],
            (size_t)(image->count - at) * sizeof *image->pages);
    image->pages[at] = (page){number, data};
    image->count++;
    return data;
}

/* How many of `bytes` from `offset` on lie in one page. */
static int64_t in_page(int64_t offset, int64_t bytes)
{
    int64_t rest = PAGE_BYTES - offset % PAGE_BYTES;
    return bytes < rest ? bytes : rest;
}

strata_status strata__image_write(strata__image *image, int64_t offset, const void *data,
                                  int64_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        int64_t part = in_page(offset, bytes);
        char *to = page_of(image, offset / PAGE_BYTES);
        if (!to)
            return image->ctx->status;
        memcpy(to + offset % PAGE_BYTES, from, (size_t)part);
        from += part;
        offset += part;
        bytes -= part;
    }
    if (image->size < offset)
        image->size = offset;
    return STRATA_OK;
}

void strata__image_read(const strata__image *image, int64_t offset, void *data, int64_t bytes)
{
    char *to = data;
    for (int at = find_from(image, offset / PAGE_BYTES); bytes > 0;) {
        int64_t part = in_page(offset, bytes);
        if (at < image->count && image->pages[at].number == offset / PAGE_BYTES)
            memcpy(to, image->pages[at++].data + offset % PAGE_BYTES, (size_t)part);
        else
            memset(to, 0, (size_t)part);
        to += part;
        offset += part;
        bytes -= part;
    }
}

void strata__image_free(strata__image *image)
{
    for (int i = 0; i < image->count; i++)
        strata__free(image->ctx, image->pages[i].data);
    strata__free(image->ctx, image->pages);
    *image = (strata__image){.ctx = image->ctx};
}
