/* File names with numbers in them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/path_template.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "training/callback.h"
#include "training/history.h"

/* One {name:format}. */
typedef struct piece {
    char name[128];
    bool zeros;
    int width, precision; /* precision -1: not given */
    char type;            /* 0: not given */
} piece;

/* --- reading --- */

static int read_number(const char **at)
{
    int number = 0;
    for (; **at >= '0' && **at <= '9' && number < 100; ++*at)
        number = 10 * number + (**at - '0');
    return number;
}

static const char *read_format(const char *at, piece *p)
{
    p->zeros = *at == '0';
    p->width = read_number(&at);
    if (*at == '.' && at[1] >= '0' && at[1] <= '9') {
        at++;
        p->precision = read_number(&at);
    }
    if (*at && strchr("deEfFgG", *at))
        p->type = *at++;
    return at;
}

/* `at` stands behind '{'; gives the place behind '}', or NULL. */
static const char *read_piece(const char *at, piece *p)
{
    size_t length = strcspn(at, ":{}");
    *p = (piece){.precision = -1};
    if (length == 0 || length >= sizeof p->name)
        return NULL;
    memcpy(p->name, at, length);
    at += length;
    if (*at == ':')
        at = read_format(at + 1, p);
    bool fits = p->width < 100 && p->precision < 100;
    return *at == '}' && fits ? at + 1 : NULL;
}

/* --- writing --- */

static bool is_whole(const char *name)
{
    return strcmp(name, "epoch") == 0 || strcmp(name, "batch") == 0;
}

static void add_real(strata__text *text, const piece *p, double value)
{
    char format[] = "%0*.*f";
    char *end = format;
    *end++ = '%';
    if (p->zeros)
        *end++ = '0';
    memcpy(end, "*.*", 3);
    end += 3;
    *end++ = p->type ? p->type : 'g';
    *end = '\0';
    char number[512];
    snprintf(number, sizeof number, format, p->width, p->precision < 0 ? 6 : p->precision,
             isnan(value) ? fabs(value) : value);
    strata__text_puts(text, number);
}

static void add_whole(strata__text *text, const piece *p, int64_t value)
{
    if (p->type && p->type != 'd')
        add_real(text, p, (double)value);
    else
        strata__text_format(text, p->zeros ? "%0*lld" : "%*lld", p->width, (long long)value);
}

static strata_status add_log(strata__text *text, const char *owner, const piece *p,
                             const strata_logs *logs)
{
    int index = strata__logs_find(logs, p->name);
    if (index < 0)
        return strata__fail(text->ctx, STRATA_INVALID,
                            "%s: the file name asks for {%s}, which is not among the numbers of "
                            "this epoch or batch",
                            owner, p->name);
    if (p->type || p->precision >= 0 || p->width > 0)
        add_real(text, p, logs->values[index]);
    else
        strata__text_real(text, logs->values[index]);
    return STRATA_OK;
}

static strata_status add_piece(strata__text *text, const char *owner, const piece *p,
                               const strata__path_numbers *numbers)
{
    if (strcmp(p->name, "epoch") == 0)
        add_whole(text, p, numbers->epoch);
    else if (strcmp(p->name, "batch") == 0 && numbers->batch > 0)
        add_whole(text, p, numbers->batch);
    else
        return add_log(text, owner, p, numbers->logs);
    return STRATA_OK;
}

/* --- both --- */

/* What is done with the text between the pieces, and with each of them. */
typedef struct visitor {
    strata__text text;
    const char *owner;
    const strata__path_numbers *numbers; /* NULL: nothing is written */
    bool uses_logs;
} visitor;

static strata_status refuse(const visitor *v, const char *path_template, const char *at)
{
    return strata__fail(v->text.ctx, STRATA_INVALID,
                        "%s: cannot read the file name '%.200s' at '%.40s'; numbers are written "
                        "{epoch:02d} or {val_loss:.4f}, braces {{ and }}",
                        v->owner, path_template, at);
}

/* A plain character, or a doubled brace; gives the place behind it, or NULL for a '}' alone. */
static const char *visit_plain(visitor *v, const char *at)
{
    bool brace = *at == '{' || *at == '}';
    if (brace && at[1] != at[0])
        return NULL;
    strata__text_add(&v->text, at, 1);
    return at + 1 + brace;
}

/* A real cannot be written as a whole number, nor a whole number with a precision. */
static bool is_wrong(const piece *p)
{
    return p->type == 'd' && (!is_whole(p->name) || p->precision >= 0);
}

static strata_status visit_template(visitor *v, const char *path_template)
{
    const char *next;
    for (const char *at = path_template; *at; at = next) {
        piece p;
        bool plain = *at != '{' || at[1] == '{';
        next = plain ? visit_plain(v, at) : read_piece(at + 1, &p);
        if (!next || (!plain && is_wrong(&p)))
            return refuse(v, path_template, at);
        if (plain)
            continue;
        v->uses_logs |= !is_whole(p.name);
        if (v->numbers)
            STRATA_TRY(add_piece(&v->text, v->owner, &p, v->numbers));
    }
    return STRATA_OK;
}

strata_status strata__path_check(strata_context *ctx, const char *owner, const char *path_template,
                                 bool *uses_logs)
{
    visitor v = {.text.ctx = ctx, .owner = owner};
    strata_status status = visit_template(&v, path_template);
    *uses_logs = v.uses_logs;
    strata__free(ctx, strata__text_take(&v.text));
    return status;
}

char *strata__path_format(strata_context *ctx, const char *owner, const char *path_template,
                          const strata__path_numbers *numbers)
{
    visitor v = {.text.ctx = ctx, .owner = owner, .numbers = numbers};
    strata_status status = visit_template(&v, path_template);
    char *path = strata__text_take(&v.text);
    if (status == STRATA_OK)
        return path;
    strata__free(ctx, path);
    return NULL;
}
