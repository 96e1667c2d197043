/* Whether a model can be trained on this mesh at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/placement.h"

#include <sys/sysinfo.h>

#include "base/text.h"

/* Memory and swap, unless STRATA_NODE_MEMORY says less; INT64_MAX when nobody knows. */
static int64_t node_holds(const strata_context *ctx)
{
    struct sysinfo found;
    if (ctx->settings.node_memory > 0)
        return ctx->settings.node_memory;
    if (sysinfo(&found) != 0)
        return INT64_MAX;
    return (int64_t)(found.totalram + found.totalswap) * (int64_t)found.mem_unit;
}

/* Bytes of a rank. One copy of the values serves a node that shares memory; slots are spread over
 * the replicas. */
static int64_t bytes_of(const strata_variable *variable, int slots)
{
    const strata__mesh *mesh = variable->ctx->mesh;
    const strata__group *group = &mesh->groups[variable->replicas];
    int64_t room = strata__pack_room(variable);
    int sharers = mesh->share ? group->node_size : 1;
    return (room + room / sharers + room * slots / group->size) * (int64_t)sizeof(float);
}

strata_status strata__placement_check(const strata__trainer *trainer, int count,
                                      strata_variable *const *variables)
{
    strata_context *ctx = trainer->model->ctx;
    const strata__mesh *mesh = ctx->mesh;
    int slots = strata__optimizer_slot_count(trainer->optimizer);
    int64_t bytes = 0, holds = node_holds(ctx);
    char rank_text[32], node_text[32], holds_text[32];
    for (int i = 0; i < count; i++)
        bytes += bytes_of(variables[i], slots);
    strata__max(ctx, STRATA__WORLD, &bytes, 1, STRATA_INT64);
    int ranks = mesh->groups[STRATA__WORLD].node_size;
    if (bytes > holds / ranks)
        strata__fail(
            ctx, STRATA_INVALID,
            "model '%s' cannot be placed on the mesh data=%d,rows=%d,cols=%d: weights, gradients "
            "and optimizer slots take %s a rank, %s with %d ranks on a node that has %s; use more "
            "rows or cols, or fewer ranks a node",
            trainer->model->layer->name, mesh->data, mesh->rows, mesh->cols,
            strata__bytes_text(bytes, rank_text), strata__bytes_text(bytes * ranks, node_text),
            ranks, strata__bytes_text(holds, holds_text));
    return strata__agree(ctx);
}
