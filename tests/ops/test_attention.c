/* Attention against plain loops, with gradients, on every mesh: heads, masks, dropout, scores. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "attention_problem.h"

#define SIZES(samples, queries, keys, heads_, groups_, features, values)                           \
    .b = samples, .t = queries, .s = keys, .heads = heads_, .groups = groups_, .h = features,      \
    .v = values

static void test_heads_and_groups(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 4, 5, 1, 1, 3, 2)},
        {SIZES(3, 4, 4, 4, 4, 2, 3), .split = true},
        {SIZES(2, 3, 5, 4, 2, 2, 2), .split = true},
        {SIZES(2, 3, 4, 6, 3, 1, 2), .split = true}, /* columns share groups */
        {SIZES(2, 3, 4, 4, 1, 2, 1), .split = true},
        {SIZES(2, 3, 4, 3, 1, 1, 2), .split = true},
        {SIZES(2, 3, 4, 1, 1, 5, 3), .split = true}, /* one head over all columns */
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_leading_axes(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 3, 4, 2, 1, 2, 2), .x = 2, .causal = true, .split = true},
        {SIZES(3, 3, 4, 2, 2, 2, 1), .x = 2, .mask = MASK_OF_HEADS, .query_mask = true},
        {SIZES(2, 3, 4, 2, 2, 1, 2), .x = 3, .mask = MASK_OF_QUERIES, .key_mask = true},
        {SIZES(3, 2, 3, 2, 1, 2, 2), .x = 2, .dropout = 0.3, .scores = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_operands_that_are_whole(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 4, 5, 2, 1, 2, 2), .whole = true, .key_mask = true, .mask = MASK_OF_HEADS},
        {SIZES(2, 4, 4, 2, 2, 2, 2), .whole = true, .split = true, .dropout = 0.4},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_positions(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(2, 5, 5, 2, 1, 2, 2), .causal = true},
        {SIZES(2, 6, 3, 1, 1, 2, 2), .causal = true},
        {SIZES(2, 3, 6, 1, 1, 2, 2), .causal = true},
        {SIZES(2, 6, 6, 1, 1, 2, 2), .window = 2},
        {SIZES(2, 6, 6, 1, 1, 2, 2), .window = 1, .causal = true},
        {SIZES(1, 9, 4, 1, 1, 2, 2), .window = 3, .causal = true},
        {SIZES(2, 6, 6, 1, 1, 2, 2), .window = INT64_MAX, .causal = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_masks(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 4, 5, 2, 2, 2, 1), .mask = MASK_OF_HEADS, .split = true},
        {SIZES(3, 4, 5, 2, 2, 2, 1), .mask = MASK_OF_ALL, .causal = true},
        {SIZES(3, 4, 5, 2, 2, 2, 1), .mask = MASK_OF_ONE, .causal = true},
        {SIZES(3, 4, 5, 2, 1, 2, 1), .mask = MASK_OF_KEYS, .split = true},
        {SIZES(3, 4, 5, 2, 1, 2, 1), .mask = MASK_OF_QUERIES},
        {SIZES(3, 4, 4, 2, 1, 2, 2), .query_mask = true, .key_mask = true, .causal = true},
        {SIZES(3, 4, 6, 2, 1, 2, 2), .key_mask = true, .value_mask = true, .window = 3},
        {SIZES(2, 4, 2, 1, 1, 2, 2), .key_mask = true, .value_mask = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

/* What queries get that see no key. */
static void test_blind_queries(void **state)
{
    (void)state;
    static const problem cases[] = {
        {SIZES(3, 4, 4, 2, 1, 2, 2), .query_mask = true, .key_mask = true, .causal = true},
        {SIZES(2, 9, 4, 1, 1, 2, 2), .causal = true, .window = 3},
        {SIZES(3, 4, 5, 2, 2, 2, 1), .mask = MASK_OF_QUERIES, .scores = true},
        {SIZES(3, 4, 5, 2, 2, 2, 1), .mask = MASK_OF_QUERIES, .dropout = 0.4},
        {SIZES(2, 3, 2, 1, 1, 2, 1), .key_mask = true, .value_mask = true, .additive = true},
    };
    static const strata__blind blind[] = {STRATA__BLIND_MEAN, STRATA__BLIND_ZERO,
                                          STRATA__BLIND_UNMASKED};
    problem problems[TEST_COUNT(blind) * TEST_COUNT(cases)];
    for (size_t i = 0; i < TEST_COUNT(problems); i++) {
        problems[i] = cases[i % TEST_COUNT(cases)];
        problems[i].blind = blind[i / TEST_COUNT(cases)];
    }
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_dropout(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 4, 5, 2, 1, 2, 2), .dropout = 0.4},
        {SIZES(2, 4, 4, 4, 4, 1, 2), .dropout = 0.3, .causal = true, .split = true},
        {SIZES(2, 2, 3, 1, 1, 1, 2), .dropout = 0.9},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_scores(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 4, 5, 2, 1, 2, 2), .scores = true},
        {SIZES(3, 4, 5, 2, 1, 2, 2), .scores = true, .dropout = 0.5},
        {SIZES(3, 4, 5, 2, 1, 2, 2), .scores = true, .dropout = 0.5, .dropped_scores = true},
        {SIZES(2, 4, 4, 2, 2, 2, 2), .scores = true, .causal = true, .key_mask = true,
         .split = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_additive_scores(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(3, 4, 5, 1, 1, 3, 2), .additive = true},
        {SIZES(3, 4, 5, 1, 1, 3, 2), .additive = true, .weights = 1, .causal = true},
        {SIZES(3, 4, 5, 2, 1, 3, 2), .additive = true, .weights = 3, .split = true},
        {SIZES(2, 5, 4, 1, 1, 2, 2), .additive = true, .weights = 2, .mask = MASK_OF_ALL,
         .scores = true, .dropout = 0.4, .dropped_scores = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

/* More queries and keys than a block has, and not a multiple of it. */
static void test_several_blocks(void **state)
{
    (void)state;
    static const problem problems[] = {
        {SIZES(1, 66, 270, 1, 1, 2, 1)},
        {SIZES(1, 260, 260, 1, 1, 1, 1), .causal = true},
        {SIZES(1, 130, 260, 1, 1, 1, 1), .window = 9, .query_mask = true, .key_mask = true},
        {SIZES(1, 5, 290, 1, 1, 1, 1), .mask = MASK_OF_ALL, .dropout = 0.2},
        {SIZES(1, 3, 290, 1, 1, 1, 1), .scores = true, .mask = MASK_OF_KEYS},
        {SIZES(1, 3, 290, 1, 1, 1, 1), .additive = true, .weights = 1, .value_mask = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_and_groups),
        cmocka_unit_test(test_leading_axes),
        cmocka_unit_test(test_operands_that_are_whole),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_blind_queries),
        cmocka_unit_test(test_dropout),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_additive_scores),
        cmocka_unit_test(test_several_blocks),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
