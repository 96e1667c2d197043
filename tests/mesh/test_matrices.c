/* Tests of gathering and scattering matrices over an axis. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "variants.h"

/* Empty ones, fewer rows or columns than members, unequal pieces, several rounds of the exchange,
 * rows that do not fit it. */
static const int64_t shapes[][2] = {{0, 5}, {5, 0}, {1, 1},    {2, 3},      {3, 2},
                                    {7, 5}, {5, 7}, {129, 65}, {300, 1001}, {3, 140001}};

typedef struct matrix {
    int64_t m, n;
    strata__piece rows, columns; /* this member's */
    float *whole;                /* (m, n) */
    float *by_rows, *by_columns; /* pieces */
    float *result;               /* room for any of them */
} matrix;

static float *new_floats(strata_context *ctx, int64_t count)
{
    float *floats = strata__alloc(ctx, (size_t)count * sizeof *floats);
    for (int64_t i = 0; i < count; i++)
        floats[i] = -99;
    return floats;
}

static void cut(matrix *matrix)
{
    for (int64_t i = 0; i < matrix->rows.count; i++)
        memcpy(matrix->by_rows + i * matrix->n,
               matrix->whole + (matrix->rows.first + i) * matrix->n,
               (size_t)matrix->n * sizeof(float));
    for (int64_t i = 0; i < matrix->m; i++)
        for (int64_t j = 0; j < matrix->columns.count; j++)
            matrix->by_columns[i * matrix->columns.count + j] =
                matrix->whole[i * matrix->n + matrix->columns.first + j];
}

static matrix matrix_new(strata_context *ctx, strata__axis axis, const int64_t shape[2])
{
    const strata__group *group = &ctx->mesh->groups[axis];
    matrix made = {.m = shape[0], .n = shape[1]};
    made.rows = strata__piece_of(made.m, group->size, group->rank);
    made.columns = strata__piece_of(made.n, group->size, group->rank);
    made.whole = new_floats(ctx, made.m * made.n);
    made.by_rows = new_floats(ctx, made.rows.count * made.n);
    made.by_columns = new_floats(ctx, made.m * made.columns.count);
    made.result = new_floats(ctx, made.m * made.n);
    for (int64_t i = 0; i < made.m * made.n; i++)
        made.whole[i] = small_number(i, 0, 0);
    cut(&made);
    return made;
}

static void matrix_free(strata_context *ctx, matrix *matrix)
{
    strata__free(ctx, matrix->whole);
    strata__free(ctx, matrix->by_rows);
    strata__free(ctx, matrix->by_columns);
    strata__free(ctx, matrix->result);
}

static bool equal(const float *a, const float *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

static bool gathers(strata_context *ctx, strata__axis axis, matrix *matrix)
{
    int64_t count = matrix->m * matrix->n;
    strata__gather_rows(ctx, axis, matrix->by_rows, matrix->result, matrix->m, matrix->n);
    bool right = equal(matrix->result, matrix->whole, count);
    memset(matrix->result, 0, (size_t)count * sizeof(float));
    strata__gather_columns(ctx, axis, matrix->by_columns, matrix->result, matrix->m, matrix->n);
    return right && equal(matrix->result, matrix->whole, count);
}

/* Member r brings `whole` + r, so everybody's sum is size · whole + size · (size − 1) / 2. */
static bool scatters(strata_context *ctx, strata__axis axis, matrix *matrix)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    int64_t count = matrix->m * matrix->n;
    float *own = new_floats(ctx, count);
    for (int64_t i = 0; i < count; i++) {
        own[i] = matrix->whole[i] + (float)group->rank;
        matrix->whole[i] =
            (float)group->size * matrix->whole[i] + (float)(group->size * (group->size - 1) / 2);
    }
    cut(matrix);
    strata__scatter_sum_rows(ctx, axis, own, matrix->result, matrix->m, matrix->n);
    bool right = equal(matrix->result, matrix->by_rows, matrix->rows.count * matrix->n);
    strata__scatter_sum_columns(ctx, axis, own, matrix->result, matrix->m, matrix->n);
    right &= equal(matrix->result, matrix->by_columns, matrix->m * matrix->columns.count);
    strata__free(ctx, own);
    return right;
}

static void check_matrices(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        bool gathered = true, scattered = true;
        for (size_t i = 0; i < TEST_COUNT(shapes); i++) {
            matrix matrix = matrix_new(ctx, axis, shapes[i]);
            gathered &= gathers(ctx, axis, &matrix);
            scattered &= scatters(ctx, axis, &matrix);
            matrix_free(ctx, &matrix);
        }
        assert_all(gathered);
        assert_all(scattered);
    }
}

static void test_gather_and_scatter(void **state)
{
    (void)state;
    for_each_mesh(check_matrices);
}

static void check_allocations(strata_context *ctx, const variant *variant)
{
    (void)variant;
    const int64_t shape[2] = {37, 53};
    matrix matrix = matrix_new(ctx, STRATA__WORLD, shape);
    int64_t before = 0;
    for (int round = 0; round < 3; round++) {
        gathers(ctx, STRATA__WORLD, &matrix);
        scatters(ctx, STRATA__WORLD, &matrix);
        if (round == 0)
            before = ctx->memory.system_allocations;
    }
    int64_t after = ctx->memory.system_allocations;
    matrix_free(ctx, &matrix);
#if !defined(__SANITIZE_ADDRESS__)
    assert_all_int_equal(after, before);
#else
    (void)after;
    (void)before;
#endif
}

static void test_scratch_comes_from_the_pool(void **state)
{
    (void)state;
    for_each_mesh(check_allocations);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_and_scatter),
        cmocka_unit_test(test_scratch_comes_from_the_pool),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
