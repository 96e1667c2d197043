/* Counted memory with a pool. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_MEMORY_H
#define STRATA_BASE_MEMORY_H

#include "base/context.h"

#define STRATA__ALIGNMENT 64

/*
 * 64-byte aligned memory from the context's pool; contents are undefined. NULL sets
 * STRATA_NO_MEMORY. Zero bytes give a valid pointer. Only the thread that owns the context may call
 * these.
 */
void *strata__alloc(strata_context *ctx, size_t bytes);
void *strata__calloc(strata_context *ctx, size_t count, size_t size);

/* Returns a block to the pool. NULL is fine. */
void strata__free(strata_context *ctx, void *block);

/* Keeps the old contents up to the smaller size. The old block stays valid when NULL is returned.
 */
void *strata__realloc(strata_context *ctx, void *block, size_t bytes);

char *strata__strdup(strata_context *ctx, const char *text); /* NULL gives NULL without an error */
char *strata__format(strata_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Gives the free lists back to the system. */
void strata__memory_trim(strata_context *ctx);

#endif
