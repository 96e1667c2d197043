/* Fails in every way that the harness knows; check_harness.sh reads the reports. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "harness.h"

static void test_that_passes(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__free(ctx, strata__alloc(ctx, 100));
    assert_all_int_equal(test_rank() + 1 <= test_ranks(), 1);
}

static void test_that_is_skipped(void **state)
{
    (void)state;
    skip();
}

static void test_wrong_on_the_last_rank(void **state)
{
    (void)state;
    test_context_without_mesh();
    assert_all_near(test_rank() + 1 < test_ranks() ? 1.0 : 2.0, 1.0, 0.5);
}

static void test_leak(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    if (test_rank() + 1 == test_ranks())
        strata__alloc(ctx, 100);
}

static void test_plain_assertion_on_the_last_rank(void **state)
{
    (void)state;
    assert_true(test_rank() + 1 < test_ranks());
}

static void test_that_leaves_the_others_alone(void **state)
{
    (void)state;
    assert_true(test_rank() + 1 < test_ranks());
    assert_all(true);
}

static void test_error_in_the_context(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__fail(ctx, STRATA_INVALID, "units is -1");
    assert_all_ok(ctx);
}

static void test_crash(void **state)
{
    (void)state;
    if (test_rank() + 1 == test_ranks())
        _Exit(3);
    assert_all(true);
}

static void test_hang(void **state)
{
    (void)state;
    for (;;)
        assert_all(test_ranks() > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_that_passes),
        cmocka_unit_test(test_that_is_skipped),
        cmocka_unit_test(test_wrong_on_the_last_rank),
        cmocka_unit_test(test_leak),
        cmocka_unit_test(test_plain_assertion_on_the_last_rank),
        cmocka_unit_test(test_that_leaves_the_others_alone),
        cmocka_unit_test(test_error_in_the_context),
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_hang),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
