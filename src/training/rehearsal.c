/* A rehearsed step: what layers exchange and hold, and how their outputs lie. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/rehearsal.h"

#include <string.h>

#include "base/memory.h"
#include "training/step.h"

enum { DEEPEST = 64 };

typedef struct rehearsal {
    strata__plan *plan;
    int depth, row_at[DEEPEST]; /* rows of the nested layers at work */
    bool forward;
    strata__traffic seen[STRATA__AXES]; /* counters when they were last looked at */
    int64_t live, products[STRATA__MATMUL_ENGINES], attentions[STRATA__ATTENTION_GATHERS];
} rehearsal;

static int present_row(const rehearsal *r)
{
    int last = r->depth < DEEPEST ? r->depth : DEEPEST;
    return last > 0 ? r->row_at[last - 1] : r->plan->row_count - 1;
}

/* --- what it costs --- */

/* sums += now − seen, and `now` has been seen */
static void take_counts(int64_t *sums, const int64_t *now, int64_t *seen, int count)
{
    for (int i = 0; i < count; i++) {
        sums[i] += now[i] - seen[i];
        seen[i] = now[i];
    }
}

/* What the counters have gained goes to the row at work. */
static void charge(rehearsal *r)
{
    strata_context *ctx = r->plan->ctx;
    strata__plan_row *row = &r->plan->rows[present_row(r)];
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        strata__traffic now = ctx->mesh->traffic[axis];
        strata__traffic gained = strata__traffic_between(&r->seen[axis], &now);
        strata__traffic_add(&row->traffic[strata__axis_plain(ctx->mesh, axis)], &gained);
        r->seen[axis] = now;
    }
    if (r->forward)
        row->activations += ctx->memory.live_bytes - r->live;
    r->live = ctx->memory.live_bytes;
    take_counts(row->products, ctx->products, r->products, STRATA__MATMUL_ENGINES);
    take_counts(row->attentions, ctx->attentions, r->attentions, STRATA__ATTENTION_GATHERS);
}

/* The last node of a layer has its output. */
static void note_outputs(rehearsal *r)
{
    const strata__tape *tape = r->plan->ctx->tape;
    for (const strata__node *node = tape->last; node; node = node->previous) {
        int index = strata__owner_of(&r->plan->owners, node->layer, -1);
        if (index < 0 || r->plan->rows[index].recorded)
            continue;
        strata__plan_row *row = &r->plan->rows[index];
        row->recorded = true;
        row->output = node->outputs[0]->shape;
        row->layout = node->outputs[0]->layout;
    }
}

static void observe(void *user, strata__doing kind, const char *name, bool begins)
{
    rehearsal *r = user;
    charge(r);
    if (kind == STRATA__PHASE) {
        r->forward = begins && strcmp(name, "forward") == 0;
        if (begins && strcmp(name, "backward") == 0)
            note_outputs(r);
    } else if (kind == STRATA__LAYER && begins) {
        int row = strata__owner_of(&r->plan->owners, name, present_row(r));
        if (r->depth++ < DEEPEST)
            r->row_at[r->depth - 1] = row;
    } else if (kind == STRATA__LAYER) {
        r->depth--;
    }
}

/* --- what it must not change --- */

/* Elements of weights that are not trained, and how often layers have drawn random numbers. */
typedef struct keepsake {
    strata_context *ctx;
    strata_layer *layer; /* the model's */
    int count;
    strata_variable **variables;
    void **elements; /* [count] */
    int draw_count;
    strata__draws *draws;
} keepsake;

static size_t size_of(const strata_variable *variable)
{
    return (size_t)variable->count * strata_dtype_size(variable->dtype);
}

static void count_layer(void *user, strata_layer *layer)
{
    (void)layer;
    ++*(int *)user;
}

static void keep_draws(void *user, strata_layer *layer)
{
    keepsake *k = user;
    k->draws[k->draw_count++] = layer->draws;
}

static strata_status keep(keepsake *k)
{
    int layers = 0;
    k->count = strata_layer_non_trainable_weights(k->layer, NULL, 0);
    k->variables = strata__calloc(k->ctx, (size_t)k->count, sizeof(strata_variable *));
    k->elements = strata__calloc(k->ctx, (size_t)k->count, sizeof *k->elements);
    strata__layer_walk(k->layer, count_layer, &layers);
    k->draws = strata__alloc(k->ctx, (size_t)layers * sizeof *k->draws);
    if (!k->variables || !k->elements || !k->draws)
        return STRATA_NO_MEMORY;
    strata__layer_walk(k->layer, keep_draws, k);
    strata_layer_non_trainable_weights(k->layer, k->variables, k->count);
    for (int i = 0; i < k->count; i++) {
        k->elements[i] = strata__alloc(k->ctx, size_of(k->variables[i]));
        if (!k->elements[i])
            return STRATA_NO_MEMORY;
        memcpy(k->elements[i], k->variables[i]->value->data, size_of(k->variables[i]));
    }
    return STRATA_OK;
}

static void put_back_draws(void *user, strata_layer *layer)
{
    keepsake *k = user;
    layer->draws = k->draws[k->draw_count++];
}

static void put_back(keepsake *k)
{
    for (int i = 0; i < k->count; i++)
        memcpy(k->variables[i]->value->data, k->elements[i], size_of(k->variables[i]));
    k->draw_count = 0;
    strata__layer_walk(k->layer, put_back_draws, k);
}

static void keepsake_free(keepsake *k)
{
    for (int i = 0; k->elements && i < k->count; i++)
        strata__free(k->ctx, k->elements[i]);
    strata__free(k->ctx, k->elements);
    strata__free(k->ctx, k->variables);
    strata__free(k->ctx, k->draws);
}

/* --- the rehearsal --- */

/* Watches the step in place of whoever watches otherwise. */
static strata_status run(rehearsal *r, strata__trainer *trainer, const strata__binding *binding,
                         const strata__batch *batch)
{
    strata_context *ctx = r->plan->ctx;
    strata__activity *activity = &ctx->activity;
    strata__observe *observer = activity->observe;
    void *user = activity->observer;
    int64_t before = ctx->memory.live_bytes, peak = ctx->memory.peak_bytes;
    memcpy(r->seen, ctx->mesh->traffic, sizeof r->seen);
    memcpy(r->products, ctx->products, sizeof r->products);
    memcpy(r->attentions, ctx->attentions, sizeof r->attentions);
    r->live = ctx->memory.peak_bytes = before;
    activity->observe = observe;
    activity->observer = r;
    strata_status status = strata__step_rehearse(trainer, binding, batch);
    charge(r);
    activity->observe = observer;
    activity->observer = user;
    r->plan->peak = ctx->memory.peak_bytes - before;
    ctx->memory.peak_bytes = peak > ctx->memory.peak_bytes ? peak : ctx->memory.peak_bytes;
    return status;
}

strata_status strata__rehearse(strata__plan *plan, strata__trainer *trainer,
                               const strata__binding *binding, const strata__batch *batch)
{
    strata_context *ctx = plan->ctx;
    rehearsal r = {.plan = plan};
    keepsake k = {.ctx = ctx, .layer = trainer->model->layer};
    keep(&k);
    strata_status status = strata__agree(ctx);
    if (status == STRATA_OK) {
        bool checks = ctx->settings.check_numerics;
        ctx->settings.check_numerics = false; /* of a step that does not count */
        run(&r, trainer, binding, batch);
        ctx->settings.check_numerics = checks;
        put_back(&k);
        strata__trainer_reset(trainer);
        status = strata__agree(ctx);
    }
    keepsake_free(&k);
    return status;
}
