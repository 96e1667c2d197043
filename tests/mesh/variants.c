/* One machine in several guises: with nodes of one or two ranks, without shared memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "variants.h"

#include <stdio.h>
#include <stdlib.h>

static const variant variants[] = {{0, true}, {1, true}, {2, true}, {0, false}, {2, false}};

static strata_context *context_in(const variant *variant, const char *mesh)
{
    char number[16];
    snprintf(number, sizeof number, "%d", variant->node_ranks);
    if (variant->node_ranks)
        setenv("STRATA_NODE_RANKS", number, 1);
    setenv("STRATA_SHARED", variant->share ? "1" : "0", 1);
    strata_context *ctx = strata__context_new();
    strata__mesh_new(ctx, MPI_COMM_WORLD, mesh);
    unsetenv("STRATA_NODE_RANKS");
    unsetenv("STRATA_SHARED");
    assert_all_ok(ctx);
    return ctx;
}

void for_each_mesh(void (*check)(strata_context *ctx, const variant *variant))
{
    for (size_t i = 0; i < TEST_COUNT(variants); i++) {
        const char *mesh;
        for (int index = 0; (mesh = test_mesh(index)); index++) {
            strata_context *ctx = context_in(&variants[i], mesh);
            check(ctx, &variants[i]);
            strata__mesh_free(ctx);
            assert_all_int_equal(strata__context_free(ctx), 0);
        }
    }
}

static uint64_t mixed(int64_t a, int64_t b, int64_t c)
{
    uint64_t x = (uint64_t)a * 0x9e3779b97f4a7c15u + (uint64_t)b * 0xbf58476d1ce4e5b9u +
                 (uint64_t)c * 0x94d049bb133111ebu;
    x = (x ^ (x >> 31)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

float small_number(int64_t a, int64_t b, int64_t c)
{
    return (float)(mixed(a, b, c) % 127) - 63;
}

float rough_number(int64_t a, int64_t b, int64_t c)
{
    return (float)(mixed(a, b, c) >> 40) / 1048573.0f - 7.3f;
}
