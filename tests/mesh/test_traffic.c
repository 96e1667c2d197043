/* Tests of the counters of traffic: against MPI's profiling interface, and against what must
 * travel. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "mesh/arena.h"
#include "mesh/panels.h"
#include "mesh/route.h"
#include "mpi_calls.h"
#include "variants.h"

/* Work on one axis, and what is counted meanwhile. */
typedef void work(strata_context *ctx, strata__axis axis, int64_t m, int64_t n);

typedef struct counted {
    strata__traffic ours; /* on the axis */
    mpi_calls theirs;
    bool elsewhere; /* something is counted on another axis */
} counted;

static counted count(strata_context *ctx, strata__axis axis, work *work, int64_t m, int64_t n)
{
    strata__traffic before[STRATA__AXES];
    counted c = {.elsewhere = false};
    memcpy(before, ctx->mesh->traffic, sizeof before);
    mpi_calls_begin();
    work(ctx, axis, m, n);
    c.theirs = mpi_calls_end();
    for (strata__axis a = 0; a < STRATA__AXES; a++) {
        strata__traffic change = strata__traffic_between(&before[a], &ctx->mesh->traffic[a]);
        if (a == axis)
            c.ours = change;
        else
            c.elsewhere |= change.calls != 0 || change.sent != 0 || change.read != 0;
    }
    return c;
}

/* Whether shared memory or MPI carried all of it, as MPI saw it too, with so many bytes. */
static bool carried(const counted *c, bool near, int64_t read, int64_t sent)
{
    bool agreed = c->ours.calls == c->theirs.calls && c->ours.sent == c->theirs.sent &&
                  c->theirs.others == 0 && !c->elsewhere;
    return agreed && c->ours.read == (near ? read : 0) && c->ours.sent == (near ? 0 : sent);
}

static const int64_t heights[] = {1, 3, 64, 1025};
enum { WIDTH = 37 };

static void sum(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    float *values = strata__calloc(ctx, (size_t)(m * n), sizeof *values);
    strata__sum(ctx, axis, values, m * n, STRATA_FLOAT32);
    strata__free(ctx, values);
}

static void broadcast(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    float *values = strata__calloc(ctx, (size_t)(m * n), sizeof *values);
    strata__broadcast(ctx, axis, 0, values, m * n * (int64_t)sizeof *values);
    strata__free(ctx, values);
}

/* Both ways of a matrix: `gather` collects it from pieces, `scatter` sums it into pieces. */
static void move(strata_context *ctx, strata__axis axis, int64_t m, int64_t n,
                 void (*function)(strata_context *, strata__axis, const float *, float *, int64_t,
                                  int64_t))
{
    float *from = strata__calloc(ctx, (size_t)(m * n), sizeof *from);
    float *to = strata__calloc(ctx, (size_t)(m * n), sizeof *to);
    function(ctx, axis, from, to, m, n);
    strata__free(ctx, to);
    strata__free(ctx, from);
}

static void gather_rows(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    move(ctx, axis, m, n, strata__gather_rows);
}

static void gather_columns(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    move(ctx, axis, m, n, strata__gather_columns);
}

static void scatter_rows(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    move(ctx, axis, m, n, strata__scatter_sum_rows);
}

static void scatter_columns(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    move(ctx, axis, m, n, strata__scatter_sum_columns);
}

static bool is_near(const strata__group *group)
{
    return group->exchange && group->nodes == 1;
}

/* Up to 4 KiB everybody reads everything; beyond, the own piece of all and then the other pieces;
 * 128 KiB and more go through MPI. */
static bool check_sum(strata_context *ctx, strata__axis axis, int64_t m)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int64_t all = m * WIDTH, others = group->size - 1;
    int64_t own = strata__piece_of(all, group->size, group->rank).count;
    bool near = is_near(group) && 4 * all <= 128 * 1024;
    counted c = count(ctx, axis, sum, m, WIDTH);
    return carried(&c, near, 4 * (4 * all <= 4096 ? others * all : others * own + all - own),
                   4 * all);
}

static bool check_broadcast(strata_context *ctx, strata__axis axis, int64_t m)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int64_t all = m * WIDTH;
    counted c = count(ctx, axis, broadcast, m, WIDTH);
    return carried(&c, is_near(group) && 4 * all <= 128 * 1024, group->rank == 0 ? 0 : 4 * all,
                   group->rank == 0 ? 4 * all : 0);
}

static bool check_gathers(strata_context *ctx, strata__axis axis, int64_t m)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int64_t all = m * WIDTH, others = group->size - 1;
    int64_t rows = strata__piece_of(m, group->size, group->rank).count * WIDTH;
    int64_t columns = strata__piece_of(WIDTH, group->size, group->rank).count * m;
    bool few = strata__piece_of(m, group->size, 0).count * WIDTH <= 4096;
    counted by_rows = count(ctx, axis, gather_rows, m, WIDTH);
    counted by_columns = count(ctx, axis, gather_columns, m, WIDTH);
    return carried(&by_rows, is_near(group) && few, 4 * (all - rows), 4 * rows * others) &&
           carried(&by_columns, is_near(group), 4 * (all - columns), 4 * columns * others);
}

static bool check_scatters(strata_context *ctx, strata__axis axis, int64_t m)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int64_t all = m * WIDTH, others = group->size - 1;
    int64_t rows = strata__piece_of(m, group->size, group->rank).count * WIDTH;
    int64_t columns = strata__piece_of(WIDTH, group->size, group->rank).count * m;
    counted by_rows = count(ctx, axis, scatter_rows, m, WIDTH);
    counted by_columns = count(ctx, axis, scatter_columns, m, WIDTH);
    return carried(&by_rows, is_near(group), 4 * rows * others, 4 * (all - rows)) &&
           carried(&by_columns, is_near(group), 4 * columns * others, 4 * (all - columns));
}

static void check_collectives(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        bool right = true;
        for (size_t i = 0; i < TEST_COUNT(heights) && ctx->mesh->groups[axis].size > 1; i++)
            right &= check_sum(ctx, axis, heights[i]) & check_broadcast(ctx, axis, heights[i]) &
                     check_gathers(ctx, axis, heights[i]) & check_scatters(ctx, axis, heights[i]);
        assert_all(right);
    }
}

static void test_collectives_count_what_they_exchange(void **state)
{
    (void)state;
    for_each_mesh(check_collectives);
}

/* A group of one has nobody to talk to. */
static void test_one_rank_is_silent(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    bool silent = true;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        if (ctx->mesh->groups[axis].size > 1)
            continue;
        counted c[] = {count(ctx, axis, sum, 3, 5), count(ctx, axis, broadcast, 3, 5),
                       count(ctx, axis, gather_rows, 3, 5),
                       count(ctx, axis, scatter_columns, 3, 5)};
        for (size_t i = 0; i < TEST_COUNT(c); i++)
            silent &= carried(&c[i], true, 0, 0) && c[i].theirs.calls == 0;
    }
    assert_all(silent);
}

/* --- routes --- */

/* m items of n floats to each member, and as many back. */
static void there_and_back(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    int64_t all = m * ctx->mesh->groups[axis].size;
    int *counts = strata__alloc(ctx, (size_t)strata__route_room(ctx, axis) * sizeof *counts);
    float *items = strata__calloc(ctx, (size_t)(all * n), sizeof *items);
    float *arrivals = strata__calloc(ctx, (size_t)(all * n), sizeof *arrivals);
    strata__route route;
    for (int member = 0; member < ctx->mesh->groups[axis].size; member++)
        counts[member] = (int)m;
    strata__route_plan(ctx, axis, counts, &route);
    strata__route_send(&route, items, arrivals, n * (int64_t)sizeof *items);
    strata__route_answer(&route, arrivals, items, n * (int64_t)sizeof *items);
    strata__free(ctx, arrivals);
    strata__free(ctx, items);
    strata__free(ctx, counts);
}

static void check_routes(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        int64_t others = ctx->mesh->groups[axis].size - 1;
        counted c = count(ctx, axis, there_and_back, 5, WIDTH);
        assert_all(carried(&c, false, 0, (4 + 2 * 4 * 5 * WIDTH) * others));
        assert_all_int_equal(c.ours.calls, others > 0 ? 3 : 0);
    }
}

static void test_routes_count_what_they_carry(void **state)
{
    (void)state;
    for_each_mesh(check_routes);
}

/* --- products --- */

static void send_panels(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    float *own = strata__calloc(ctx, (size_t)(m * n), sizeof *own);
    strata__panels panels;
    strata__panels_begin(ctx, axis, own, m, n, &panels);
    strata__panels_end(&panels);
    strata__free(ctx, own);
}

static void send_parts(strata_context *ctx, strata__axis axis, int64_t m, int64_t n)
{
    float *piece = strata__calloc(ctx, (size_t)(m * n), sizeof *piece);
    strata__parts parts;
    strata__parts_begin(ctx, axis, m, n, &parts);
    for (int member = 0; member < ctx->mesh->groups[axis].size; member++)
        strata__parts_send(&parts, member);
    strata__parts_end(&parts, 0.0f, piece);
    strata__free(ctx, piece);
}

static void check_products(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        const strata__group *group = &ctx->mesh->groups[axis];
        int64_t own = strata__piece_of(11, group->size, group->rank).count,
                others = group->size - 1;
        counted panels = count(ctx, axis, send_panels, 11, WIDTH);
        counted parts = count(ctx, axis, send_parts, 11, WIDTH);
        assert_all(carried(&panels, false, 0, 4 * own * WIDTH * others));
        assert_all(carried(&parts, false, 0, 4 * (11 - own) * WIDTH));
        assert_all(panels.ours.calls == others && parts.ours.calls == others);
    }
}

static void test_products_count_their_messages(void **state)
{
    (void)state;
    for_each_mesh(check_products);
}

/* --- arenas --- */

static void keep(void *user, strata__arena *arena, const strata__slice *slice)
{
    (void)user;
    (void)arena;
    (void)slice;
}

static const int64_t bounds[] = {0, 33, 33, 5000, 20011};
enum { BUCKETS = TEST_COUNT(bounds) - 1 };

/* The formula adds up over ranges of elements. */
static bool adds_up(const strata__arena *arena, const strata__traffic *all)
{
    enum { RANGE = 977 };
    strata__traffic sum = {0};
    for (int64_t first = 0; first < arena->count; first += RANGE) {
        strata__traffic part = strata__arena_traffic(arena, first, RANGE);
        strata__traffic_add(&sum, &part);
    }
    return sum.sent == all->sent && sum.read == all->read;
}

/* The formula says what a step counts, and MPI agrees. */
static void check_step(strata_context *ctx, strata__axis axis, strata__arena *arena)
{
    strata__traffic all = strata__arena_traffic(arena, 0, arena->count);
    assert_all(adds_up(arena, &all));
    mpi_calls_begin();
    strata__traffic before = ctx->mesh->traffic[axis];
    strata__arena_begin(arena);
    strata__arena_poll(arena, keep, NULL);
    strata__arena_finish(arena, keep, NULL);
    mpi_calls seen = mpi_calls_end();
    strata__traffic change = strata__traffic_between(&before, &ctx->mesh->traffic[axis]);
    assert_all(change.sent == all.sent && change.read == all.read);
    assert_all(seen.sent == all.sent && seen.calls == change.calls && seen.others == 0);
    assert_all(change.calls == 0 || change.calls == 2 * BUCKETS);
}

/*
 * A sum over P members moves (P − 1)·n bytes to where they are added, however they are spread; new
 * values go to each other node once.
 */
static void check_arenas(strata_context *ctx, const variant *variant)
{
    for (strata__axis axis = STRATA__DATA; axis < STRATA__AXES; axis++) {
        const strata__group *group = &ctx->mesh->groups[axis];
        strata__arena *arena;
        strata__arena_new(ctx, axis, BUCKETS, bounds, &arena);
        strata__traffic own = strata__arena_traffic(arena, 0, arena->count);
        int64_t moved[2] = {own.sent, own.read}, n = 4 * bounds[BUCKETS];
        strata__sum(ctx, axis, moved, 2, STRATA_INT64);
        int64_t nodes = variant->share ? group->nodes : group->size;
        assert_all(moved[0] == 2 * (nodes - 1) * n);
        assert_all(moved[1] == (group->size - nodes) * n);
        check_step(ctx, axis, arena);
        strata__arena_free(arena);
    }
}

static void test_arenas_count_a_step(void **state)
{
    (void)state;
    for_each_mesh(check_arenas);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collectives_count_what_they_exchange),
        cmocka_unit_test(test_one_rank_is_silent),
        cmocka_unit_test(test_routes_count_what_they_carry),
        cmocka_unit_test(test_products_count_their_messages),
        cmocka_unit_test(test_arenas_count_a_step),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
