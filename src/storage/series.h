/* A series of checkpoints: the names of its files, and which of them there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_SERIES_H
#define STRATA_STORAGE_SERIES_H

#include "base/context.h"

/*
 * A user names a series by one path, which is no file: "runs/mnist.h5". The files stand beside it:
 *
 *   runs/mnist-000012-0000003000.h5   the 12th that was saved there, after 3000 steps
 *   runs/mnist.h5.latest              the name of the newest, for people and scripts: a hint
 *
 * The first number grows with each save and each run, so it tells which is newest even when a run
 * went back to an earlier step. A path that is a directory means "checkpoint.h5" inside of it.
 */
typedef struct strata__series {
    char *directory;        /* "runs/"; "" is the working directory */
    char *stem, *extension; /* "mnist", ".h5" */
} strata__series;

/* A file of the series. */
typedef struct strata__saved {
    int64_t number, step;
    char *path;
} strata__saved;

/* A value that owns its parts. Local. */
strata_status strata__series_of(strata_context *ctx, const char *base, strata__series *series);
void strata__series_free(strata_context *ctx, strata__series *series);

/* Paths, owned by the caller; NULL without memory. Local. */
char *strata__series_path(strata_context *ctx, const strata__series *series, int64_t number,
                          int64_t step);
char *strata__series_hint_path(strata_context *ctx, const strata__series *series);

/* Whether a file name of `length` bytes is of the series; then its numbers. Local. */
bool strata__series_parse(const strata__series *series, const char *name, size_t length,
                          int64_t *number, int64_t *step);

/*
 * What stands there, newest first; a file that only the hint names is listed too, since a network
 * file system may show a directory as it was a while ago. Nothing, and no directory, is an empty
 * list. Owned by the caller. Local.
 */
strata_status strata__series_list(strata_context *ctx, const strata__series *series,
                                  strata__saved **list, int *count);
void strata__saved_free(strata_context *ctx, strata__saved *list, int count);

#endif
