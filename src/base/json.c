/* Strict reading of JSON as Python writes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* Python's literals for numbers that JSON does not have. */
static const struct {
    const char *name;
    double value;
} literals[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};

enum { LITERALS = sizeof literals / sizeof *literals };

json_t *strata__json_real(double value)
{
    if (isfinite(value))
        return json_real(value);
    const char *name = isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
    return json_stringn(name, strlen(name) + 1);
}

bool strata__json_number(const json_t *json, double *value)
{
    if (json_is_number(json)) {
        *value = json_number_value(json);
        return true;
    }
    if (!json_is_string(json))
        return false;
    const char *text = json_string_value(json);
    size_t length = json_string_length(json);
    for (int i = 0; i < LITERALS; i++) {
        if (length == strlen(literals[i].name) + 1 && memcmp(text, literals[i].name, length) == 0) {
            *value = literals[i].value;
            return true;
        }
    }
    return false;
}

static size_t literal_length(const char *text, const char *end)
{
    for (int i = 0; i < LITERALS; i++) {
        size_t length = strlen(literals[i].name);
        if ((size_t)(end - text) >= length && memcmp(text, literals[i].name, length) == 0)
            return length;
    }
    return 0;
}

/* Length of the string that starts at the quote `text`, with its quotes; runs to `end` if it is not
 * closed. */
static size_t string_length(const char *text, const char *end)
{
    const char *c = text + 1;
    while (c < end && *c != '"')
        c += *c == '\\' && end - c > 1 ? 2 : 1;
    return (size_t)(c - text) + (c < end);
}

/* A \u0000 would cut a name short for every reader of C strings. */
static bool holds_nul(const char *string, size_t length)
{
    for (size_t i = 0; i + 6 <= length; i++) {
        if (string[i] != '\\')
            continue;
        if (memcmp(string + i, "\\u0000", 6) == 0)
            return true;
        i++;
    }
    return false;
}

/* The text with each bare literal as the string that strata__json_real() makes of it. */
static char *quote_literals(strata_context *ctx, const char *text, size_t length,
                            json_error_t *error, size_t *quoted_length)
{
    strata__text quoted = {.ctx = ctx};
    const char *end = text + length;
    for (const char *c = text; c < end;) {
        size_t literal = literal_length(c, end);
        size_t piece = literal ? literal : *c == '"' ? string_length(c, end) : 1;
        if (*c == '"' && holds_nul(c, piece) && !*error->text) {
            error->column = (int)(c - text) + 1;
            snprintf(error->text, sizeof error->text, "\\u0000 is not allowed in a string");
        }
        if (literal)
            strata__text_format(&quoted, "\"%.*s\\u0000\"", (int)literal, c);
        else
            strata__text_add(&quoted, c, piece);
        c += piece;
    }
    *quoted_length = quoted.length;
    return strata__text_take(&quoted);
}

static bool holds_literal(const char *text, size_t length)
{
    for (const char *c = text, *end = text + length; c < end; c++) {
        if ((*c == 'N' || *c == 'I') && literal_length(c, end))
            return true;
    }
    return false;
}

json_t *strata__json_decode(strata_context *ctx, const char *text, size_t length,
                            json_error_t *error)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    *error = (json_error_t){.line = 1};
    if (!holds_literal(text, length))
        return json_loadb(text, length, flags, error);
    size_t quoted_length;
    char *quoted = quote_literals(ctx, text, length, error, &quoted_length);
    json_t *json = quoted && !*error->text
                       ? json_loadb(quoted, quoted_length, flags | JSON_ALLOW_NUL, error)
                       : NULL;
    strata__free(ctx, quoted);
    return json;
}

json_t *strata__json_parse(strata_context *ctx, const char *text, size_t length, const char *what)
{
    json_error_t error;
    json_t *json = strata__json_decode(ctx, text, length, &error);
    if (!json)
        strata__fail(ctx, STRATA_BAD_DATA, "%s is damaged: line %d, column %d: %s", what,
                     error.line, error.column, error.text);
    return json;
}
