/* Files: full reads and writes at an offset, and files that appear whole or not at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_FILE_H
#define STRATA_STORAGE_FILE_H

#include "base/context.h"

/* Opens for reading; -1 after STRATA_NO_INPUT. Pipes and devices are refused. Local. */
int strata__file_open(strata_context *ctx, const char *path, int64_t *size);

/* All bytes, or an error that names the file: STRATA_BAD_DATA if it ends early, or STRATA_IO.
 * Local. */
strata_status strata__read_at(strata_context *ctx, int fd, const char *path, int64_t offset,
                              void *data, int64_t bytes);
strata_status strata__write_at(strata_context *ctx, int fd, const char *path, int64_t offset,
                               const void *data, int64_t bytes);

/*
 * A file that replaces its target only when it is complete: written under an unguessable name in
 * the target's directory (mode 0600 & ~umask), synced, renamed over the target. Whatever fails, the
 * old file stands and nothing else is left.
 */
typedef struct strata__new_file {
    char *path;      /* the target */
    char *temporary; /* in the target's directory; NULL when there is none (any more) */
    int fd;          /* of the temporary, for reading and writing; -1: none */
} strata__new_file;

/* Local. */
strata_status strata__file_create(strata_context *ctx, const char *path, strata__new_file *file);

/* fsync, then as below. Releases `file` in any case. Local. */
strata_status strata__file_commit(strata_context *ctx, strata__new_file *file);

/* Rename and fsync of the directory, for a file that is synced. Releases `file` in any case. Local.
 */
strata_status strata__file_put(strata_context *ctx, strata__new_file *file);

/* Removes the temporary and releases `file`; harmless on a zeroed or released one. Local. */
void strata__file_discard(strata_context *ctx, strata__new_file *file);

#endif
