/* Counted memory: free lists in size classes, four to each power of two. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* In front of each block, in a cache line of its own so that the block is aligned. */
typedef struct strata__block {
    struct strata__block *next;
    size_t size;  /* asked for */
    int category; /* index of its free list */
    uint32_t mark;
} block;

_Static_assert(sizeof(block) <= STRATA__ALIGNMENT, "the header fits in front of an aligned block");

enum { LIVE = 0x5741524d, FREED = 0x44454144 };

/* Class 4k + j holds blocks of (4 + j) · 2^(k+4) bytes: 64, 80, 96, 112, 128, 160, … */
static int category_of(size_t bytes)
{
    if (bytes <= 64)
        return 0;
    int log2 = 63 - __builtin_clzll((unsigned long long)bytes - 1);
    int quarter = (int)(((bytes - 1) >> (log2 - 2)) & 3) + 1;
    return (log2 - 6) * 4 + quarter;
}

static size_t category_size(int category)
{
    return (size_t)(4 + category % 4) << (category / 4 + 4);
}

/* What a block of the class takes from the system, header included. */
static size_t system_size(int category)
{
    size_t size = STRATA__ALIGNMENT + category_size(category);
    return (size + STRATA__ALIGNMENT - 1) & ~(size_t)(STRATA__ALIGNMENT - 1);
}

static void block_delete(strata__memory *memory, block *freed)
{
    memory->system_bytes -= (int64_t)system_size(freed->category);
    free(freed);
}

static block *header_of(void *memory)
{
    return (block *)(void *)((char *)memory - STRATA__ALIGNMENT);
}

static block *block_new(strata__memory *memory, int category)
{
    block *found = memory->free[category];
    if (found) {
        memory->free[category] = found->next;
        return found;
    }
    size_t size = system_size(category);
    found = aligned_alloc(STRATA__ALIGNMENT, size);
    if (!found)
        return NULL;
    memory->system_allocations++;
    memory->system_bytes += (int64_t)size;
    found->category = category;
    return found;
}

static void refuse(strata_context *ctx, size_t bytes)
{
    strata__fail(
        ctx, STRATA_NO_MEMORY,
        "cannot allocate %zu bytes (%lld are in use); use a smaller batch_size or more ranks",
        bytes, (long long)ctx->memory.live_bytes);
    if (ctx->no_way_back)
        ctx->no_way_back(ctx);
}

void *strata__alloc(strata_context *ctx, size_t bytes)
{
    strata__memory *memory = &ctx->memory;
    block *found = bytes > SIZE_MAX / 4 ? NULL : block_new(memory, category_of(bytes));
    if (!found) {
        refuse(ctx, bytes);
        return NULL;
    }
    found->mark = LIVE;
    found->size = bytes;
    memory->live_blocks++;
    memory->live_bytes += (int64_t)bytes;
    if (memory->live_bytes > memory->peak_bytes)
        memory->peak_bytes = memory->live_bytes;
    return (char *)found + STRATA__ALIGNMENT;
}

void *strata__calloc(strata_context *ctx, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    void *memory = strata__alloc(ctx, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void strata__free(strata_context *ctx, void *memory)
{
    if (!memory)
        return;
    block *freed = header_of(memory);
    if (freed->mark != LIVE) {
        fprintf(stderr, "strata: a block was freed twice or was never allocated here\n");
        abort();
    }
    freed->mark = FREED;
    ctx->memory.live_blocks--;
    ctx->memory.live_bytes -= (int64_t)freed->size;
#if defined(__SANITIZE_ADDRESS__)
    block_delete(&ctx->memory, freed); /* lets the sanitizer see a use after free */
#else
    freed->next = ctx->memory.free[freed->category];
    ctx->memory.free[freed->category] = freed;
#endif
}

void *strata__realloc(strata_context *ctx, void *memory, size_t bytes)
{
    void *moved = strata__alloc(ctx, bytes);
    if (!moved || !memory)
        return moved;
    size_t old = header_of(memory)->size;
    memcpy(moved, memory, old < bytes ? old : bytes);
    strata__free(ctx, memory);
    return moved;
}

char *strata__strdup(strata_context *ctx, const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = strata__alloc(ctx, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *strata__format(strata_context *ctx, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : strata__alloc(ctx, (size_t)length + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void strata__memory_trim(strata_context *ctx)
{
    for (int category = 0; category < STRATA__SIZE_CLASSES; category++) {
        while (ctx->memory.free[category]) {
            block *next = ctx->memory.free[category]->next;
            block_delete(&ctx->memory, ctx->memory.free[category]);
            ctx->memory.free[category] = next;
        }
    }
}
