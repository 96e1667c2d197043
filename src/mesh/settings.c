/* Settings of the mesh: its text, and the environment variables that limit what a node is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/settings.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { AXES = 3, WORD_SIZE = 32 };

static const char *const axis_names[AXES] = {"data", "rows", "cols"};

/* Digits only, without sign or blanks; false when there are others, none, or more than an int
 * holds. */
static bool parse_whole(const char *text, size_t length, int *number)
{
    int64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
        if (value > INT_MAX)
            return false;
    }
    *number = (int)value;
    return length > 0;
}

static strata_status axis_find(strata_context *ctx, const char *text, const char *name,
                               size_t length, int *axis)
{
    char word[WORD_SIZE];
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1),
             name);
    for (*axis = 0; *axis < AXES; ++*axis) {
        if (strcmp(word, axis_names[*axis]) == 0)
            return STRATA_OK;
    }
    const char *near = strata__nearest(word, axis_names, AXES);
    return strata__fail(
        ctx, STRATA_INVALID, "mesh '%s': unknown axis '%s'%s%s%s; the axes are data, rows and cols",
        text, word, near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* One "axis=count" of `length` bytes. */
static strata_status parse_axis(strata_context *ctx, const char *text, const char *item,
                                size_t length, int counts[AXES])
{
    const char *equals = memchr(item, '=', length);
    if (!equals)
        return strata__fail(
            ctx, STRATA_INVALID,
            "mesh '%s': '%.*s' is not of the form axis=count, as in data=2,rows=1,cols=2", text,
            (int)length, item);
    size_t name_length = (size_t)(equals - item), count_length = length - name_length - 1;
    int axis, count;
    STRATA_TRY(axis_find(ctx, text, item, name_length, &axis));
    if (!parse_whole(equals + 1, count_length, &count) || count == 0)
        return strata__fail(ctx, STRATA_INVALID,
                            "mesh '%s': %s is '%.*s'; it takes a whole number from 1 to %d", text,
                            axis_names[axis], (int)count_length, equals + 1, INT_MAX);
    if (counts[axis])
        return strata__fail(ctx, STRATA_INVALID, "mesh '%s': %s is given twice", text,
                            axis_names[axis]);
    counts[axis] = count;
    return STRATA_OK;
}

/* Counts of the axes that `text` names, 0 for the others. */
static strata_status parse_mesh(strata_context *ctx, const char *text, int counts[AXES])
{
    if (strlen(text) > STRATA__MESSAGE_SIZE / 4)
        return strata__fail(ctx, STRATA_INVALID,
                            "mesh '%.40s…' is too long; write it as data=2,rows=1,cols=2", text);
    for (const char *item = text;;) {
        size_t length = strcspn(item, ",");
        STRATA_TRY(parse_axis(ctx, text, item, length, counts));
        if (!item[length])
            return STRATA_OK;
        item += length + 1;
    }
}

/* The product, or INT64_MAX when it is larger than any number of ranks. */
static int64_t product(const int counts[AXES])
{
    int64_t positions = 1;
    for (int axis = 0; axis < AXES; axis++) {
        if (__builtin_mul_overflow(positions, (int64_t)(counts[axis] ? counts[axis] : 1),
                                   &positions))
            return INT64_MAX;
    }
    return positions;
}

/* The axes that were not named: data takes what is left, the others are 1. */
static strata_status complete(strata_context *ctx, const char *text, int size, int counts[AXES])
{
    int64_t positions = product(counts);
    if (!counts[0] && size % positions == 0)
        counts[0] = (int)(size / positions);
    else if (!counts[0])
        return strata__fail(ctx, STRATA_INVALID,
                            "mesh '%s' needs a multiple of %lld ranks, but there are %d; change "
                            "the mesh or the number of ranks",
                            text, (long long)positions, size);
    else if (positions != size)
        return strata__fail(
            ctx, STRATA_INVALID,
            "mesh '%s' needs %lld ranks, but there are %d; change the mesh or the number of ranks",
            text, (long long)positions, size);
    for (int axis = 1; axis < AXES; axis++)
        counts[axis] = counts[axis] ? counts[axis] : 1;
    return STRATA_OK;
}

/* A whole number in the environment from `least` to `most`; `number` stays as it is when the
 * variable is not set. */
static strata_status read_variable(strata_context *ctx, const char *name, int least, int most,
                                   int *number)
{
    const char *text = getenv(name);
    int value;
    if (!text)
        return STRATA_OK;
    if (!parse_whole(text, strlen(text), &value) || value < least || value > most)
        return strata__fail(
            ctx, STRATA_INVALID,
            "environment variable %s is '%.64s'; it takes a whole number from %d to %d", name, text,
            least, most);
    *number = value;
    return STRATA_OK;
}

strata_status strata__mesh_settings_read(strata_context *ctx, const char *text, int size,
                                         strata__mesh_settings *settings)
{
    int counts[AXES] = {0};
    if (text && *text)
        STRATA_TRY(parse_mesh(ctx, text, counts));
    STRATA_TRY(complete(ctx, text ? text : "", size, counts));
    *settings = (strata__mesh_settings){
        .data = counts[0], .rows = counts[1], .cols = counts[2], .share = 1, .check_seconds = 60};
    STRATA_TRY(read_variable(ctx, "STRATA_NODE_RANKS", 1, INT_MAX, &settings->node_limit));
    STRATA_TRY(read_variable(ctx, "STRATA_SHARED", 0, 1, &settings->share));
    STRATA_TRY(read_variable(ctx, "STRATA_CHECK", 0, 1, &settings->check));
    return read_variable(ctx, "STRATA_CHECK_SECONDS", 1, INT_MAX, &settings->check_seconds);
}
