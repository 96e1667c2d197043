/* Learning rate schedules: objects, and the rate of a step. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/schedule.h"

#include "base/memory.h"
#include "training/schedule_class.h"

static const strata__class *const classes[] = {
    &strata__exponential_decay, &strata__inverse_time_decay, &strata__piecewise_constant_decay,
    &strata__polynomial_decay,  &strata__cosine_decay,       &strata__cosine_decay_restarts};

const strata__family strata__schedule_family = {.kind = "learning rate schedule",
                                                .classes = classes,
                                                .class_count = sizeof classes / sizeof *classes};

static const strata__schedule_methods *methods_of(const strata__schedule *schedule)
{
    return schedule->object.class->methods;
}

static strata_status fill(strata__schedule *schedule, const json_t *json)
{
    strata_context *ctx = schedule->ctx;
    STRATA_TRY(strata__object_from_json(ctx, &strata__schedule_family, json, &schedule->object));
    if (!schedule->object.class)
        return strata__fail(ctx, STRATA_INVALID, "a learning rate schedule cannot be None");
    return methods_of(schedule)->prepare ? methods_of(schedule)->prepare(schedule) : STRATA_OK;
}

strata_status strata__schedule_from_json(strata_context *ctx, const json_t *json,
                                         strata__schedule **schedule)
{
    *schedule = strata__calloc(ctx, 1, sizeof **schedule);
    if (!*schedule)
        return STRATA_NO_MEMORY;
    (*schedule)->ctx = ctx;
    strata_status status = fill(*schedule, json);
    if (status != STRATA_OK) {
        strata__schedule_free(*schedule);
        *schedule = NULL;
    }
    return status;
}

void strata__schedule_free(strata__schedule *schedule)
{
    if (!schedule)
        return;
    strata__object_free(schedule->ctx, &schedule->object);
    strata__free(schedule->ctx, schedule->boundaries);
    strata__free(schedule->ctx, schedule->values);
    strata__free(schedule->ctx, schedule);
}

json_t *strata__schedule_to_json(const strata__schedule *schedule)
{
    return strata__object_to_json(schedule->ctx, &schedule->object);
}

double strata__schedule_rate(const strata__schedule *schedule, int64_t step)
{
    return methods_of(schedule)->rate(schedule, (double)step);
}
