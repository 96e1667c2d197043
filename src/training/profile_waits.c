/* Who was late: when the ranks of each group came to their collectives. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "training/profile_parts.h"

/* What the members of a group do in the course of their work, not where they meet. */
static bool is_own_work(strata__collective what)
{
    return what == STRATA__GRADIENT_SUMS || what == STRATA__UPDATES;
}

/* How many meetings all members have noted, or 0 where their numbers differ: then it is not known
 * which belong together. Collective on the group. */
static int64_t common_count(strata_context *ctx, strata__axis axis, const strata__meeting *meeting)
{
    int64_t bounds[2] = {meeting->count, -meeting->count};
    strata__max(ctx, axis, bounds, 2, STRATA_INT64);
    if (bounds[0] != -bounds[1])
        return 0;
    return meeting->count < STRATA__MEETINGS ? meeting->count : STRATA__MEETINGS;
}

/*
 * A member waits from when it comes until the last one does, at most as long as it stays. last,
 * waits: (count) scratch. Adds what this rank waited, and what others waited because it came last.
 */
static void compare(const strata__profile *p, strata__axis axis, const strata__meeting *meeting,
                    int64_t count, double *last, double *waits, double *waited, double *caused)
{
    for (int64_t i = 0; i < count; i++)
        last[i] = strata__profile_time(p, meeting->begins[i]);
    strata__max(p->ctx, axis, last, count, STRATA_FLOAT64);
    for (int64_t i = 0; i < count; i++) {
        double until = last[i] - strata__profile_time(p, meeting->begins[i]);
        waits[i] = until < meeting->lengths[i] ? until : meeting->lengths[i];
        *waited += waits[i];
    }
    strata__sum(p->ctx, axis, waits, count, STRATA_FLOAT64);
    for (int64_t i = 0; i < count; i++) {
        if (last[i] == strata__profile_time(p, meeting->begins[i]))
            *caused += waits[i];
    }
}

/* Numbers of this rank that are to be added up: strata__waits without the rank. */
typedef struct own {
    double count, seconds, waited, caused;
} own;

static own meet(const strata__profile *p, strata__collective what, strata__axis axis,
                double *scratch)
{
    const strata__meeting *meeting = &p->meetings[what][axis];
    own o = {.count = (double)meeting->count, .seconds = meeting->seconds};
    if (p->ctx->mesh->groups[axis].size == 1 || is_own_work(what))
        return o;
    int64_t count = common_count(p->ctx, axis, meeting);
    if (count > 0)
        compare(p, axis, meeting, count, scratch, scratch + STRATA__MEETINGS, &o.waited, &o.caused);
    return o;
}

/* by_rank: (mesh size) zeros, then what each has caused. Collective on the mesh. */
static strata__waits total(strata_context *ctx, const own *o, double *by_rank)
{
    const strata__mesh *mesh = ctx->mesh;
    double sums[3] = {o->count, o->seconds, o->waited};
    memset(by_rank, 0, (size_t)mesh->size * sizeof *by_rank);
    by_rank[mesh->rank] = o->caused;
    strata__sum(ctx, STRATA__WORLD, sums, 3, STRATA_FLOAT64);
    strata__sum(ctx, STRATA__WORLD, by_rank, mesh->size, STRATA_FLOAT64);
    strata__waits waits = {.count = sums[0], .seconds = sums[1], .waited = sums[2]};
    for (int rank = 0; rank < mesh->size; rank++) {
        if (by_rank[rank] > waits.caused) {
            waits.caused = by_rank[rank];
            waits.latest = rank;
        }
    }
    return waits;
}

void strata__profile_waits(strata__profile *p,
                           strata__waits waits[STRATA__COLLECTIVES][STRATA__AXES], double *caused)
{
    strata_context *ctx = p->ctx;
    int ranks = ctx->mesh->size;
    double *scratch = strata__scratch(ctx, 2 * STRATA__MEETINGS + ranks, sizeof *scratch);
    double *by_rank = scratch + 2 * STRATA__MEETINGS;
    memset(caused, 0, (size_t)ranks * sizeof *caused);
    for (strata__collective what = 0; what < STRATA__COLLECTIVES; what++) {
        for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
            own o = meet(p, what, axis, scratch);
            waits[what][axis] = total(ctx, &o, by_rank);
            for (int rank = 0; rank < ranks; rank++)
                caused[rank] += by_rank[rank];
        }
    }
    strata__free(ctx, scratch);
}
