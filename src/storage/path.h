/* What names of files are made of. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_PATH_H
#define STRATA_STORAGE_PATH_H

#include "base/context.h"

/* Length of the directory part of a path, its last slash included; 0 when there is none. */
int strata__directory_length(const char *path);

/* 64 bits that nobody can guess. Local. */
strata_status strata__draw(strata_context *ctx, uint64_t *bits);

#endif
