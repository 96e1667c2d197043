/* LearningRateScheduler: the learning rate of each epoch from a function. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "training/callback.h"
#include "training/history.h"

typedef struct scheduler {
    strata_learning_rate_function *function;
    void *user;
} scheduler;

/* Rank 0's rate holds, so that no function can drive the ranks apart. */
static void epoch_begin(strata_callback *self, strata_model *model, int epoch)
{
    const scheduler *state = self->state;
    bool under_way = model->trainer->step > 0; /* a resumed epoch has its rate already */
    if (under_way || strata__agree(self->ctx) != STRATA_OK)
        return;
    double rate = state->function(epoch, strata_model_learning_rate(model), state->user);
    strata__broadcast(self->ctx, STRATA__WORLD, 0, &rate, sizeof rate);
    if (isfinite(rate))
        strata_model_set_learning_rate(model, rate);
    else
        strata__fail(self->ctx, STRATA_INVALID,
                     "LearningRateScheduler: the function gave %g for epoch %d", rate, epoch);
}

static void epoch_end(strata_callback *self, strata_model *model, int epoch,
                      const strata_logs *logs)
{
    (void)self;
    (void)epoch;
    (void)logs;
    strata__line_note(model->trainer, "learning_rate", strata_model_learning_rate(model));
}

static void destroy(strata_callback *self)
{
    strata__free(self->ctx, self->state);
}

strata_callback *strata_learning_rate_scheduler(strata_context *ctx,
                                                strata_learning_rate_function *function, void *user)
{
    if (!ctx || !function || ctx->status != STRATA_OK)
        return NULL;
    scheduler *state = strata__alloc(ctx, sizeof *state);
    if (!state)
        return NULL;
    *state = (scheduler){function, user};
    strata_callback hooks = {.name = "LearningRateScheduler",
                             .state = state,
                             .epoch_begin = epoch_begin,
                             .epoch_end = epoch_end,
                             .destroy = destroy};
    strata_callback *callback = strata_callback_new(ctx, &hooks);
    if (!callback)
        strata__free(ctx, state);
    return callback;
}
