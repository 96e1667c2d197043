/* Writing checkpoints: rank 0 reserves the file, all ranks write, compare and sync their parts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "storage/save_limit.h"
#include "storage/save_settings.h"
#include "storage/saving.h"

/* All the space that the file will take is taken now, where one rank alone finds a full disk. */
static void reserve_space(strata__saving *save)
{
    int error;
    do
        error = posix_fallocate(save->file.fd, 0, save->image.size);
    while (error == EINTR);
    if (error)
        strata__fail(save->ctx, STRATA_IO, "cannot reserve %lld bytes for '%s': %s",
                     (long long)save->image.size, save->file.path, strerror(error));
}

/* On rank 0 alone. */
static void start_file(strata__saving *save, const char *path)
{
    if (strata__layout_make(save) == STRATA_OK &&
        strata__file_create(save->ctx, path, &save->file) == STRATA_OK)
        reserve_space(save);
}

/* The other ranks learn the names and where everything lies. Collective. */
static strata_status share_layout(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    bool root = ctx->mesh->rank == 0;
    int64_t sizes[2] = {0};
    if (root) {
        sizes[0] = (int64_t)strlen(save->file.path) + 1;
        sizes[1] = (int64_t)strlen(save->file.temporary) + 1;
    }
    strata__broadcast(ctx, STRATA__WORLD, 0, sizes, sizeof sizes);
    if (!root) {
        save->file.path = strata__alloc(ctx, (size_t)sizes[0]);
        save->file.temporary = strata__alloc(ctx, (size_t)sizes[1]);
    }
    STRATA_TRY(strata__agree(ctx));
    strata__broadcast(ctx, STRATA__WORLD, 0, save->file.path, sizes[0]);
    strata__broadcast(ctx, STRATA__WORLD, 0, save->file.temporary, sizes[1]);
    strata__broadcast(ctx, STRATA__WORLD, 0, save->offsets,
                      (save->contents->count + 1) * (int64_t)sizeof *save->offsets);
    return STRATA_OK;
}

strata_status strata__saving_open(strata__saving *save)
{
    if (save->file.fd >= 0)
        return STRATA_OK;
    save->file.fd = open(save->file.temporary, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (save->file.fd >= 0)
        return STRATA_OK;
    return strata__fail(save->ctx, STRATA_IO,
                        "cannot open the new '%s': %s; is the file system shared?", save->file.path,
                        strerror(errno));
}

/* Rank 0 puts the rows of all ranks into the table of parts. Agrees. Collective. */
static strata_status collect_places(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    bool root = ctx->mesh->rank == 0;
    strata__place *all = root ? strata__alloc(ctx, (size_t)save->all_parts * sizeof *all) : NULL;
    if (strata__parts_gather(save, all) == STRATA_OK && root)
        strata__layout_set_places(save, all);
    strata__free(ctx, all);
    return strata__agree(ctx);
}

/* Everything lies in the file as it was meant. Agrees. Collective. */
static strata_status write_and_compare(strata__saving *save, strata__fill *fill)
{
    strata_context *ctx = save->ctx;
    fill(save);
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(collect_places(save));
    if (ctx->mesh->rank != 0 || strata__layout_write(save) == STRATA_OK)
        strata__parts_compare(save);
    return strata__agree(ctx);
}

/* All that was written is on the disk. Agrees. Collective. */
static strata_status sync_file(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    if (fsync(save->file.fd) != 0)
        strata__fail(ctx, STRATA_IO, "cannot sync the new '%s': %s", save->file.path,
                     strerror(errno));
    return strata__agree(ctx);
}

/* Every rank leaves at the same place; the end is agreed by the caller. */
static strata_status save_all(strata__saving *save, const char *path, strata__fill *fill)
{
    strata_context *ctx = save->ctx;
    STRATA_TRY(strata__parts_check_cover(save));
    STRATA_TRY(strata__parts_count(save));
    if (ctx->mesh->rank == 0)
        start_file(save, path);
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(share_layout(save));
    STRATA_TRY(write_and_compare(save, fill));
    STRATA_TRY(sync_file(save));
    if (ctx->mesh->rank == 0)
        strata__file_put(ctx, &save->file);
    return ctx->status;
}

/* The name of the temporary file is rank 0's to remove. */
static void release(strata__saving *save)
{
    strata_context *ctx = save->ctx;
    if (ctx->mesh->rank != 0) {
        strata__free(ctx, save->file.temporary);
        save->file.temporary = NULL;
    }
    strata__file_discard(ctx, &save->file);
    strata__image_free(&save->image);
    strata__free(ctx, save->parts);
    strata__free(ctx, save->counts);
    strata__free(ctx, save->offsets);
    strata__free(ctx, save->positions);
}

strata_status strata__checkpoint_save(strata_context *ctx, const char *path,
                                      const strata__contents *contents)
{
    strata__saving save = {.ctx = ctx, .contents = contents, .image.ctx = ctx, .file = {.fd = -1}};
    strata__save_settings settings;
    strata__save_limit limit = {.running = false};
    const char *outer = strata__begin(&ctx->activity, STRATA__PHASE, "checkpoint");
    save.offsets = strata__calloc(ctx, (size_t)contents->count + 1, sizeof *save.offsets);
    strata__parts_list(&save);
    if (strata__save_settings_read(ctx, &settings) == STRATA_OK) {
        strata__save_limit_start(ctx, path, settings.deadline, &limit);
        save_all(&save, path, settings.by_mpi ? strata__fill_by_mpi : strata__fill_by_pwrite);
    }
    release(&save);
    strata_status status = strata__agree(ctx);
    strata__save_limit_stop(&limit);
    strata__end(&ctx->activity, STRATA__PHASE, outer);
    return status;
}
