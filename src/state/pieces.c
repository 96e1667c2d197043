/* Pieces of variables: whole arrays of them, cuts out of whole arrays, and who writes a copy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "state/variable.h"

typedef struct cutting {
    const char *whole;
    char *piece;
    size_t size; /* of an element */
} cutting;

static void cut_run(void *user, int64_t global, int64_t local, int64_t length)
{
    const cutting *c = user;
    memcpy(c->piece + (size_t)local * c->size, c->whole + (size_t)global * c->size,
           (size_t)length * c->size);
}

void strata__variable_cut(const strata_variable *variable, const void *whole, void *piece)
{
    cutting c = {.whole = whole, .piece = piece, .size = strata_dtype_size(variable->dtype)};
    strata__variable_runs(variable, cut_run, &c);
}

strata_status strata__variable_collect(const strata_variable *variable, const void *piece,
                                       void *whole)
{
    strata_context *ctx = variable->ctx;
    int64_t first[2], count[2], global[2];
    strata__variable_block(variable, first, count, global);
    if (variable->placement == STRATA__WHOLE) {
        memmove(whole, piece, (size_t)variable->count * strata_dtype_size(variable->dtype));
        return STRATA_OK;
    }
    if (variable->placement == STRATA__VECTOR) {
        strata__gather_columns(ctx, STRATA__COLS, piece, whole, global[0], global[1]);
        return STRATA_OK;
    }
    bool root = ctx->mesh->groups[STRATA__GRID].rank == 0;
    STRATA_TRY(strata__matrix_collect(ctx, &variable->matrix, piece, 0, root ? whole : NULL));
    strata__broadcast(ctx, STRATA__GRID, 0, whole, global[0] * global[1] * (int64_t)sizeof(float));
    return STRATA_OK;
}

bool strata__variable_write_begin(strata_variable *variable)
{
    strata__arena *arena = variable->arena;
    if (!arena)
        return true;
    if (arena->values_shared)
        strata__node_barrier(arena->ctx, arena->axis);
    return arena->values_writer;
}

void strata__variable_write_end(strata_variable *variable)
{
    if (variable->arena)
        strata__arena_publish(variable->arena);
}
