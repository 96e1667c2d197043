/* Files: full reads and writes at an offset, and files that appear whole or not at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "storage/leftovers.h"
#include "storage/path.h"

int strata__file_open(strata_context *ctx, const char *path, int64_t *size)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &about) != 0) {
        strata__fail(ctx, STRATA_NO_INPUT, "cannot open '%s': %s", path, strerror(errno));
    } else if (!S_ISREG(about.st_mode)) {
        strata__fail(ctx, STRATA_NO_INPUT, "cannot read '%s': it is not a regular file", path);
    } else {
        *size = about.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

strata_status strata__read_at(strata_context *ctx, int fd, const char *path, int64_t offset,
                              void *data, int64_t bytes)
{
    char *to = data;
    while (bytes > 0) {
        ssize_t done = pread(fd, to, (size_t)bytes, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return strata__fail(ctx, STRATA_IO, "cannot read '%s' at byte %lld: %s", path,
                                (long long)offset, strerror(errno));
        if (done == 0)
            return strata__fail(ctx, STRATA_BAD_DATA,
                                "'%s' ends at byte %lld, %lld bytes too early", path,
                                (long long)offset, (long long)bytes);
        strata__goes_on(&ctx->activity);
        to += done;
        offset += done;
        bytes -= done;
    }
    return STRATA_OK;
}

strata_status strata__write_at(strata_context *ctx, int fd, const char *path, int64_t offset,
                               const void *data, int64_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        ssize_t done = pwrite(fd, from, (size_t)bytes, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return strata__fail(ctx, STRATA_IO, "cannot write '%s' at byte %lld: %s", path,
                                (long long)offset, strerror(done < 0 ? errno : ENOSPC));
        strata__goes_on(&ctx->activity);
        from += done;
        offset += done;
        bytes -= done;
    }
    return STRATA_OK;
}

strata_status strata__file_create(strata_context *ctx, const char *path, strata__new_file *file)
{
    *file = (strata__new_file){.fd = -1};
    file->path = strata__strdup(ctx, path);
    char *name = file->path ? strata__temporary_name(ctx, path) : NULL;
    if (name) {
        file->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file->fd < 0)
            strata__fail(ctx, STRATA_IO, "cannot create a file beside '%s': %s", path,
                         strerror(errno));
    }
    if (file->fd < 0) {
        strata__free(ctx, name);
        strata__file_discard(ctx, file);
        return ctx->status;
    }
    flock(file->fd, LOCK_EX | LOCK_NB); /* where it works, it tells that the file is in use */
    file->temporary = name;
    return STRATA_OK;
}

/* Makes the renamed entry last over a crash. A file system that cannot sync a directory (EINVAL) is
 * no failure. Asks for no memory: the file is in its place already, and what fails now must not say
 * that it is not. */
static int sync_directory(char *path)
{
    int length = strata__directory_length(path);
    char first = path[length];
    path[length] = '\0';
    int fd = open(length ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    path[length] = first;
    int error = fd < 0 || (fsync(fd) != 0 && errno != EINVAL) ? errno : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

strata_status strata__file_commit(strata_context *ctx, strata__new_file *file)
{
    if (fsync(file->fd) == 0)
        return strata__file_put(ctx, file);
    strata__fail(ctx, STRATA_IO, "cannot sync the new '%s': %s", file->path, strerror(errno));
    strata__file_discard(ctx, file);
    return ctx->status;
}

strata_status strata__file_put(strata_context *ctx, strata__new_file *file)
{
    int error = close(file->fd) != 0 ? errno : 0;
    file->fd = -1;
    if (!error && rename(file->temporary, file->path) != 0)
        error = errno;
    strata_status status = STRATA_OK;
    if (error) {
        status = strata__fail(ctx, STRATA_IO, "cannot put '%s' in place: %s", file->path,
                              strerror(error));
    } else {
        strata__free(ctx, file->temporary);
        file->temporary = NULL;
        error = sync_directory(file->path);
        if (error)
            strata__warn(ctx, "'%s' is written, but its directory could not be synced: %s",
                         file->path, strerror(error));
    }
    strata__file_discard(ctx, file);
    return status;
}

void strata__file_discard(strata_context *ctx, strata__new_file *file)
{
    if (file->temporary) {
        unlink(file->temporary);
        strata__free(ctx, file->temporary);
    }
    if (file->path && file->fd >= 0)
        close(file->fd);
    strata__free(ctx, file->path);
    *file = (strata__new_file){.fd = -1};
}
