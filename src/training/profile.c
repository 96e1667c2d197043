/* The profile: timing what is announced. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/profile.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/clocks.h"
#include "training/profile_parts.h"

/* --- at work: no rank may allocate much, or talk to others --- */

static int phase_of(const char *name)
{
    static const char *const phases[STRATA__BETWEEN] = {[STRATA__IN_DATA] = "data",
                                                        [STRATA__IN_FORWARD] = "forward",
                                                        [STRATA__IN_BACKWARD] = "backward",
                                                        [STRATA__IN_UPDATE] = "update",
                                                        [STRATA__IN_VALIDATION] = "validation",
                                                        [STRATA__IN_CHECKPOINT] = "checkpoint"};
    int phase = 0;
    while (phase < STRATA__BETWEEN && strcmp(name, phases[phase]) != 0)
        phase++;
    return phase;
}

static strata__meeting *meeting_at(strata__profile *p, int place)
{
    return place < 0 ? NULL : &p->meetings[place / STRATA__AXES][place % STRATA__AXES];
}

/* Time since the last look belongs to what has been at work until now. */
static void charge(strata__profile *p, double now)
{
    int layer = p->now[STRATA__LAYER], phase = p->now[STRATA__PHASE];
    strata__meeting *meeting = meeting_at(p, p->now[STRATA__COLLECTIVE]);
    double passed = now - p->last;
    p->last = now;
    p->seconds[layer][phase] += passed;
    if (meeting) {
        p->exchange[layer][phase] += passed;
        meeting->seconds += passed;
    }
}

/* What is at work once `name` begins. */
static int value_of(const strata__profile *p, strata__doing kind, const char *name)
{
    strata__collective what;
    strata__axis axis;
    switch (kind) {
    case STRATA__PHASE:
        return p->depth[STRATA__PHASE] == 0 ? phase_of(name) : p->now[STRATA__PHASE];
    case STRATA__LAYER:
        return strata__owner_of(&p->owners, name, p->now[STRATA__LAYER]);
    case STRATA__COLLECTIVE:
    case STRATA__DOINGS:
        break;
    }
    return strata__collective_find(name, &what, &axis) ? (int)what * STRATA__AXES + (int)axis : -1;
}

static void come(strata__profile *p, strata__meeting *meeting, double now)
{
    size_t bytes = STRATA__MEETINGS * sizeof(double);
    if (!meeting->begins) {
        meeting->begins = strata__scratch(p->ctx, 2, bytes);
        meeting->lengths = meeting->begins + STRATA__MEETINGS;
    }
    if (meeting->count < STRATA__MEETINGS)
        meeting->begins[meeting->count] = now;
    meeting->count++;
}

static void leave(strata__meeting *meeting, double length)
{
    if (meeting->count <= STRATA__MEETINGS)
        meeting->lengths[meeting->count - 1] = length;
}

static void begin(strata__profile *p, strata__doing kind, const char *name, double now)
{
    int depth = p->depth[kind], outer = p->now[kind];
    p->now[kind] = value_of(p, kind, name);
    p->depth[kind]++;
    if (depth < STRATA__FRAMES)
        p->frames[kind][depth] = (strata__frame){name, now, outer};
    if (kind == STRATA__COLLECTIVE && p->now[kind] >= 0)
        come(p, meeting_at(p, p->now[kind]), now);
}

static void keep_span(strata__profile *p, strata__doing kind, const strata__frame *frame,
                      double now)
{
    p->spans[p->span_count++ % STRATA__SPANS] = (strata__span){.name = frame->name,
                                                               .kind = kind,
                                                               .step = (uint32_t)p->ctx->step,
                                                               .begin = frame->begin,
                                                               .length = now - frame->begin};
}

static void end(strata__profile *p, strata__doing kind, double now)
{
    int depth = --p->depth[kind];
    if (depth < 0 || depth >= STRATA__FRAMES)
        return;
    const strata__frame *frame = &p->frames[kind][depth];
    if (kind == STRATA__COLLECTIVE && p->now[kind] >= 0)
        leave(meeting_at(p, p->now[kind]), now - frame->begin);
    if (p->spans && frame->name)
        keep_span(p, kind, frame, now);
    p->now[kind] = frame->outer;
}

static void observe(void *user, strata__doing kind, const char *name, bool begins)
{
    strata__profile *p = user;
    double now = strata__seconds();
    charge(p, now);
    if (begins)
        begin(p, kind, name, now);
    else
        end(p, kind, now);
}

/* --- beginning and end --- */

static strata_status open_file(strata__profile *p)
{
    strata_context *ctx = p->ctx;
    if (ctx->settings.profiling != STRATA__PROFILE_TRACE || ctx->mesh->rank != 0)
        return STRATA_OK;
    p->file = fopen(ctx->profile_file, "w");
    if (!p->file)
        return strata__fail(ctx, STRATA_IO, "profile '%s' cannot be written: %s", ctx->profile_file,
                            strerror(errno));
    return STRATA_OK;
}

static strata_status make_room(strata__profile *p, strata_model *model)
{
    strata_context *ctx = p->ctx;
    STRATA_TRY(strata__owners_find(model, &p->owners));
    size_t rows = (size_t)p->owners.layer_count + 1;
    p->seconds = strata__calloc(ctx, rows, sizeof *p->seconds);
    p->exchange = strata__calloc(ctx, rows, sizeof *p->exchange);
    if (ctx->settings.profiling == STRATA__PROFILE_TRACE)
        p->spans = strata__alloc(ctx, STRATA__SPANS * sizeof *p->spans);
    return ctx->status;
}

static void profile_free(strata__profile *p)
{
    if (!p)
        return;
    strata_context *ctx = p->ctx;
    for (int place = 0; place < STRATA__COLLECTIVES * STRATA__AXES; place++)
        strata__free(ctx, meeting_at(p, place)->begins);
    if (p->file)
        fclose(p->file);
    strata__free(ctx, p->spans);
    strata__free(ctx, p->exchange);
    strata__free(ctx, p->seconds);
    strata__owners_free(&p->owners);
    strata__free(ctx, p);
}

static void start(strata__profile *p)
{
    strata_context *ctx = p->ctx;
    double uncertainty;
    p->offset[0] = strata__clock_offset(ctx, false, &uncertainty);
    p->now[STRATA__PHASE] = STRATA__BETWEEN;
    p->now[STRATA__LAYER] = p->owners.layer_count;
    p->now[STRATA__COLLECTIVE] = -1;
    p->first_step = ctx->step;
    p->begun = p->last = strata__seconds();
    ctx->activity.observe = observe;
    ctx->activity.observer = p;
}

strata_status strata__profile_begin(strata_model *model, strata__profile **profile)
{
    strata_context *ctx = model->ctx;
    *profile = NULL;
    if (ctx->settings.profiling == STRATA__NO_PROFILE)
        return STRATA_OK;
    strata__profile *p = strata__calloc(ctx, 1, sizeof *p);
    if (p) {
        *p = (strata__profile){.ctx = ctx, .model = model->layer->name, .owners.ctx = ctx};
        make_room(p, model);
        open_file(p);
    }
    if (strata__agree(ctx) != STRATA_OK) {
        profile_free(p);
        return ctx->status;
    }
    start(p);
    *profile = p;
    return STRATA_OK;
}

void strata__profile_end(strata__profile *p, bool failed)
{
    if (!p)
        return;
    double uncertainty;
    p->ctx->activity.observe = NULL;
    p->ended = strata__seconds();
    charge(p, p->ended);
    if (!failed) {
        p->offset[1] = strata__clock_offset(p->ctx, false, &uncertainty);
        strata__profile_show(p);
        if (p->spans)
            strata__profile_trace(p);
    }
    profile_free(p);
}
