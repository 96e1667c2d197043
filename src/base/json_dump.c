/* Writing of JSON as Python's json.dumps does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum { MOST_DIGITS = 17 };

/* The fewest digits to which the value can be rounded and read back: 0.d₁d₂d₃… · 10^point. */
static int shortest_digits(double value, char digits[MOST_DIGITS + 1], int *point)
{
    char words[40];
    for (int count = 1; count <= MOST_DIGITS; count++) {
        snprintf(words, sizeof words, "%.*e", count - 1, fabs(value));
        if (strtod(words, NULL) == fabs(value))
            break;
    }
    int length = 0;
    const char *c = words;
    for (; *c != 'e'; c++) {
        if (*c >= '0' && *c <= '9') /* the decimal point is the locale's */
            digits[length++] = *c;
    }
    digits[length] = '\0';
    *point = atoi(c + 1) + 1;
    return length;
}

/* Python's repr of a finite double: 0.0001 to 9999999999999998.0 without an exponent. */
static void dump_finite(strata__text *out, double value)
{
    char digits[MOST_DIGITS + 1];
    int point, length = shortest_digits(value, digits, &point);
    if (signbit(value))
        strata__text_puts(out, "-");
    if (point > 16 || point < -3)
        strata__text_format(out, "%c%s%se%+03d", digits[0], length > 1 ? "." : "", digits + 1,
                            point - 1);
    else if (point <= 0)
        strata__text_format(out, "0.%.*s%s", -point, "0000", digits);
    else if (point < length)
        strata__text_format(out, "%.*s.%s", point, digits, digits + point);
    else
        strata__text_format(out, "%s%.*s.0", digits, point - length, "0000000000000000");
}

/* Reads one code point of valid UTF-8 and moves past it. */
static unsigned next_code_point(const unsigned char **text)
{
    unsigned c = *(*text)++;
    int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    if (more)
        c &= 0x3fu >> more;
    for (; more > 0 && (**text & 0xc0) == 0x80; more--)
        c = c << 6 | (*(*text)++ & 0x3fu);
    return c;
}

static void dump_escaped(strata__text *out, unsigned c)
{
    static const char letters[] = "\"\"\\\\\nn\rr\tt\ff\bb"; /* character, letter of its escape */
    for (size_t i = 0; letters[i]; i += 2) {
        if (c == (unsigned char)letters[i]) {
            strata__text_format(out, "\\%c", letters[i + 1]);
            return;
        }
    }
    if (c > 0xffff) {
        strata__text_format(out, "\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    strata__text_format(out, "\\u%04x", c);
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void dump_string(strata__text *out, const char *string, size_t length)
{
    const unsigned char *c = (const unsigned char *)string, *end = c + length;
    strata__text_puts(out, "\"");
    while (c < end) {
        const unsigned char *start = c;
        while (c < end && is_plain(*c))
            c++;
        strata__text_add(out, (const char *)start, (size_t)(c - start));
        if (c < end)
            dump_escaped(out, next_code_point(&c));
    }
    strata__text_puts(out, "\"");
}

typedef struct printer {
    strata__text out;
    int indent; /* spaces a level; 0: everything on one line */
} printer;

static void dump_value(printer *p, const json_t *json, int level);

/* Between the members of a container, and around them when each has its own line. */
static void dump_break(printer *p, int level, const char *separator)
{
    strata__text_puts(&p->out, separator);
    if (p->indent > 0)
        strata__text_format(&p->out, "\n%*s", p->indent * level, "");
    else if (*separator)
        strata__text_puts(&p->out, " ");
}

static void dump_array(printer *p, const json_t *array, int level)
{
    size_t index;
    json_t *value;
    strata__text_puts(&p->out, "[");
    json_array_foreach(array, index, value)
    {
        dump_break(p, level + 1, index ? "," : "");
        dump_value(p, value, level + 1);
    }
    if (json_array_size(array))
        dump_break(p, level, "");
    strata__text_puts(&p->out, "]");
}

static void dump_object(printer *p, const json_t *object, int level)
{
    const char *key, *separator = "";
    json_t *value;
    strata__text_puts(&p->out, "{");
    json_object_foreach((json_t *)object, key, value)
    {
        dump_break(p, level + 1, separator);
        dump_string(&p->out, key, strlen(key));
        strata__text_puts(&p->out, ": ");
        dump_value(p, value, level + 1);
        separator = ",";
    }
    if (json_object_size(object))
        dump_break(p, level, "");
    strata__text_puts(&p->out, "}");
}

static void dump_value(printer *p, const json_t *json, int level)
{
    double number;
    if (json_is_object(json))
        dump_object(p, json, level);
    else if (json_is_array(json))
        dump_array(p, json, level);
    else if (json_is_integer(json))
        strata__text_format(&p->out, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    else if (json_is_real(json))
        dump_finite(&p->out, json_real_value(json));
    else if (strata__json_number(json, &number)) /* only its name is left to say */
        strata__text_puts(&p->out, json_string_value(json));
    else if (json_is_string(json))
        dump_string(&p->out, json_string_value(json), json_string_length(json));
    else
        strata__text_puts(&p->out, json_is_true(json)    ? "true"
                                   : json_is_false(json) ? "false"
                                                         : "null");
}

char *strata__json_dump(strata_context *ctx, const json_t *json, int indent)
{
    printer p = {.out.ctx = ctx, .indent = indent};
    dump_value(&p, json, 0);
    return strata__text_take(&p.out);
}
