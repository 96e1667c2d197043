/* Tests of routes: items and answers on every axis, with groups that get nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/route.h"

#include "base/memory.h"
#include "variants.h"

/* Items that a member sends another: none to some. */
static int items_of(int from, int to)
{
    return (3 * from + to) % 4;
}

/* Item k on its way from a member to another, and the answer to it. */
static int64_t item_of(int from, int to, int k)
{
    return 1000 * from + 100 * to + k;
}

typedef struct travel {
    strata_context *ctx;
    int size, rank;
    strata__route route;
    int64_t *sent, *received; /* two numbers an item */
} travel;

static void fill(travel *t)
{
    int64_t at = 0;
    for (int to = 0; to < t->size; to++) {
        for (int k = 0; k < items_of(t->rank, to); k++, at++) {
            t->sent[2 * at] = item_of(t->rank, to, k);
            t->sent[2 * at + 1] = -item_of(t->rank, to, k);
        }
    }
}

/* In the order of the members they come from; each is answered by its square. */
static bool arrived(travel *t)
{
    int64_t at = 0;
    bool right = true;
    for (int from = 0; from < t->size; from++) {
        for (int k = 0; k < items_of(from, t->rank); k++, at++) {
            int64_t item = item_of(from, t->rank, k);
            right &= t->received[2 * at] == item && t->received[2 * at + 1] == -item;
            t->received[at] = item * item;
        }
    }
    return right && at == t->route.received;
}

static bool answered(const travel *t)
{
    bool right = true;
    for (int64_t at = 0, to = 0; to < t->size; to++) {
        for (int k = 0; k < items_of(t->rank, (int)to); k++, at++) {
            int64_t item = item_of(t->rank, (int)to, k);
            right &= t->sent[at] == item * item;
        }
    }
    return right;
}

static bool goes_and_comes(strata_context *ctx, strata__axis axis)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    travel t = {.ctx = ctx, .size = group->size, .rank = group->rank};
    int *counts = strata__alloc(ctx, (size_t)strata__route_room(ctx, axis) * sizeof *counts);
    for (int to = 0; to < t.size; to++)
        counts[to] = items_of(t.rank, to);
    strata__route_plan(ctx, axis, counts, &t.route);
    t.sent = strata__calloc(ctx, (size_t)(2 * t.route.sent), sizeof *t.sent);
    t.received = strata__calloc(ctx, (size_t)(2 * t.route.received), sizeof *t.received);
    fill(&t);
    strata__route_send(&t.route, t.sent, t.received, 2 * sizeof *t.sent);
    bool right = arrived(&t);
    strata__route_answer(&t.route, t.received, t.sent, sizeof *t.sent);
    right &= answered(&t);
    strata__free(ctx, t.received);
    strata__free(ctx, t.sent);
    strata__free(ctx, counts);
    return right;
}

static void check_routes(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++)
        assert_all(goes_and_comes(ctx, axis));
}

static void test_route_there_and_back(void **state)
{
    (void)state;
    for_each_mesh(check_routes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_route_there_and_back)};
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
