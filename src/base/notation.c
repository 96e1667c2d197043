/* Keras notation: names, calls and Python literals, read into JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

typedef struct reader {
    strata_context *ctx;
    const char *text, *place; /* the whole text, and what is to be read next */
    int depth;
} reader;

enum { SHOWN = 160 /* bytes of a long text in a message */ };

static json_t *parse_value(reader *r);

/* Refuses the text at `place`; NULL, so that a parser can return it. */
static json_t *refuse(reader *r, const char *place, const char *reason)
{
    size_t column = (size_t)(place - r->text), length = strlen(r->text);
    size_t start = column > SHOWN / 2 && length > SHOWN ? column - SHOWN / 2 : 0;
    strata__fail(r->ctx, STRATA_INVALID, "cannot read \"%s%.*s%s\": column %zu: %s",
                 start ? "..." : "", SHOWN, r->text + start, length - start > SHOWN ? "..." : "",
                 column + 1, reason);
    return NULL;
}

static char skip_space(reader *r)
{
    while (isspace((unsigned char)*r->place))
        r->place++;
    return *r->place;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Module paths and the "package>Name" of registered classes count as names. */
static size_t name_length(const char *text)
{
    size_t length = 0;
    while (starts_name(text[length]) || is_digit(text[length]) || text[length] == '.' ||
           text[length] == '>')
        length++;
    return length;
}

/* Reads `length` bytes at `place` as JSON: numbers, strings and objects are JSON's business. */
static json_t *decode(reader *r, const char *place, const char *json, size_t length)
{
    json_error_t error;
    json_t *value = strata__json_decode(r->ctx, json, length, &error);
    return value ? value : refuse(r, place, error.text);
}

/* Python allows +1, .5, 5. and -.5, JSON does not. */
static json_t *parse_number(reader *r)
{
    const char *start = r->place;
    if (strncmp(start, "-Infinity", 9) == 0) {
        r->place += 9;
        return strata__json_real(-INFINITY);
    }
    strata__text number = {.ctx = r->ctx};
    for (; *r->place && strchr("+-.0123456789eE", *r->place); r->place++) {
        bool after_digit = r->place > start && is_digit(r->place[-1]);
        bool before_digit = is_digit(r->place[1]);
        if (*r->place == '.' && !after_digit)
            strata__text_puts(&number, "0");
        if (*r->place != '+' || r->place > start)
            strata__text_add(&number, r->place, 1);
        if (*r->place == '.' && !before_digit)
            strata__text_puts(&number, "0");
    }
    size_t length = number.length;
    char *json = strata__text_take(&number);
    json_t *value = json ? decode(r, start, json, length) : NULL;
    strata__free(r->ctx, json);
    return value;
}

/* A Python string with either quote, as the JSON string that says the same. */
static json_t *parse_string(reader *r)
{
    const char *start = r->place;
    char quote = *r->place++;
    strata__text string = {.ctx = r->ctx};
    strata__text_puts(&string, "\"");
    for (; *r->place && *r->place != quote; r->place++) {
        bool escape = *r->place == '\\' && r->place[1];
        r->place += escape;
        if (*r->place == '"' || (escape && *r->place != '\''))
            strata__text_puts(&string, "\\");
        strata__text_add(&string, r->place, 1);
    }
    strata__text_puts(&string, "\"");
    size_t length = string.length;
    char *json = strata__text_take(&string);
    json_t *value = NULL;
    if (json)
        value =
            *r->place ? decode(r, start, json, length) : refuse(r, start, "a quote is not closed");
    r->place += *r->place != '\0';
    strata__free(r->ctx, json);
    return value;
}

/* Past the brace that closes the object at `text`, or NULL. Braces inside strings do not count. */
static const char *object_end(const char *text)
{
    int open = 0;
    bool quoted = false;
    for (const char *c = text; *c; c++) {
        if (quoted && *c == '\\' && c[1])
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && *c == '{')
            open++;
        else if (!quoted && *c == '}' && --open == 0)
            return c + 1;
    }
    return NULL;
}

static bool deeper_than(const json_t *json, int levels)
{
    size_t index;
    const char *key;
    json_t *value;
    if (!json_is_array(json) && !json_is_object(json))
        return false;
    if (levels == 0)
        return true;
    json_array_foreach(json, index, value)
    {
        if (deeper_than(value, levels - 1))
            return true;
    }
    json_object_foreach((json_t *)json, key, value)
    {
        if (deeper_than(value, levels - 1))
            return true;
    }
    return false;
}

static json_t *parse_object(reader *r)
{
    const char *start = r->place, *end = object_end(start);
    if (!end)
        return refuse(r, start, "a '{' is not closed");
    json_t *object = decode(r, start, start, (size_t)(end - start));
    r->place = end;
    if (object && deeper_than(object, STRATA__NOTATION_DEPTH - r->depth)) {
        json_decref(object);
        return refuse(r, start, "it is nested too deeply");
    }
    return object;
}

/* Adds a value that may be NULL after an error. */
static bool append(json_t *array, json_t *value)
{
    return value && json_array_append_new(array, value) == 0;
}

typedef enum step { STEP_ERROR, STEP_NEXT, STEP_END, STEP_END_AFTER_COMMA } step;

/* Moves past the comma between two items, or past the `closing` sign after the last; a comma may
 * stand before that. */
static step next_item(reader *r, char closing)
{
    char c = skip_space(r);
    if (c != ',' && c != closing) {
        refuse(r, r->place, closing == ']' ? "expected ',' or ']'" : "expected ',' or ')'");
        return STEP_ERROR;
    }
    r->place++;
    if (c == closing)
        return STEP_END;
    if (skip_space(r) != closing)
        return STEP_NEXT;
    r->place++;
    return STEP_END_AFTER_COMMA;
}

/* Moves past `closing` if it comes at once. */
static step first_item(reader *r, char closing)
{
    if (skip_space(r) != closing)
        return STEP_NEXT;
    r->place++;
    return STEP_END;
}

/* [1, 2] or (1, 2); a value in parentheses without a comma is just that value. */
static json_t *parse_sequence(reader *r)
{
    char closing = *r->place++ == '[' ? ']' : ')';
    json_t *items = json_array();
    step step = first_item(r, closing);
    while (step == STEP_NEXT)
        step = append(items, parse_value(r)) ? next_item(r, closing) : STEP_ERROR;
    json_t *result = step == STEP_ERROR ? NULL : items;
    if (step == STEP_END && closing == ')' && json_array_size(items) == 1)
        result = json_array_get(items, 0);
    json_incref(result);
    json_decref(items);
    return result;
}

/* `name=` of a keyword argument: its length, with `value` behind the sign; 0 for a positional
 * argument. */
static size_t keyword_length(const char *text, const char **value)
{
    size_t length = starts_name(*text) ? name_length(text) : 0;
    const char *c = text + length;
    while (isspace((unsigned char)*c))
        c++;
    *value = c + 1;
    return *c == '=' ? length : 0;
}

static bool parse_argument(reader *r, json_t *positional, json_t *keywords)
{
    const char *start = r->place, *value;
    size_t length = keyword_length(start, &value);
    if (!length && json_object_size(keywords)) {
        refuse(r, start, "a positional argument follows a keyword argument");
        return false;
    }
    if (!length)
        return append(positional, parse_value(r));
    char *name = strata__format(r->ctx, "%.*s", (int)length, start);
    bool done = false;
    r->place = value;
    if (name && json_object_get(keywords, name))
        refuse(r, start, "a keyword argument is repeated");
    else if (name)
        done = json_object_set_new(keywords, name, parse_value(r)) == 0;
    strata__free(r->ctx, name);
    return done;
}

static bool parse_arguments(reader *r, json_t *positional, json_t *keywords)
{
    step step = first_item(r, ')');
    while (step == STEP_NEXT) {
        skip_space(r);
        step = parse_argument(r, positional, keywords) ? next_item(r, ')') : STEP_ERROR;
    }
    return step != STEP_ERROR;
}

/* NAME(…), with `place` behind the parenthesis. */
static json_t *parse_call(reader *r, const char *name, size_t length)
{
    json_t *positional = json_array(), *keywords = json_object(), *call = NULL;
    if (parse_arguments(r, positional, keywords))
        call = json_pack("{s:s%,s:O}", "class_name", name, length, "config", keywords);
    if (call && json_array_size(positional))
        json_object_set(call, "args", positional);
    json_decref(positional);
    json_decref(keywords);
    return call;
}

/* A word that stands for a value, in Python or JSON; NULL for any other. */
static json_t *constant(const char *name, size_t length)
{
    static const char *const words[] = {"True", "true", "False", "false", "None", "null"};
    for (int i = 0; i < 6; i++) {
        if (strlen(words[i]) == length && memcmp(words[i], name, length) == 0)
            return i < 4 ? json_boolean(i < 2) : json_null();
    }
    if (length == 3 && memcmp(name, "NaN", length) == 0)
        return strata__json_real(NAN);
    if (length == 8 && memcmp(name, "Infinity", length) == 0)
        return strata__json_real(INFINITY);
    return NULL;
}

static json_t *parse_name(reader *r)
{
    const char *name = r->place;
    size_t length = name_length(name);
    r->place += length;
    json_t *value = constant(name, length);
    if (value)
        return value;
    if (skip_space(r) != '(')
        return json_stringn(name, length);
    r->place++;
    return parse_call(r, name, length);
}

static json_t *parse_value(reader *r)
{
    char c = skip_space(r);
    if (r->depth == STRATA__NOTATION_DEPTH)
        return refuse(r, r->place, "it is nested too deeply");
    r->depth++;
    json_t *value;
    if (starts_name(c))
        value = parse_name(r);
    else if (c == '\'' || c == '"')
        value = parse_string(r);
    else if (c == '[' || c == '(')
        value = parse_sequence(r);
    else if (c == '{')
        value = parse_object(r);
    else if (c && strchr("+-.0123456789", c))
        value = parse_number(r);
    else
        value = refuse(r, r->place, c ? "expected a name or a value" : "the text ends too early");
    r->depth--;
    return value;
}

json_t *strata__notation_parse(strata_context *ctx, const char *text)
{
    reader r = {.ctx = ctx, .text = text, .place = text};
    json_t *value = parse_value(&r);
    if (value && skip_space(&r)) {
        refuse(&r, r.place, "nothing may follow here");
        json_decref(value);
        value = NULL;
    }
    if (!value) /* unless a reason was given already */
        strata__fail(ctx, STRATA_NO_MEMORY, "no memory to read \"%.*s\"", SHOWN, text);
    return value;
}
