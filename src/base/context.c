/* The context, and the names of its settings and of dtypes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define DTYPE(id, text, bytes) [id] = {text, bytes},
    STRATA_DTYPE_LIST(DTYPE)
#undef DTYPE
};

const char *strata_dtype_name(strata_dtype dtype)
{
    return (size_t)dtype < sizeof dtypes / sizeof *dtypes ? dtypes[dtype].name : "unknown";
}

size_t strata_dtype_size(strata_dtype dtype)
{
    return (size_t)dtype < sizeof dtypes / sizeof *dtypes ? dtypes[dtype].size : 0;
}

bool strata_dtype_from_name(const char *name, strata_dtype *dtype)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *dtype = (strata_dtype)i;
            return true;
        }
    }
    return false;
}

static const char *const precisions[] = {
    [STRATA__FLOAT32] = "float32", [STRATA__MIXED_BFLOAT16] = "mixed_bfloat16"};

bool strata__precision_find(const char *name, strata__precision *precision)
{
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        if (strcmp(name, precisions[i]) == 0) {
            *precision = (strata__precision)i;
            return true;
        }
    }
    return false;
}

const char *strata__precision_name(strata__precision precision)
{
    return precisions[precision];
}

strata_context *strata__context_new(void)
{
    strata_context *ctx = calloc(1, sizeof *ctx);
    if (ctx) {
        ctx->error_rank = -1;
        ctx->verbosity = 1;
        ctx->settings.seed = 1;
    }
    return ctx;
}

int64_t strata__context_free(strata_context *ctx)
{
    if (!ctx)
        return 0;
    if (ctx->onednn_free)
        ctx->onednn_free(ctx);
    strata__names_reset(ctx);
    int64_t left = ctx->memory.live_blocks;
    strata__memory_trim(ctx);
    free(ctx);
    return left;
}
