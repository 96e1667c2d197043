/* Exchange: shared buffers in which members of a group on one node show each other data. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/exchange.h"

#include <sched.h>

#include "base/memory.h"
#include "mesh/flag.h"

/* One member's segment. */
typedef struct desk {
    strata__flag round;
    _Alignas(STRATA__CACHE_LINE) char buffers[2][STRATA__EXCHANGE_BYTES];
} desk;

struct strata__exchange {
    strata__shared *shared;
    int size, rank; /* among the members on this node */
    uint64_t round; /* of the last turn */
};

/* About 2 µs on current cores: longer than a peer that is running takes, shorter than a time slice.
 */
enum { SPINS = 64 };

void strata__flag_wait(strata__flag *flag, uint64_t count)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (strata__flag_reached(flag, count))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    while (!strata__flag_reached(flag, count))
        sched_yield();
}

static desk *desk_of(const strata__exchange *exchange, int node_rank)
{
    return (desk *)(void *)exchange->shared->segments[node_rank];
}

strata_status strata__exchange_new(strata_context *ctx, strata__axis axis,
                                   strata__exchange **exchange)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    *exchange = NULL;
    if (group->nodes == group->size)
        return ctx->status;
    strata__exchange *made = strata__calloc(ctx, 1, sizeof *made);
    strata__shared *shared;
    size_t bytes = group->node_size > 1 ? sizeof(desk) : 0;
    strata__shared_new(ctx, axis, bytes, &shared);
    bool useful = made && shared && shared->shared && group->node_size > 1;
    if (!useful) {
        strata__shared_free(ctx, shared);
        strata__free(ctx, made);
        return ctx->status;
    }
    *made =
        (strata__exchange){.shared = shared, .size = group->node_size, .rank = group->node_rank};
    *exchange = made;
    return STRATA_OK;
}

void strata__exchange_free(strata_context *ctx, strata__exchange *exchange)
{
    if (!exchange)
        return;
    strata__shared_free(ctx, exchange->shared);
    strata__free(ctx, exchange);
}

bool strata__exchange_reaches_all(const strata__group *group)
{
    return group->exchange && group->nodes == 1;
}

void *strata__exchange_own(strata__exchange *exchange)
{
    return desk_of(exchange, exchange->rank)->buffers[(exchange->round + 1) % 2];
}

void strata__exchange_turn(strata__exchange *exchange)
{
    exchange->round++;
    strata__flag_raise(&desk_of(exchange, exchange->rank)->round, exchange->round);
    for (int member = 0; member < exchange->size; member++)
        strata__flag_wait(&desk_of(exchange, member)->round, exchange->round);
}

const void *strata__exchange_of(const strata__exchange *exchange, int node_rank)
{
    return desk_of(exchange, node_rank)->buffers[exchange->round % 2];
}
