/* Temporary files: whose they are by their names, and those that dead processes left behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_LEFTOVERS_H
#define STRATA_STORAGE_LEFTOVERS_H

#include "storage/series.h"

/*
 * The temporary file of "runs/a.h5" is "runs/.a.h5.OWNER.0123456789abcdef.part": OWNER is
 * "job-4711" within a Slurm job, else "pid-1234-host"; the digits are drawn for each file. Its
 * writer holds a lock on it (flock). Owned by the caller; NULL after an error. Local.
 */
char *strata__temporary_name(strata_context *ctx, const char *path);

/*
 * Removes temporary files of the series that are provably of no use: made by this Slurm job, or on
 * this machine by a process that is gone; a regular file of this user; and not locked, so that
 * nobody is writing it. All others stay. Local.
 */
void strata__leftovers_remove(const strata__series *series);

#endif
