/* A series of checkpoints: the names of its files, and which of them there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/series.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "storage/bytes.h"
#include "storage/path.h"

/* Digits with which the numbers are written; more when they need more, and at most MOST_DIGITS. */
enum { NUMBER_DIGITS = 6, STEP_DIGITS = 10, MOST_DIGITS = 18 };

static bool is_directory(const char *path)
{
    struct stat about;
    size_t length = strlen(path);
    return length == 0 || path[length - 1] == '/' ||
           (stat(path, &about) == 0 && S_ISDIR(about.st_mode));
}

strata_status strata__series_of(strata_context *ctx, const char *base, strata__series *series)
{
    if (is_directory(base)) {
        size_t length = strlen(base);
        bool ends = length == 0 || base[length - 1] == '/';
        series->directory = strata__format(ctx, "%s%s", base, ends ? "" : "/");
        series->stem = strata__strdup(ctx, "checkpoint");
        series->extension = strata__strdup(ctx, ".h5");
        return ctx->status;
    }
    int directory = strata__directory_length(base);
    const char *name = base + directory, *dot = strrchr(name, '.');
    int stem = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    series->directory = strata__format(ctx, "%.*s", directory, base);
    series->stem = strata__format(ctx, "%.*s", stem, name);
    series->extension = strata__strdup(ctx, name + stem);
    return ctx->status;
}

void strata__series_free(strata_context *ctx, strata__series *series)
{
    strata__free(ctx, series->directory);
    strata__free(ctx, series->stem);
    strata__free(ctx, series->extension);
    *series = (strata__series){0};
}

char *strata__series_path(strata_context *ctx, const strata__series *series, int64_t number,
                          int64_t step)
{
    return strata__format(ctx, "%s%s-%0*lld-%0*lld%s", series->directory, series->stem,
                          NUMBER_DIGITS, (long long)number, STEP_DIGITS, (long long)step,
                          series->extension);
}

char *strata__series_hint_path(strata_context *ctx, const strata__series *series)
{
    return strata__format(ctx, "%s%s%s.latest", series->directory, series->stem, series->extension);
}

/* Steps over `words`. */
static bool take(const char **at, const char *end, const char *words)
{
    size_t length = strlen(words);
    if ((size_t)(end - *at) < length || memcmp(*at, words, length) != 0)
        return false;
    *at += length;
    return true;
}

/* Steps over a number of at least `least` digits. */
static bool take_number(const char **at, const char *end, int least, int64_t *number)
{
    const char *first = *at;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && *at - first < MOST_DIGITS; ++*at)
        *number = *number * 10 + (**at - '0');
    return *at - first >= least;
}

bool strata__series_parse(const strata__series *series, const char *name, size_t length,
                          int64_t *number, int64_t *step)
{
    const char *end = name + length;
    return take(&name, end, series->stem) && take(&name, end, "-") &&
           take_number(&name, end, NUMBER_DIGITS, number) && take(&name, end, "-") &&
           take_number(&name, end, STEP_DIGITS, step) && take(&name, end, series->extension) &&
           name == end;
}

/* --- what there is --- */

/* A list on its way. */
typedef struct listing {
    strata_context *ctx;
    const strata__series *series;
    strata__saved *items;
    int count, room;
} listing;

static strata_status make_room(listing *list)
{
    if (list->count < list->room)
        return STRATA_OK;
    int more = list->room ? 2 * list->room : 16;
    strata__saved *moved =
        strata__realloc(list->ctx, list->items, (size_t)more * sizeof *list->items);
    if (!moved)
        return list->ctx->status;
    list->items = moved;
    list->room = more;
    return STRATA_OK;
}

static bool has(const listing *list, const char *path)
{
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].path, path) == 0)
            return true;
    }
    return false;
}

/* Adds the file if its name is of the series and not there yet. */
static strata_status add(listing *list, const char *name)
{
    strata__saved saved;
    if (!strata__series_parse(list->series, name, strlen(name), &saved.number, &saved.step))
        return STRATA_OK;
    saved.path = strata__format(list->ctx, "%s%s", list->series->directory, name);
    if (!saved.path || make_room(list) != STRATA_OK || has(list, saved.path)) {
        strata__free(list->ctx, saved.path);
        return list->ctx->status;
    }
    list->items[list->count++] = saved;
    return STRATA_OK;
}

static strata_status add_directory(listing *list)
{
    const char *path = *list->series->directory ? list->series->directory : ".";
    DIR *directory = opendir(path);
    if (!directory && errno == ENOENT)
        return STRATA_OK;
    if (!directory)
        return strata__fail(list->ctx, STRATA_IO, "cannot list '%s': %s", path, strerror(errno));
    strata_status status = STRATA_OK;
    const struct dirent *entry;
    while (status == STRATA_OK && (entry = readdir(directory)))
        status = add(list, entry->d_name);
    closedir(directory);
    return status;
}

/* What the hint says, if it names a file that is there. */
static strata_status add_hint(listing *list)
{
    char name[256];
    struct stat about;
    char *hint = strata__series_hint_path(list->ctx, list->series);
    FILE *file = hint ? fopen(hint, "re") : NULL;
    bool read = file && fgets(name, sizeof name, file);
    if (file)
        fclose(file);
    strata__free(list->ctx, hint);
    if (!read)
        return list->ctx->status;
    name[strcspn(name, "\n")] = '\0';
    char *path = strata__format(list->ctx, "%s%s", list->series->directory, name);
    bool there = path && stat(path, &about) == 0;
    strata__free(list->ctx, path);
    return there ? add(list, name) : list->ctx->status;
}

static int compare_newest_first(const void *a, const void *b)
{
    const strata__saved *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? 1 : -1;
    return (x->step < y->step) - (x->step > y->step);
}

strata_status strata__series_list(strata_context *ctx, const strata__series *series,
                                  strata__saved **items, int *count)
{
    listing list = {.ctx = ctx, .series = series};
    strata_status status = add_directory(&list);
    if (status == STRATA_OK)
        status = add_hint(&list);
    if (list.count > 0)
        qsort(list.items, (size_t)list.count, sizeof *list.items, compare_newest_first);
    *items = list.items;
    *count = list.count;
    return status;
}

void strata__saved_free(strata_context *ctx, strata__saved *list, int count)
{
    for (int i = 0; i < count; i++)
        strata__free(ctx, list[i].path);
    strata__free(ctx, list);
}
