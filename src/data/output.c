/* Results in files: NPY arrays, and whether a file could be written at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <strata/data.h>

#include "mesh/mesh.h"
#include "storage/npy.h"

static void write_npy(strata_context *ctx, const char *path, strata_dtype dtype, strata_shape shape,
                      const void *data)
{
    strata__npy_writer writer;
    if (strata__npy_create(ctx, path, dtype, shape, &writer) != STRATA_OK)
        return;
    if (strata__npy_write(ctx, &writer, 0, writer.rows, data) == STRATA_OK)
        strata__npy_finish(ctx, &writer);
    else
        strata__npy_discard(ctx, &writer);
}

strata_status strata_npy_write(strata_context *ctx, const char *path, strata_dtype dtype,
                               strata_shape shape, const void *data)
{
    if (ctx->mesh->rank == 0 && ctx->status == STRATA_OK)
        write_npy(ctx, path, dtype, shape, data);
    return strata__agree(ctx);
}

strata_status strata_output_check(strata_context *ctx, const char *path)
{
    strata__new_file file = {.fd = -1};
    if (ctx->mesh->rank == 0 && ctx->status == STRATA_OK &&
        strata__file_create(ctx, path, &file) == STRATA_OK)
        strata__file_discard(ctx, &file);
    return strata__agree(ctx);
}
