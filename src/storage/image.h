/* A file in memory, mostly holes: what a checkpoint has besides its arrays. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_IMAGE_H
#define STRATA_STORAGE_IMAGE_H

#include "base/context.h"

struct strata__image_page;

/* Start with {.ctx}. Local, all of it. */
typedef struct strata__image {
    strata_context *ctx;
    int64_t size;                     /* of the file; grows with what is written */
    struct strata__image_page *pages; /* those that were written to, by their place */
    int count, room;
} strata__image;

strata_status strata__image_write(strata__image *image, int64_t offset, const void *data,
                                  int64_t bytes);

/* Holes, and what lies behind the end, are zeros. */
void strata__image_read(const strata__image *image, int64_t offset, void *data, int64_t bytes);

void strata__image_free(strata__image *image);

#endif
