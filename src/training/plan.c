/* The plan: a rehearsed step, and what follows from where variables lie. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/plan.h"

#include "base/memory.h"
#include "training/rehearsal.h"

/* --- variables --- */

/* Bytes of a trained variable, and what its gradients and new values exchange. One copy of the
 * values serves a whole node where memory is shared. */
static void add_trained(strata__plan_row *row, const strata__optimizer *optimizer,
                        const strata_variable *variable)
{
    const strata__arena *arena = variable->arena;
    strata_context *ctx = variable->ctx;
    int64_t room = strata__pack_room(variable), size = sizeof(float);
    int sharers = arena->values_shared ? ctx->mesh->groups[arena->axis].node_size : 1;
    strata__traffic traffic = strata__arena_traffic(arena, variable->offset, room);
    strata__traffic_add(&row->traffic[strata__axis_plain(ctx->mesh, arena->axis)], &traffic);
    row->weights += (room * size + sharers - 1) / sharers;
    row->gradients += room * size;
    row->slots += strata__arena_owned(arena, variable->offset, room) * size * optimizer->kind_count;
}

static void add_variable(strata__plan_row *row, const strata__optimizer *optimizer,
                         const strata_variable *variable)
{
    if (variable->arena)
        add_trained(row, optimizer, variable);
    else
        row->weights += variable->count * (int64_t)strata_dtype_size(variable->dtype);
}

/* `met` has the variables of earlier rows, with which layers may share some. */
static strata_status add_variables(strata__plan *plan, const strata__optimizer *optimizer)
{
    strata_context *ctx = plan->ctx;
    strata__list met = {0};
    for (int i = 0; i < plan->row_count - 1 && ctx->status == STRATA_OK; i++) {
        int first = met.count, count = strata_layer_weights(plan->owners.layers[i], NULL, 0);
        strata_variable **weights = strata__alloc(ctx, (size_t)count * sizeof *weights);
        for (int v = 0; weights && v < strata_layer_weights(plan->owners.layers[i], weights, count);
             v++) {
            bool known = false;
            for (int m = 0; m < first && !known; m++)
                known = met.items[m] == weights[v];
            if (!known && strata__list_add(ctx, &met, weights[v]))
                add_variable(&plan->rows[i], optimizer, weights[v]);
        }
        strata__free(ctx, weights);
    }
    strata__list_free(ctx, &met);
    return ctx->status;
}

/* --- the rehearsal --- */

static strata_status rehearse(strata__plan *plan, strata__trainer *trainer, strata_dataset *data)
{
    strata_context *ctx = plan->ctx;
    strata__binding binding;
    strata__feed_options options = {.batch_size = plan->batch, .steps = 1};
    strata__feed *feed = NULL;
    strata__batch batch;
    STRATA_TRY(strata__bind(trainer->model, data, true, &binding));
    strata__feed_new(data, &options, &feed);
    strata_status status = strata__agree(ctx);
    if (status != STRATA_OK) {
        strata__feed_free(feed);
        return status;
    }
    strata__feed_start(feed, 0, 0);
    strata_scope_begin(ctx);
    if (strata__feed_next(feed, &batch)) {
        plan->batch = batch.size;
        status = strata__rehearse(plan, trainer, &binding, &batch);
    }
    strata_scope_end(ctx);
    strata__feed_free(feed);
    return status;
}

static strata_status make_rows(strata__plan *plan, strata_model *model)
{
    STRATA_TRY(strata__owners_find(model, &plan->owners));
    plan->row_count = plan->owners.layer_count + 1;
    plan->rows = strata__calloc(plan->ctx, (size_t)plan->row_count, sizeof *plan->rows);
    return plan->ctx->status;
}

strata_status strata__plan_make(strata__trainer *trainer, strata_dataset *data, int64_t batch_size,
                                strata__plan *plan)
{
    strata_context *ctx = trainer->model->ctx;
    *plan = (strata__plan){
        .ctx = ctx, .owners.ctx = ctx, .model = trainer->model->layer->name, .batch = batch_size};
    if (trainer->hooks)
        return strata__fail(ctx, STRATA_INVALID,
                            "a plan of model '%s' is asked for during fit; make it before",
                            plan->model);
    STRATA_TRY(strata__trainer_ready(trainer));
    make_rows(plan, trainer->model);
    STRATA_TRY(strata__agree(ctx));
    STRATA_TRY(rehearse(plan, trainer, data));
    add_variables(plan, trainer->optimizer);
    return strata__agree(ctx);
}

void strata__plan_free(strata__plan *plan)
{
    strata__free(plan->ctx, plan->rows);
    strata__owners_free(&plan->owners);
}

strata__traffic strata__plan_total(const strata__plan *plan, strata__axis axis)
{
    strata__traffic total = {0};
    for (int i = 0; i < plan->row_count; i++)
        strata__traffic_add(&total, &plan->rows[i].traffic[axis]);
    return total;
}

strata_status strata_plan_print(strata_model *model, strata_dataset *data, int64_t batch_size,
                                FILE *stream)
{
    strata__trainer *trainer = strata__trainer_meet(model, "plan");
    if (!trainer || !data)
        return STRATA_INVALID;
    strata__plan plan;
    strata_status status = strata__plan_make(trainer, data, batch_size ? batch_size : 32, &plan);
    if (status == STRATA_OK)
        strata__plan_show(&plan, stream);
    strata__plan_free(&plan);
    return status;
}
