/* Context, errors, log lines and automatic names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/context.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct strata__name_count {
    struct strata__name_count *next;
    char *prefix;
    int used;
} name_count;

static const struct {
    const char *text;
    int exit_code;
} statuses[] = {
#define STATUS(name, exit, words) [name] = {words, exit},
    STRATA_STATUS_LIST(STATUS)
#undef STATUS
};

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define DTYPE(id, text, bytes) [id] = {text, bytes},
    STRATA_DTYPE_LIST(DTYPE)
#undef DTYPE
};

const char *strata_status_text(strata_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].text : "unknown";
}

int strata_status_exit_code(strata_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].exit_code : 70;
}

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

strata_status strata__fail(strata_context *ctx, strata_status status, const char *format, ...)
{
    if (ctx->status != STRATA_OK)
        return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ctx->message, sizeof ctx->message, format, arguments);
    va_end(arguments);
    for (char *c = ctx->message; *c; c++) {
        if (iscntrl((unsigned char)*c)) /* what strangers' files say may hold anything */
            *c = ' ';
    }
    ctx->status = status;
    ctx->error_rank = -1;
    ctx->agreed = false;
    return status;
}

void strata__defer(strata_context *ctx, strata_status status, const char *format, ...)
{
    if (ctx->deferred_status != STRATA_OK)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ctx->deferred_message, sizeof ctx->deferred_message, format, arguments);
    va_end(arguments);
    ctx->deferred_status = status;
}

void strata__raise_deferred(strata_context *ctx)
{
    if (ctx->deferred_status == STRATA_OK)
        return;
    strata__fail(ctx, ctx->deferred_status, "%s", ctx->deferred_message);
    ctx->deferred_status = STRATA_OK;
}

static void print_line(const char *level, const char *format, va_list arguments)
{
    char line[STRATA__MESSAGE_SIZE];
    vsnprintf(line, sizeof line, format, arguments);
    fprintf(stderr, "strata: %s%s\n", level, line);
}

void strata__warn(strata_context *ctx, const char *format, ...)
{
    if (ctx->verbosity < 1 || ctx->rank != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line("warning: ", format, arguments);
    va_end(arguments);
}

void strata__inform(strata_context *ctx, const char *format, ...)
{
    if (ctx->verbosity < 2 || ctx->rank != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
}

strata_context *strata__context_new(void)
{
    strata_context *ctx = calloc(1, sizeof *ctx);
    if (ctx) {
        ctx->error_rank = -1;
        ctx->verbosity = 1;
        ctx->seed = 1;
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

static name_count *name_find(strata_context *ctx, const char *prefix)
{
    for (name_count *name = ctx->names; name; name = name->next) {
        if (strcmp(name->prefix, prefix) == 0)
            return name;
    }
    name_count *name = strata__alloc(ctx, sizeof *name);
    if (!name)
        return NULL;
    *name = (name_count){.next = ctx->names, .prefix = strata__strdup(ctx, prefix)};
    if (!name->prefix) {
        strata__free(ctx, name);
        return NULL;
    }
    ctx->names = name;
    return name;
}

char *strata__unique_name(strata_context *ctx, const char *prefix)
{
    name_count *name = name_find(ctx, prefix);
    if (!name)
        return NULL;
    int number = name->used++;
    return number ? strata__format(ctx, "%s_%d", prefix, number) : strata__strdup(ctx, prefix);
}

void strata__names_reset(strata_context *ctx)
{
    while (ctx->names) {
        name_count *next = ctx->names->next;
        strata__free(ctx, ctx->names->prefix);
        strata__free(ctx, ctx->names);
        ctx->names = next;
    }
}

/*
 * Keras's two substitutions, `_` between any character and [A-Z][a-z]+, then `_` between [a-z] and
 * [A-Z], in one pass; all in lower case.
 */
size_t strata__snake_case_into(const char *class_name, char *text, size_t size)
{
    size_t length = 0;
    char before = '\0';
    for (const char *c = class_name; *c && length + 2 < size; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_')
            continue;
        if (before && isupper((unsigned char)*c) &&
            (islower((unsigned char)c[1]) || islower((unsigned char)before)))
            text[length++] = '_';
        text[length++] = (char)tolower((unsigned char)*c);
        before = *c;
    }
    text[length] = '\0';
    return length;
}

char *strata__snake_case(strata_context *ctx, const char *class_name)
{
    size_t size = 2 * strlen(class_name) + 2;
    char *text = strata__alloc(ctx, size);
    if (text)
        strata__snake_case_into(class_name, text, size);
    return text;
}
