/* A step of the optimizer: gradients of the own slices become new values. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ops/batch.h"
#include "tensor/numerics.h"
#include "training/optimizer_kernels.h"
#include "training/optimizer_parts.h"

/* Consecutive elements that are treated alike. */
typedef struct run {
    int64_t first, count; /* elements of the arena */
    bool skipped;         /* the backward pass did not reach them */
    bool decays;
    float clip; /* factor that clipping by norm asks for */
} run;

/* Elements at a time: what one stage leaves is in the first-level cache when the next one comes. */
enum { BLOCK = 2048 };

/* --- one run --- */

static float *slot_at(const strata__optimizer *o, int kind, int a, int64_t place)
{
    return kind < 0 ? NULL : o->kinds[kind].data[a] + place;
}

/* g ← g·scale; with accumulation A: A ← A + g, and on the last step of a round g ← (A + g)/k, A ←
 * 0. */
static void take_in(const strata__optimizer *o, int64_t count, float *g, float *accumulator)
{
    if (o->step.scale != 1)
        strata__scale(count, g, o->step.scale);
    if (!accumulator)
        return;
    if (o->step.updates)
        strata__take_mean(count, g, accumulator, (float)o->config->gradient_accumulation_steps);
    else
        strata__accumulate(count, accumulator, g);
}

static void renew(const strata__optimizer *o, const run *r, int64_t count, float *w, float *g,
                  float *const *slots)
{
    if (r->clip != 1)
        strata__scale(count, g, r->clip);
    if (o->step.bound < INFINITY)
        strata__bound(count, g, o->step.bound);
    if (o->step.decay != 0 && r->decays)
        strata__scale(count, w, 1 - o->step.decay);
    strata__optimizer_methods_of(o)->update(o->config, &o->step, count, w, g, slots);
}

/* `offset` elements into the run, whose first element has `slot` in the slot vectors. */
static void renew_block(const strata__optimizer *o, int a, const run *r, int64_t slot,
                        int64_t offset, int64_t count)
{
    const strata__arena *arena = o->pack->arenas[a];
    float *w = arena->values + r->first + offset, *g = arena->gradients + r->first + offset;
    int64_t place = slot + offset;
    float *slots[STRATA__MAX_SLOTS];
    for (int s = 0; s < strata__optimizer_methods_of(o)->slot_count; s++)
        slots[s] = slot_at(o, o->slots[s], a, place);
    if (!r->skipped && !o->step.taken_in)
        take_in(o, count, g, slot_at(o, o->accumulator, a, place));
    if (!r->skipped && o->step.updates)
        renew(o, r, count, w, g, slots);
    if (o->average >= 0)
        strata__average(count, slot_at(o, o->average, a, place), w, o->step.average_keep,
                        o->step.overwrites);
}

static void renew_run(const strata__optimizer *o, int a, const run *r, int64_t slot)
{
    int64_t blocks = (r->count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 8)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t offset = b * BLOCK, left = r->count - offset;
        renew_block(o, a, r, slot, offset, left < BLOCK ? left : BLOCK);
    }
}

/* --- slices as runs --- */

/* The first segment that ends after the element. */
static int first_segment(const strata__optimizer *o, int a, int64_t element)
{
    int low = 0, high = o->segment_count[a];
    while (low < high) {
        int middle = (low + high) / 2;
        const strata__segment *s = &o->segments[a][middle];
        if (s->first + s->count > element)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The part of a segment that lies in the slice. */
static run run_of(const strata__optimizer *o, const strata__segment *s, const strata__slice *slice)
{
    int64_t end = s->first + s->count, slice_end = slice->first + slice->count;
    run r = {.first = s->first > slice->first ? s->first : slice->first,
             .skipped = !o->pack->variables[s->variable]->value->sink_filled,
             .decays = o->decays[s->variable],
             .clip = o->step.taken_in ? o->clips[s->variable] : 1};
    r.count = (end < slice_end ? end : slice_end) - r.first;
    return r;
}

static bool alike(const run *a, const run *b)
{
    return a->skipped == b->skipped && a->decays == b->decays && a->clip == b->clip;
}

/* Neighbours that are treated alike become one run, with the padding between them. */
static void update(void *user, strata__arena *arena, const strata__slice *slice)
{
    strata__optimizer *o = user;
    int a = arena == o->pack->arenas[1];
    run pending = {0};
    for (int i = first_segment(o, a, slice->first); i < o->segment_count[a]; i++) {
        const strata__segment *s = &o->segments[a][i];
        if (s->first >= slice->first + slice->count)
            break;
        run next = run_of(o, s, slice);
        if (pending.count > 0 && alike(&pending, &next)) {
            pending.count = next.first + next.count - pending.first;
            continue;
        }
        renew_run(o, a, &pending, slice->slot + pending.first - slice->first);
        pending = next;
    }
    renew_run(o, a, &pending, slice->slot + pending.first - slice->first);
}

/* --- clipping by norm --- */

/* Takes in the gradients of a slice and adds up their squares by variable. */
static void take_in_slice(strata__optimizer *o, int a, const strata__slice *slice)
{
    for (int i = first_segment(o, a, slice->first); i < o->segment_count[a]; i++) {
        const strata__segment *s = &o->segments[a][i];
        if (s->first >= slice->first + slice->count)
            break;
        run r = run_of(o, s, slice);
        if (r.skipped)
            continue;
        float *g = o->pack->arenas[a]->gradients + r.first;
        take_in(o, r.count, g, slot_at(o, o->accumulator, a, slice->slot + r.first - slice->first));
        if (strata__optimizer_counts(o->pack->variables[s->variable]))
            o->squares[s->variable] += strata__squares(r.count, g);
    }
}

static void share_squares(strata__optimizer *o)
{
    strata__sum(o->ctx, STRATA__WORLD, o->squares, o->pack->count, STRATA_FLOAT64);
}

static void clear_squares(strata__optimizer *o)
{
    for (int i = 0; i < o->pack->count; i++)
        o->squares[i] = 0;
}

/* Σ g² of each variable, every element counted once; the same on all ranks. Collective on the mesh.
 */
static void sum_squares(strata__optimizer *o)
{
    const strata__pack *pack = o->pack;
    clear_squares(o);
    for (int a = 0; a < 2; a++) {
        const strata__arena *arena = pack->arenas[a];
        for (int b = 0; arena && b < arena->bucket_count; b++)
            take_in_slice(o, a, &arena->slices[b]);
    }
    share_squares(o);
}

/* clipnorm c: c / max(‖g‖, c) of the variable. global_clipnorm c: c·min(1/n, 1/c) with n = ‖all g‖,
 * NaN if n is not finite. */
static void choose_clips(strata__optimizer *o)
{
    double all = 0;
    for (int i = 0; i < o->pack->count; i++)
        all += o->squares[i];
    double norm = sqrt(all), global = o->config->global_clipnorm;
    for (int i = 0; i < o->pack->count; i++) {
        double own = sqrt(o->squares[i]), clip = o->config->clipnorm;
        if (isnan(clip))
            o->clips[i] = (float)(isfinite(norm) ? global * fmin(1 / norm, 1 / global) : NAN);
        else
            o->clips[i] = (float)(own > clip ? clip / own : isnan(own) ? NAN : 1);
    }
}

/* --- the step --- */

static int64_t round_of(const strata__optimizer *o)
{
    int64_t k = o->config->gradient_accumulation_steps;
    return k == STRATA_NONE ? 1 : k;
}

static strata__step step_of(const strata__optimizer *o)
{
    const strata__optimizer_config *c = o->config;
    const strata__optimizer_methods *methods = strata__optimizer_methods_of(o);
    int64_t k = round_of(o), updates = o->iteration / k;
    float rate = (float)strata__optimizer_learning_rate(o);
    return (strata__step){
        .update = updates + 1,
        .learning_rate = rate,
        .decay = isnan(c->weight_decay) ? 0 : (float)c->weight_decay * rate,
        .scale = (float)(1 / strata__optimizer_loss_scale(o)),
        .bound = isnan(c->clipvalue) ? INFINITY : (float)c->clipvalue,
        .average_keep = updates == 0 ? 0 : (float)c->ema_momentum,
        .updates = (o->iteration + 1) % k == 0,
        .overwrites = c->ema_overwrite_frequency != STRATA_NONE &&
                      (updates + 1) % c->ema_overwrite_frequency == 0,
        .correction = methods->correction ? methods->correction(c, updates + 1) : 1,
    };
}

/* Norms are known only when all gradients are; on a step that only accumulates nobody asks for
 * them. */
static bool needs_norms(const strata__optimizer *o)
{
    return strata__optimizer_clips_by_norm(o) && o->step.updates;
}

static void for_each_arena(strata__optimizer *o, strata__update *with,
                           void (*work)(strata__arena *, strata__update *, void *))
{
    for (int a = 0; a < 2; a++) {
        if (o->pack->arenas[a])
            work(o->pack->arenas[a], with, o);
    }
}

void strata__optimizer_begin(strata__optimizer *o)
{
    o->step = step_of(o);
    strata__pack_begin(o->pack);
}

void strata__optimizer_complete(void *user, strata_variable *variable)
{
    strata__optimizer *o = user;
    const strata_tensor *value = variable->value;
    if (value->sink_filled)
        strata__look(value, value->sink, &variable->shape, NULL, "this rank's gradient of '%s'",
                     variable->path);
    strata__pack_complete(o->pack, variable);
    for_each_arena(o, needs_norms(o) ? NULL : update, strata__arena_poll);
}

static bool reached_any(const strata__optimizer *o)
{
    for (int i = 0; i < o->pack->count; i++) {
        if (o->pack->variables[i]->value->sink_filled)
            return true;
    }
    return false;
}

strata_status strata__optimizer_apply(strata__optimizer *o)
{
    bool reached = reached_any(o);
    strata__pack_close(o->pack);
    if (needs_norms(o)) {
        for (int a = 0; a < 2; a++) {
            if (o->pack->arenas[a])
                strata__arena_reduce(o->pack->arenas[a]);
        }
        sum_squares(o);
        choose_clips(o);
        o->step.taken_in = true;
    }
    for_each_arena(o, update, strata__arena_finish);
    if (!reached)
        return strata__fail(o->ctx, STRATA_INVALID, "No gradients provided for any variable.");
    for (int i = 0; i < o->pack->count; i++) {
        strata_variable *variable = o->pack->variables[i];
        if (variable->value->sink_filled && variable->constraint.class)
            STRATA_TRY(strata__variable_constrain(variable));
    }
    o->iteration++;
    return STRATA_OK;
}

strata_status strata__optimizer_rehearse(strata__optimizer *o)
{
    if (strata__optimizer_clips_by_norm(o)) {
        clear_squares(o);
        share_squares(o);
    }
    for (int i = 0; i < o->pack->count; i++)
        STRATA_TRY(strata__variable_constrain_rehearse(o->pack->variables[i]));
    return o->ctx->status;
}
