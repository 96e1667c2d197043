/* Automatic names: "dense", "dense_1", …, by class. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "base/context.h"
#include "base/memory.h"

typedef struct strata__name_count {
    struct strata__name_count *next;
    char *prefix;
    int used;
} name_count;

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
