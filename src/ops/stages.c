/* Rows, whole or cut over the columns of the mesh, that are treated in stages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/stages.h"

/* Elements that pass through the stages at once. */
enum { TILE = 4096 };

static void all_stages(const void *user, int64_t first, int64_t count)
{
    const strata__staged *s = user;
    int64_t height = TILE / (s->n + 1) + 1, end = first + count;
    for (int64_t row = first; row < end; row += height) {
        int64_t rows = height < end - row ? height : end - row;
        for (int i = 0; i < s->count; i++)
            s->stages[i].work(s->user, row, rows);
    }
}

void strata__in_stages(strata_context *ctx, const strata__staged *s)
{
    if (!s->split) {
        strata__on_threads(s->rows, s->n, all_stages, s);
        return;
    }
    for (int i = 0; i < s->count; i++) {
        const strata__stage *stage = &s->stages[i];
        strata__on_threads(s->rows, s->n, stage->work, s->user);
        if (stage->join)
            stage->join(ctx, STRATA__COLS, stage->values, stage->width * s->rows, stage->dtype);
    }
}
