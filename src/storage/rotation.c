/* The last checkpoints of a run: saved side by side, the newest sound one found again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rotation.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <strata/context.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/file.h"
#include "storage/leftovers.h"
#include "storage/path.h"
#include "storage/seal.h"
#include "storage/series.h"

/* --- loading --- */

/* Where to look, on rank 0; the others know how many files there are. */
typedef struct candidates {
    strata__saved *items; /* newest first */
    int64_t count;
} candidates;

/* `base` itself, as a file of no series. */
static strata_status list_file(strata_context *ctx, const char *base, candidates *found)
{
    found->items = strata__calloc(ctx, 1, sizeof *found->items);
    if (!found->items)
        return ctx->status;
    found->items->path = strata__strdup(ctx, base);
    found->count = 1;
    return ctx->status;
}

/* On rank 0 alone. */
static strata_status list_candidates(strata_context *ctx, const char *base, candidates *found)
{
    struct stat about;
    if (stat(base, &about) == 0 && !S_ISDIR(about.st_mode))
        return list_file(ctx, base, found);
    strata__series series = {0};
    int count = 0;
    strata_status status = strata__series_of(ctx, base, &series);
    if (status == STRATA_OK)
        status = strata__series_list(ctx, &series, &found->items, &count);
    if (status == STRATA_OK && count == 0)
        status = strata__fail(ctx, STRATA_NO_INPUT,
                              "cannot find a checkpoint '%s', nor one like '%s%s-000001-0000000001"
                              "%s'",
                              base, series.directory, series.stem, series.extension);
    found->count = count;
    strata__series_free(ctx, &series);
    return status;
}

strata_status strata__rotation_any(strata_context *ctx, const char *base, bool *any)
{
    candidates found = {0};
    if (ctx->mesh->rank == 0 && list_candidates(ctx, base, &found) == STRATA_NO_INPUT)
        strata_error_clear(ctx);
    strata__saved_free(ctx, found.items, (int)found.count);
    strata__broadcast(ctx, STRATA__WORLD, 0, &found.count, sizeof found.count);
    *any = found.count > 0;
    return strata__agree(ctx);
}

/* Whether an older file may help: this one is damaged or cannot be read. */
static bool may_fall_back(strata_status status)
{
    return status == STRATA_BAD_DATA || status == STRATA_IO || status == STRATA_NO_INPUT;
}

/* Tells why the file is passed over, and forgets it. The same on all ranks. */
static void pass_over(strata_context *ctx)
{
    if (ctx->error_rank >= 0)
        strata__warn(ctx, "%s (found by rank %d); the checkpoint before it is tried", ctx->message,
                     ctx->error_rank);
    else
        strata__warn(ctx, "%s; the checkpoint before it is tried", ctx->message);
    strata_error_clear(ctx);
}

static strata_status load_first_sound(strata_context *ctx, const candidates *found,
                                      strata__checkpoint **checkpoint, strata__origin *origin)
{
    for (int64_t i = 0; i < found->count; i++) {
        const strata__saved *saved = found->items ? &found->items[i] : NULL;
        strata_status status = strata__checkpoint_open(ctx, saved ? saved->path : NULL, checkpoint);
        int64_t number = saved ? saved->number : 0;
        if (status == STRATA_OK) {
            strata__broadcast(ctx, STRATA__WORLD, 0, &number, sizeof number);
            *origin = (strata__origin){strata__checkpoint_run(*checkpoint), number};
            return STRATA_OK;
        }
        if (!may_fall_back(status) || i + 1 == found->count)
            return status;
        pass_over(ctx);
    }
    return STRATA_OK;
}

strata_status strata__rotation_load(strata_context *ctx, const char *base,
                                    strata__checkpoint **checkpoint, strata__origin *origin)
{
    candidates found = {0};
    *checkpoint = NULL;
    if (ctx->mesh->rank == 0)
        list_candidates(ctx, base, &found);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        strata__broadcast(ctx, STRATA__WORLD, 0, &found.count, sizeof found.count);
        status = load_first_sound(ctx, &found, checkpoint, origin);
    }
    strata__saved_free(ctx, found.items, found.items ? (int)found.count : 0);
    return status;
}

/* --- saving --- */

struct strata__rotation {
    strata_context *ctx;
    uint64_t run;
    int keep;
    /* On rank 0. */
    strata__series series;
    int64_t next;       /* number of the next file */
    strata__saved *own; /* the run's files, those that leave first in front */
    int count, room;
};

/* Takes the path over. */
static strata_status add_own(strata__rotation *rotation, int64_t number, int64_t step, char *path)
{
    strata_context *ctx = rotation->ctx;
    if (rotation->count == rotation->room) {
        int more = rotation->room ? 2 * rotation->room : 16;
        strata__saved *moved = strata__realloc(ctx, rotation->own, (size_t)more * sizeof *moved);
        if (!moved) {
            strata__free(ctx, path);
            return ctx->status;
        }
        rotation->own = moved;
        rotation->room = more;
    }
    rotation->own[rotation->count++] = (strata__saved){number, step, path};
    return STRATA_OK;
}

/* Lists the run's files, oldest first, those that were saved after the origin or those before. */
static strata_status add_files(strata__rotation *rotation, strata__saved *list, int count,
                               int64_t origin, bool after)
{
    for (int i = count - 1; i >= 0; i--) {
        strata__saved *saved = &list[i];
        if ((saved->number > origin) != after || strata__seal_run(saved->path) != rotation->run)
            continue;
        char *path = saved->path;
        saved->path = NULL;
        STRATA_TRY(add_own(rotation, saved->number, saved->step, path));
    }
    return STRATA_OK;
}

/* What an earlier process has left of the run. */
static strata_status take_up(strata__rotation *rotation, int64_t origin)
{
    strata_context *ctx = rotation->ctx;
    strata__saved *list;
    int count;
    strata_status status = strata__series_list(ctx, &rotation->series, &list, &count);
    rotation->next = count > 0 ? list[0].number + 1 : 1;
    if (status == STRATA_OK)
        status = add_files(rotation, list, count, origin, true);
    if (status == STRATA_OK)
        status = add_files(rotation, list, count, origin, false);
    strata__saved_free(ctx, list, count);
    return status;
}

/* Hours of work later would be too late to find out. */
static strata_status check_place(strata__rotation *rotation)
{
    strata_context *ctx = rotation->ctx;
    const strata__series *series = &rotation->series;
    strata__new_file file = {.fd = -1};
    if (*series->directory && mkdir(series->directory, 0777) != 0 && errno != EEXIST)
        return strata__fail(ctx, STRATA_IO, "cannot make the folder '%s' for checkpoints: %s",
                            series->directory, strerror(errno));
    char *path = strata__series_path(ctx, series, rotation->next, 0);
    if (path && strata__file_create(ctx, path, &file) == STRATA_OK)
        strata__file_discard(ctx, &file);
    strata__free(ctx, path);
    return ctx->status;
}

/* On rank 0 alone. */
static strata_status start(strata__rotation *rotation, const char *base,
                           const strata__origin *origin)
{
    strata_context *ctx = rotation->ctx;
    rotation->run = origin->run;
    while (rotation->run == 0)
        STRATA_TRY(strata__draw(ctx, &rotation->run));
    STRATA_TRY(strata__series_of(ctx, base, &rotation->series));
    strata__leftovers_remove(&rotation->series);
    STRATA_TRY(take_up(rotation, origin->number));
    return check_place(rotation);
}

strata_status strata__rotation_new(strata_context *ctx, const char *base, int keep,
                                   const strata__origin *origin, strata__rotation **rotation)
{
    strata__rotation *made = strata__calloc(ctx, 1, sizeof *made);
    if (keep < 2)
        strata__fail(ctx, STRATA_INVALID,
                     "%d checkpoint of '%s' to keep: it takes 2, since the last may be damaged",
                     keep, base);
    if (made) {
        *made = (strata__rotation){.ctx = ctx, .keep = keep};
        if (ctx->mesh->rank == 0)
            start(made, base, origin);
    }
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        strata__broadcast(ctx, STRATA__WORLD, 0, &made->run, sizeof made->run);
    } else {
        strata__rotation_free(ctx, made);
        made = NULL;
    }
    *rotation = made;
    return status;
}

/* Removes what is too many. */
static void remove_oldest(strata__rotation *rotation)
{
    strata_context *ctx = rotation->ctx;
    int leaving = rotation->count > rotation->keep ? rotation->count - rotation->keep : 0;
    for (int i = 0; i < leaving; i++) {
        if (unlink(rotation->own[i].path) != 0 && errno != ENOENT)
            strata__warn(ctx, "cannot remove the old checkpoint '%s': %s", rotation->own[i].path,
                         strerror(errno));
        strata__free(ctx, rotation->own[i].path);
    }
    rotation->count -= leaving;
    memmove(rotation->own, rotation->own + leaving,
            (size_t)rotation->count * sizeof *rotation->own);
}

/* The name of the newest, for those who look; nobody relies on it. */
static void write_hint(strata__rotation *rotation, const char *path)
{
    strata_context *ctx = rotation->ctx;
    strata__new_file file = {.fd = -1};
    char *hint = strata__series_hint_path(ctx, &rotation->series);
    const char *name = path + strata__directory_length(path);
    if (hint && strata__file_create(ctx, hint, &file) == STRATA_OK &&
        strata__write_at(ctx, file.fd, hint, 0, name, (int64_t)strlen(name)) == STRATA_OK &&
        strata__write_at(ctx, file.fd, hint, (int64_t)strlen(name), "\n", 1) == STRATA_OK)
        strata__file_commit(ctx, &file);
    else
        strata__file_discard(ctx, &file);
    strata__free(ctx, hint);
    if (ctx->status == STRATA_IO) {
        strata__warn(ctx, "%s; the checkpoint itself is saved", ctx->message);
        strata_error_clear(ctx);
    }
}

strata_status strata__rotation_save(strata__rotation *rotation, int64_t step,
                                    const strata__contents *contents)
{
    strata_context *ctx = rotation->ctx;
    bool root = ctx->mesh->rank == 0;
    strata__contents own = *contents;
    own.run = rotation->run;
    char *path = root ? strata__series_path(ctx, &rotation->series, rotation->next, step) : NULL;
    if (strata__checkpoint_save(ctx, path, &own) != STRATA_OK) {
        strata__free(ctx, path);
        return ctx->status;
    }
    if (root) {
        write_hint(rotation, path);
        if (add_own(rotation, rotation->next++, step, path) == STRATA_OK)
            remove_oldest(rotation);
    }
    return strata__agree(ctx);
}

const char *strata__rotation_newest(const strata__rotation *rotation)
{
    return rotation->count > 0 ? rotation->own[rotation->count - 1].path : NULL;
}

void strata__rotation_free(strata_context *ctx, strata__rotation *rotation)
{
    if (!rotation)
        return;
    strata__saved_free(ctx, rotation->own, rotation->count);
    strata__series_free(ctx, &rotation->series);
    strata__free(ctx, rotation);
}
