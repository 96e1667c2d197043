/* What names of files are made of. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/path.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

int strata__directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (int)(slash - path) + 1 : 0;
}

strata_status strata__draw(strata_context *ctx, uint64_t *bits)
{
    if (getrandom(bits, sizeof *bits, 0) == (ssize_t)sizeof *bits)
        return STRATA_OK;
    return strata__fail(ctx, STRATA_IO, "cannot draw random bits for the name of a file: %s",
                        strerror(errno));
}
