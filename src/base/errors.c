/* Errors, of which the first is kept; their names and exit codes; lines of the log. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include <strata/context.h>

#include "base/context.h"

static const struct {
    const char *text;
    int exit_code;
} statuses[] = {
#define STATUS(name, exit, words) [name] = {words, exit},
    STRATA_STATUS_LIST(STATUS)
#undef STATUS
};

const char *strata_status_text(strata_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].text : "unknown";
}

int strata_status_exit_code(strata_status status)
{
    return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].exit_code : 70;
}

/* --- the error of a context --- */

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

/* --- the log --- */

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

/* --- for programs --- */

strata_status strata_error(const strata_context *ctx)
{
    return ctx->status;
}

const char *strata_error_message(const strata_context *ctx)
{
    return ctx->status == STRATA_OK ? "" : ctx->message;
}

strata_status strata_fail(strata_context *ctx, strata_status status, const char *format, ...)
{
    char message[STRATA__MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return strata__fail(ctx, status, "%s", message);
}

void strata_error_clear(strata_context *ctx)
{
    ctx->status = STRATA_OK;
    ctx->message[0] = '\0';
    ctx->error_rank = -1;
}
