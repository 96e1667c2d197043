/* Tests of memory that a node shares. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "variants.h"

/* Members ask for different sizes; the last one for nothing. */
static size_t wish(const strata__group *group, int node_rank)
{
    return node_rank == group->node_size - 1 ? 0 : (size_t)(1000 * node_rank + 100);
}

static bool all_zero(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static bool segments_show(const strata__group *group, const strata__shared *shared)
{
    bool right = true;
    for (int member = 0; member < group->node_size; member++) {
        const char *segment = shared->segments[member];
        size_t count = wish(group, member);
        right &= shared->shared || member == group->node_rank || segment == NULL;
        for (size_t i = 0; segment && i < count; i++)
            right &= segment[i] == (char)(member + 1);
    }
    return right;
}

static void check_axis(strata_context *ctx, const variant *variant, strata__axis axis)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__shared *shared;
    size_t bytes = wish(group, group->node_rank);
    strata__shared_new(ctx, axis, bytes, &shared);
    assert_all_ok(ctx);
    assert_all(shared->shared == (variant->share || group->size == 1));
    assert_all(shared->own == shared->segments[group->node_rank]);
    assert_all(shared->bytes >= bytes && (uintptr_t)shared->own % STRATA__ALIGNMENT == 0);
    bool zero = all_zero(shared->own, shared->bytes);
    memset(shared->own, group->node_rank + 1, bytes);
    strata__node_barrier(ctx, axis);
    bool right = segments_show(group, shared);
    strata__shared_free(ctx, shared);
    assert_all(zero);
    assert_all(right);
}

static void check_sharing(strata_context *ctx, const variant *variant)
{
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++)
        check_axis(ctx, variant, axis);
}

static void test_shared_segments_are_seen_on_the_node(void **state)
{
    (void)state;
    for_each_mesh(check_sharing);
}

/*
 * More than any file system holds, asked for by one member alone: without the look at the free
 * space the window would be had and the first touch would kill the job. Private memory is refused
 * too, and all members hear of it.
 */
static void check_too_large(strata_context *ctx, const variant *variant)
{
    (void)variant;
    bool last = test_rank() == test_ranks() - 1;
    strata__shared *shared;
    strata__shared_new(ctx, STRATA__WORLD, last ? (size_t)1 << 50 : 64, &shared);
    assert_all(shared == NULL);
    assert_all_error(ctx, STRATA_NO_MEMORY, "cannot allocate");
}

static void test_shared_is_refused_without_space(void **state)
{
    (void)state;
#if !defined(__SANITIZE_ADDRESS__) /* which ends the program when so much is asked for */
    for_each_mesh(check_too_large);
#else
    (void)check_too_large;
#endif
}

/* Where the free space cannot be told nothing is shared. */
static void test_shared_falls_back_to_private_memory(void **state)
{
    (void)state;
    setenv("OMPI_MCA_osc_sm_backing_directory", "/nonexistent", 1);
    strata_context *ctx = test_context(NULL);
    strata__shared *shared;
    strata__shared_new(ctx, STRATA__WORLD, 1000, &shared);
    unsetenv("OMPI_MCA_osc_sm_backing_directory");
    assert_all_ok(ctx);
    bool right = shared->shared == (test_ranks() == 1) && all_zero(shared->own, 1000);
    int64_t ones = 1;
    strata__sum(ctx, STRATA__WORLD, &ones, 1, STRATA_INT64);
    strata__shared_free(ctx, shared);
    assert_all(right);
    assert_all_int_equal(ones, test_ranks());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_segments_are_seen_on_the_node),
        cmocka_unit_test(test_shared_is_refused_without_space),
        cmocka_unit_test(test_shared_falls_back_to_private_memory),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
