/* Tests of descriptors and of redistribution between block sizes and to one rank. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/descriptor.h"

#include <string.h>

#include "base/memory.h"
#include "variants.h"

int numroc_(const int *count, const int *block, const int *process, const int *source,
            const int *processes);

static const int64_t shapes[][2] = {{1, 1}, {2, 3}, {3, 2}, {7, 5}, {64, 48}, {5, 130}, {0, 4}};
static const int64_t blocks[][2] = {{0, 0}, {1, 1}, {2, 3}, {16, 5}, {1000, 1000}};

/* Global row or column of a local one: block-cyclic from process 0. */
static int64_t global_index(int64_t local, int64_t block, int process, int processes)
{
    return (local / block * processes + process) * block + local % block;
}

static float element(int64_t i, int64_t j)
{
    return (float)(1000 * i + j);
}

/* Calls fill or compare element by element through the block-cyclic rule. */
static bool visit(strata_context *ctx, const strata__matrix *matrix, float *piece, bool fill)
{
    const strata__mesh *mesh = ctx->mesh;
    bool right = true;
    for (int64_t i = 0; i < matrix->local_m; i++) {
        for (int64_t j = 0; j < matrix->local_n; j++) {
            float value = element(global_index(i, matrix->block_m, mesh->row, mesh->rows),
                                  global_index(j, matrix->block_n, mesh->col, mesh->cols));
            float *at = &piece[i * matrix->local_n + j];
            if (fill)
                *at = value;
            right &= *at == value;
        }
    }
    return right;
}

static float *new_piece(strata_context *ctx, const strata__matrix *matrix)
{
    size_t count = (size_t)(matrix->local_m * matrix->local_n);
    return strata__calloc(ctx, count, sizeof(float));
}

static int local_size(int64_t count, int64_t block, int process, int processes)
{
    int n = (int)count, nb = (int)block, zero = 0;
    return numroc_(&n, &nb, &process, &zero, &processes);
}

static void check_pieces(strata_context *ctx, const int64_t shape[2], const int64_t block[2])
{
    const strata__mesh *mesh = ctx->mesh;
    strata__matrix matrix;
    strata__matrix_describe(ctx, "kernel", shape[0], shape[1], block[0], block[1], &matrix);
    assert_all_ok(ctx);
    assert_all_int_equal(matrix.local_m,
                         local_size(matrix.m, matrix.block_m, mesh->row, mesh->rows));
    assert_all_int_equal(matrix.local_n,
                         local_size(matrix.n, matrix.block_n, mesh->col, mesh->cols));
    if (block[0] != 0)
        return;
    strata__piece rows = strata__piece_of(shape[0], mesh->rows, mesh->row);
    strata__piece columns = strata__piece_of(shape[1], mesh->cols, mesh->col);
    assert_all(matrix.first_m == rows.first && matrix.local_m == rows.count);
    assert_all(matrix.first_n == columns.first && matrix.local_n == columns.count);
}

static void check_all_pieces(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (size_t s = 0; s < TEST_COUNT(shapes); s++) {
        for (size_t b = 0; b < TEST_COUNT(blocks); b++)
            check_pieces(ctx, shapes[s], blocks[b]);
    }
}

static void test_describe_pieces(void **state)
{
    (void)state;
    for_each_mesh(check_all_pieces);
}

static bool whole_is_right(const strata__matrix *matrix, const float *whole)
{
    bool right = true;
    for (int64_t i = 0; i < matrix->m; i++) {
        for (int64_t j = 0; j < matrix->n; j++)
            right &= whole[i * matrix->n + j] == element(i, j);
    }
    return right;
}

static bool travels(strata_context *ctx, const strata__matrix *matrix, int root)
{
    bool own = ctx->mesh->groups[STRATA__GRID].rank == root;
    size_t bytes = (size_t)(matrix->m * matrix->n) * sizeof(float);
    float *whole = own ? strata__calloc(ctx, 1, bytes) : NULL;
    float *piece = new_piece(ctx, matrix), *back = new_piece(ctx, matrix);
    visit(ctx, matrix, piece, true);
    strata__matrix_collect(ctx, matrix, piece, root, whole);
    bool right = !own || whole_is_right(matrix, whole);
    strata__matrix_distribute(ctx, matrix, whole, root, back);
    right &= visit(ctx, matrix, back, false);
    strata__free(ctx, whole);
    strata__free(ctx, piece);
    strata__free(ctx, back);
    return right;
}

static void check_travel(strata_context *ctx, const variant *variant)
{
    bool right = true;
    for (size_t s = 0; s < TEST_COUNT(shapes) && variant->share; s++) {
        for (size_t b = 0; b < TEST_COUNT(blocks); b++) {
            strata__matrix matrix;
            strata__matrix_describe(ctx, "kernel", shapes[s][0], shapes[s][1], blocks[b][0],
                                    blocks[b][1], &matrix);
            for (int root = 0; root < ctx->mesh->groups[STRATA__GRID].size; root++)
                right &= travels(ctx, &matrix, root);
        }
    }
    assert_all_ok(ctx);
    assert_all(right);
}

static void test_collect_and_distribute(void **state)
{
    (void)state;
    for_each_mesh(check_travel);
}

static bool redistributes(strata_context *ctx, const int64_t shape[2], const int64_t from_block[2],
                          const int64_t to_block[2])
{
    strata__matrix from, to;
    strata__matrix_describe(ctx, "from", shape[0], shape[1], from_block[0], from_block[1], &from);
    strata__matrix_describe(ctx, "to", shape[0], shape[1], to_block[0], to_block[1], &to);
    float *source = new_piece(ctx, &from), *target = new_piece(ctx, &to);
    visit(ctx, &from, source, true);
    strata__matrix_redistribute(ctx, &from, source, &to, target);
    bool right = visit(ctx, &to, target, false);
    strata__free(ctx, source);
    strata__free(ctx, target);
    return right;
}

static void check_redistribution(strata_context *ctx, const variant *variant)
{
    bool right = true;
    for (size_t s = 0; s < TEST_COUNT(shapes) && variant->share; s++) {
        for (size_t b = 0; b < TEST_COUNT(blocks); b++)
            right &= redistributes(ctx, shapes[s], blocks[b], blocks[(b + 1) % TEST_COUNT(blocks)]);
    }
    assert_all_ok(ctx);
    assert_all(right);
}

static void test_redistribute_between_block_sizes(void **state)
{
    (void)state;
    for_each_mesh(check_redistribution);
}

static void test_describe_refuses_what_scalapack_cannot(void **state)
{
    (void)state;
    static const struct {
        int64_t m, n, block_m, block_n;
        strata_status status;
        const char *words;
    } cases[] = {
        {INT64_C(1) << 31, 1, 0, 0, STRATA_UNSUPPORTED, "dense/kernel: a 2147483648 × 1 matrix"},
        {1, INT64_C(1) << 40, 0, 0, STRATA_UNSUPPORTED, "ScaLAPACK's limit of 2147483647"},
        {1, 1, INT64_C(1) << 31, 1, STRATA_UNSUPPORTED, "dense/kernel"},
        {2000000, 2000000, 0, 0, STRATA_UNSUPPORTED, "use more rows or cols"},
        {-1, 1, 0, 0, STRATA_INVALID, "dense/kernel"},
        {1, 1, -2, 1, STRATA_INVALID, "in blocks of -2"},
    };
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__matrix matrix;
        strata__matrix_describe(ctx, "dense/kernel", cases[i].m, cases[i].n, cases[i].block_m,
                                cases[i].block_n, &matrix);
        assert_all_error(ctx, cases[i].status, cases[i].words);
    }
}

static void test_redistribute_refuses_another_shape(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__matrix from, to;
    float none[6];
    strata__matrix_describe(ctx, "from", 2, 3, 0, 0, &from);
    strata__matrix_describe(ctx, "to", 3, 2, 0, 0, &to);
    strata__matrix_redistribute(ctx, &from, none, &to, none);
    assert_all_error(ctx, STRATA_INVALID, "cannot turn a 2 × 3 matrix into one of 3 × 2");
}

/* Each context has a grid of its own; taking one down leaves the other alone. */
static void test_grids_of_two_contexts(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "cols=%d", test_ranks());
    strata_context *first = test_context(text), *second = strata__context_new();
    strata__mesh_new(second, MPI_COMM_WORLD, text);
    assert_all_ok(second);
    assert_all(strata__blacs(first) != strata__blacs(second));
    strata__mesh_free(second);
    assert_all_int_equal(strata__context_free(second), 0);
    strata__matrix matrix;
    strata__matrix_describe(first, "kernel", 6, 9, 2, 2, &matrix);
    assert_all(travels(first, &matrix, 0));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_describe_pieces),
        cmocka_unit_test(test_collect_and_distribute),
        cmocka_unit_test(test_redistribute_between_block_sizes),
        cmocka_unit_test(test_describe_refuses_what_scalapack_cannot),
        cmocka_unit_test(test_redistribute_refuses_another_shape),
        cmocka_unit_test(test_grids_of_two_contexts),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
