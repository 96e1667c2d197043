/* The deadline of a run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/deadline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

struct strata__deadline {
    double start, end; /* of strata__seconds() */
    double last;       /* when the last step ended */
    double step;       /* seconds; a long one is forgotten slowly */
    double save;       /* seconds of the longest; negative: none yet */
};

/* Seconds from now to the end of the Slurm job; INFINITY where there is none. */
static double slurm_seconds(void)
{
    const char *text = getenv("SLURM_JOB_END_TIME");
    char *end;
    long long stamp = text ? strtoll(text, &end, 10) : 0;
    return stamp > 0 && !*end ? (double)stamp - (double)time(NULL) : INFINITY;
}

strata_status strata__deadline_start(strata_context *ctx, const char *max_time)
{
    double limit = INFINITY, slurm = slurm_seconds();
    if (max_time && strcmp(max_time, "none") == 0)
        return STRATA_OK;
    if (max_time && !strata__seconds_parse(max_time, &limit))
        return strata__fail(ctx, STRATA_INVALID,
                            "max_time='%.100s' is no length of time; write 3600, 90m or 1:30:00",
                            max_time);
    double seconds = fmin(limit, slurm);
    if (!isfinite(seconds))
        return STRATA_OK;
    ctx->deadline = strata__calloc(ctx, 1, sizeof *ctx->deadline);
    if (!ctx->deadline)
        return STRATA_NO_MEMORY;
    double now = strata__seconds();
    *ctx->deadline =
        (struct strata__deadline){.start = now, .end = now + seconds, .last = now, .save = -1};
    return STRATA_OK;
}

void strata__deadline_free(strata_context *ctx)
{
    strata__free(ctx, ctx->deadline);
    ctx->deadline = NULL;
}

void strata__deadline_begin_run(strata_context *ctx)
{
    if (ctx->deadline)
        ctx->deadline->last = strata__seconds();
}

strata__time_left strata__deadline_step(strata_context *ctx)
{
    static const double margin = 1.5, ending = 5;
    struct strata__deadline *d = ctx->deadline;
    if (!d || ctx->rank != 0)
        return STRATA__ENOUGH;
    double now = strata__seconds();
    d->step = fmax(0.9 * d->step, now - d->last);
    d->last = now;
    if (now + margin * (fmax(d->save, 0) + d->step) + ending >= d->end)
        return STRATA__DUE;
    return d->save < 0 && now >= d->start + (d->end - d->start) / 4 ? STRATA__MEASURE
                                                                    : STRATA__ENOUGH;
}

void strata__deadline_saved(strata_context *ctx, double seconds)
{
    if (!ctx->deadline)
        return;
    ctx->deadline->save = fmax(ctx->deadline->save, seconds);
    ctx->deadline->last = strata__seconds();
}
