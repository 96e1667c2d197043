/* Tests of the collectives on axes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "variants.h"

/* Around the limits between one turn, two turns and several rounds of the exchange. */
static const int64_t lengths[] = {0, 1, 2, 1023, 1024, 1025, 32767, 32769, 100003};

static float *sums_of(strata_context *ctx, strata__axis axis, int64_t count,
                      float number(int64_t, int64_t, int64_t))
{
    const strata__group *group = &ctx->mesh->groups[axis];
    float *values = strata__alloc(ctx, (size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = number(i, group->rank, axis);
    strata__sum(ctx, axis, values, count, STRATA_FLOAT32);
    return values;
}

static bool sums_are_exact(strata_context *ctx, strata__axis axis, int64_t count)
{
    float *values = sums_of(ctx, axis, count, small_number);
    bool exact = true;
    for (int64_t i = 0; i < count; i++) {
        float expected = 0;
        for (int member = 0; member < ctx->mesh->groups[axis].size; member++)
            expected += small_number(i, member, axis);
        exact &= values[i] == expected;
    }
    strata__free(ctx, values);
    return exact;
}

static bool sums_are_alike(strata_context *ctx, strata__axis axis, int64_t count)
{
    size_t bytes = (size_t)count * sizeof(float);
    float *values = sums_of(ctx, axis, count, rough_number), *first = strata__alloc(ctx, bytes);
    memcpy(first, values, bytes);
    strata__broadcast(ctx, axis, 0, first, (int64_t)bytes);
    bool alike = memcmp(first, values, bytes) == 0;
    strata__free(ctx, values);
    strata__free(ctx, first);
    return alike;
}

static void check_sums(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        bool exact = true, alike = true;
        for (size_t i = 0; i < TEST_COUNT(lengths); i++) {
            exact &= sums_are_exact(ctx, axis, lengths[i]);
            alike &= sums_are_alike(ctx, axis, lengths[i]);
        }
        assert_all(exact);
        assert_all(alike);
    }
}

static void test_sum_floats(void **state)
{
    (void)state;
    for_each_mesh(check_sums);
}

static void check_types(strata_context *ctx, const variant *variant)
{
    (void)variant;
    int size = test_ranks(), rank = test_rank();
    int64_t longs[2] = {(int64_t)1 << 40, rank};
    double doubles[1] = {1.0 / 1024 + rank};
    int32_t ints[1] = {-rank};
    uint8_t bytes[2] = {1, 2};
    bool bools[2] = {rank == 0, false};
    strata__sum(ctx, STRATA__WORLD, longs, 2, STRATA_INT64);
    strata__sum(ctx, STRATA__WORLD, doubles, 1, STRATA_FLOAT64);
    strata__sum(ctx, STRATA__WORLD, ints, 1, STRATA_INT32);
    strata__sum(ctx, STRATA__WORLD, bytes, 2, STRATA_UINT8);
    strata__sum(ctx, STRATA__WORLD, bools, 2, STRATA_BOOL);
    int triangle = size * (size - 1) / 2;
    assert_all_int_equal(longs[0], ((int64_t)1 << 40) * size);
    assert_all_int_equal(longs[1], triangle);
    assert_all(doubles[0] == size / 1024.0 + triangle);
    assert_all_int_equal(ints[0], -triangle);
    assert_all(bytes[0] == size && bytes[1] == 2 * size);
    assert_all(bools[0] == true && bools[1] == false);
}

static void test_sum_every_type(void **state)
{
    (void)state;
    for_each_mesh(check_types);
}

static void check_extremes(strata_context *ctx, const variant *variant)
{
    (void)variant;
    int last = test_ranks() - 1;
    float high[2] = {(float)test_rank(), (float)-test_rank()}, low[2] = {high[0], high[1]};
    bool all[2] = {true, test_rank() != last}, any[2] = {false, test_rank() == last};
    strata__max(ctx, STRATA__WORLD, high, 2, STRATA_FLOAT32);
    strata__min(ctx, STRATA__WORLD, low, 2, STRATA_FLOAT32);
    strata__min(ctx, STRATA__WORLD, all, 2, STRATA_BOOL);
    strata__max(ctx, STRATA__WORLD, any, 2, STRATA_BOOL);
    assert_all(high[0] == (float)last && high[1] == 0);
    assert_all(low[0] == 0 && low[1] == (float)-last);
    assert_all(all[0] && !all[1] && !any[0] && any[1]);
}

static void test_max_and_min(void **state)
{
    (void)state;
    for_each_mesh(check_extremes);
}

static bool broadcast_works(strata_context *ctx, strata__axis axis, int root, int64_t bytes)
{
    bool own = ctx->mesh->groups[axis].rank == root, same = true;
    unsigned char *data = strata__calloc(ctx, (size_t)bytes, 1);
    for (int64_t i = 0; own && i < bytes; i++)
        data[i] = (unsigned char)(i * 7 + root);
    strata__broadcast(ctx, axis, root, data, bytes);
    for (int64_t i = 0; i < bytes; i++)
        same &= data[i] == (unsigned char)(i * 7 + root);
    strata__free(ctx, data);
    return same;
}

static void check_broadcasts(strata_context *ctx, const variant *variant)
{
    (void)variant;
    const int64_t sizes[] = {0, 1, 131072, 300001};
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        bool same = true;
        for (int root = 0; root < ctx->mesh->groups[axis].size; root++) {
            for (size_t i = 0; i < TEST_COUNT(sizes); i++)
                same &= broadcast_works(ctx, axis, root, sizes[i]);
        }
        assert_all(same);
    }
}

static void test_broadcast_from_every_member(void **state)
{
    (void)state;
    for_each_mesh(check_broadcasts);
}

/* Nobody leaves a barrier before all have come: the counter in MPI's hands would tell. */
static void check_barriers(strata_context *ctx, const variant *variant)
{
    (void)variant;
    int *arrivals;
    MPI_Win window;
    MPI_Win_allocate(sizeof *arrivals, sizeof *arrivals, MPI_INFO_NULL, MPI_COMM_WORLD, &arrivals,
                     &window);
    *arrivals = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    bool complete = true;
    for (int round = 1; round <= 20; round++) {
        int one = 1, seen, zero = 0;
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
        MPI_Fetch_and_op(&one, &seen, MPI_INT, 0, 0, MPI_SUM, window);
        MPI_Win_unlock(0, window);
        strata__barrier(ctx, STRATA__WORLD);
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
        MPI_Fetch_and_op(&zero, &seen, MPI_INT, 0, 0, MPI_NO_OP, window);
        MPI_Win_unlock(0, window);
        complete &= seen >= round * test_ranks();
    }
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        strata__barrier(ctx, axis);
        strata__node_barrier(ctx, axis);
    }
    MPI_Win_free(&window);
    assert_all(complete);
}

static void test_barriers(void **state)
{
    (void)state;
    for_each_mesh(check_barriers);
}

/* Many short turns in a row, with members that come late: nobody may see an old or a new buffer. */
static void test_sums_in_quick_succession(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    bool right = true;
    for (int round = 0; round < 2000; round++) {
        int64_t values[3] = {round, test_rank(), round * test_rank()};
        int size = test_ranks(), triangle = size * (size - 1) / 2;
        strata__sum(ctx, STRATA__WORLD, values, 3, STRATA_INT64);
        right &= values[0] == (int64_t)round * size && values[1] == triangle &&
                 values[2] == (int64_t)round * triangle;
        if (round % 97 == test_rank())
            MPI_Barrier(MPI_COMM_SELF);
    }
    assert_all(right);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_floats),  cmocka_unit_test(test_sum_every_type),
        cmocka_unit_test(test_max_and_min), cmocka_unit_test(test_broadcast_from_every_member),
        cmocka_unit_test(test_barriers),    cmocka_unit_test(test_sums_in_quick_succession),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
