/* Tests of the mesh: its text, positions, groups, nodes and agreement. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "variants.h"

static void check_positions(strata_context *ctx, const variant *variant)
{
    const strata__mesh *mesh = ctx->mesh;
    assert_all_int_equal(mesh->data * mesh->rows * mesh->cols, test_ranks());
    assert_all_int_equal((mesh->data_index * mesh->rows + mesh->row) * mesh->cols + mesh->col,
                         test_rank());
    assert_all(mesh->data_index < mesh->data && mesh->row < mesh->rows && mesh->col < mesh->cols);
    assert_all_int_equal(mesh->node_limit, variant->node_ranks);
    assert_all_int_equal(mesh->share, variant->share);
}

static void test_mesh_positions(void **state)
{
    (void)state;
    for_each_mesh(check_positions);
}

static void check_groups(strata_context *ctx, const variant *variant)
{
    (void)variant;
    const strata__mesh *mesh = ctx->mesh;
    const struct {
        int size, rank;
    } expected[STRATA__AXES] = {
        [STRATA__WORLD] = {mesh->size, mesh->rank},
        [STRATA__DATA] = {mesh->data, mesh->data_index},
        [STRATA__ROWS] = {mesh->rows, mesh->row},
        [STRATA__COLS] = {mesh->cols, mesh->col},
        [STRATA__BATCH] = {mesh->data * mesh->rows, mesh->data_index * mesh->rows + mesh->row},
        [STRATA__GRID] = {mesh->rows * mesh->cols, mesh->row * mesh->cols + mesh->col},
    };
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        const strata__group *group = &mesh->groups[axis];
        int size = 1, rank = 0;
        if (group->comm != MPI_COMM_NULL) {
            MPI_Comm_size(group->comm, &size);
            MPI_Comm_rank(group->comm, &rank);
        }
        assert_all_int_equal(group->size, expected[axis].size);
        assert_all_int_equal(group->rank, expected[axis].rank);
        assert_all(size == group->size && rank == group->rank);
    }
}

static void test_mesh_groups(void **state)
{
    (void)state;
    for_each_mesh(check_groups);
}

/* A number for the node of this rank: its machine, cut into nodes of `limit` ranks. */
static int node_number(int limit)
{
    MPI_Comm machine;
    int leader = test_rank(), rank;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &rank);
    MPI_Bcast(&leader, 1, MPI_INT, 0, machine);
    MPI_Comm_free(&machine);
    return leader * test_ranks() + rank / limit;
}

static void check_nodes(strata_context *ctx, const variant *variant)
{
    int own_node = node_number(variant->node_ranks ? variant->node_ranks : test_ranks());
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        const strata__group *group = &ctx->mesh->groups[axis];
        int node_size = 1, cross_size = 1, same = 0;
        if (group->node != MPI_COMM_NULL)
            MPI_Comm_size(group->node, &node_size);
        if (group->cross != MPI_COMM_NULL)
            MPI_Comm_size(group->cross, &cross_size);
        int nodes[8] = {own_node};
        if (group->size > 1)
            MPI_Allgather(&own_node, 1, MPI_INT, nodes, 1, MPI_INT, group->comm);
        for (int member = 0; member < group->size; member++)
            same += nodes[member] == own_node;
        assert_all_int_equal(group->node_size, same);
        assert_all_int_equal(group->node_size, node_size);
        assert_all(group->node_rank < group->node_size && group->node_index < group->nodes);
        assert_all(group->node_rank >= group->lanes || cross_size == group->nodes);
    }
}

static void test_mesh_nodes(void **state)
{
    (void)state;
    for_each_mesh(check_nodes);
}

static void test_mesh_without_text(void **state)
{
    (void)state;
    const char *const texts[] = {NULL, "", "rows=1", "cols=1,rows=1"};
    for (size_t i = 0; i < TEST_COUNT(texts); i++)
        assert_all_int_equal(test_context(texts[i])->mesh->data, test_ranks());
}

static void refused(const char *text, const char *words)
{
    strata_context *ctx = strata__context_new();
    strata__mesh_new(ctx, MPI_COMM_WORLD, text);
    assert_all(ctx->mesh == NULL);
    assert_all_error(ctx, STRATA_INVALID, words);
    assert_all_int_equal(strata__context_free(ctx), 0);
}

static void test_mesh_refuses_bad_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"dta=2", "did you mean 'data'?"},
        {"colls=2", "did you mean 'cols'?"},
        {"zebra=2", "unknown axis 'zebra'"},
        {"data=0", "data is '0'"},
        {"rows=-2", "rows is '-2'"},
        {"rows=+2", "rows is '+2'"},
        {"cols=2.5", "cols is '2.5'"},
        {"cols=", "cols is ''"},
        {"cols=2x", "cols is '2x'"},
        {"cols= 2", "cols is ' 2'"},
        {"data=99999999999999999999", "data is '99999999999999999999'"},
        {"data=2147483648", "data is '2147483648'"},
        {"data=2147483647,rows=2147483647,cols=2147483647", "needs 9223372036854775807 ranks"},
        {"rows=2147483647,cols=2147483647", "a multiple of 4611686014132420609 ranks"},
        {"data=1,data=1", "data is given twice"},
        {"data", "not of the form axis=count"},
        {"data=1,", "not of the form axis=count"},
        {",", "not of the form axis=count"},
        {"=3", "unknown axis ''"},
        {"DATA=1", "unknown axis 'DATA'"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        refused(cases[i].text, cases[i].words);
}

static void test_mesh_refuses_other_rank_counts(void **state)
{
    (void)state;
    char words[64];
    snprintf(words, sizeof words, "needs 30 ranks, but there are %d", test_ranks());
    refused("data=5,rows=2,cols=3", words);
    snprintf(words, sizeof words, "needs a multiple of 7 ranks, but there are %d", test_ranks());
    refused("rows=7", words);
}

static void test_mesh_refuses_a_very_long_text(void **state)
{
    (void)state;
    char text[5000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "data=1,"[i % 7];
    text[sizeof text - 1] = '\0';
    refused(text, "too long");
}

static void test_mesh_refuses_bad_environment(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0", "-1", "two", "1x", "", " 1", "4294967297"};
    for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
        setenv("STRATA_NODE_RANKS", numbers[i], 1);
        refused(NULL, "STRATA_NODE_RANKS");
    }
    unsetenv("STRATA_NODE_RANKS");
    setenv("STRATA_SHARED", "yes", 1);
    refused(NULL, "STRATA_SHARED is 'yes'");
    unsetenv("STRATA_SHARED");
}

/* An environment variable need not reach ranks on other machines. */
static void test_mesh_settings_of_rank_0_hold(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "cols=%d", test_ranks());
    if (test_rank() == 0)
        setenv("STRATA_NODE_RANKS", "1", 1);
    strata_context *ctx = test_context(test_rank() == 0 ? text : "rows=17");
    unsetenv("STRATA_NODE_RANKS");
    assert_all_int_equal(ctx->mesh->cols, test_ranks());
    assert_all_int_equal(ctx->mesh->groups[STRATA__WORLD].nodes, test_ranks());
}

static void test_mesh_keeps_the_callers_error_handler(void **state)
{
    (void)state;
    MPI_Errhandler handler;
    test_context(NULL);
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &handler);
    assert_all(handler == MPI_ERRORS_ARE_FATAL || handler == MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    strata_context *ctx = test_context(NULL);
    MPI_Errhandler kept, own;
    MPI_Comm_get_errhandler(MPI_COMM_WORLD, &kept);
    MPI_Comm_get_errhandler(ctx->mesh->comm, &own);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
    assert_all(kept == MPI_ERRORS_RETURN);
    assert_all(own == MPI_ERRORS_ARE_FATAL);
}

/* Simulations hand in a part of their ranks. */
static void test_mesh_on_a_part_of_the_ranks(void **state)
{
    (void)state;
    MPI_Comm half;
    int size;
    MPI_Comm_split(MPI_COMM_WORLD, test_rank() % 2, test_rank(), &half);
    MPI_Comm_size(half, &size);
    strata_context *ctx = test_context_without_mesh();
    strata__mesh_new(ctx, half, NULL);
    int64_t ones = 1;
    if (ctx->mesh)
        strata__sum(ctx, STRATA__BATCH, &ones, 1, STRATA_INT64);
    bool fine = ctx->mesh && ctx->mesh->data == size;
    strata__mesh_free(ctx);
    MPI_Comm_free(&half);
    assert_all_ok(ctx);
    assert_all(fine);
    assert_all_int_equal(ones, size);
}

static void check_agreement(strata_context *ctx, const variant *variant)
{
    (void)variant;
    int last = test_ranks() - 1;
    assert_all_int_equal(strata__agree(ctx), STRATA_OK);
    for (int first = 0; first <= last; first++) {
        if (test_rank() >= first)
            strata__fail(ctx, STRATA_IO, "rank %d saw it", test_rank());
        char words[32];
        snprintf(words, sizeof words, "rank %d saw it", first);
        assert_all_int_equal(strata__agree(ctx), STRATA_IO);
        assert_all_int_equal(ctx->error_rank, first > 0 ? first : -1);
        assert_all_error(ctx, STRATA_IO, words);
    }
    assert_all_int_equal(strata__agree(ctx), STRATA_OK);
}

static void test_agree_on_the_error_of_the_lowest_rank(void **state)
{
    (void)state;
    for_each_mesh(check_agreement);
}

static void test_agree_within_one_group(void **state)
{
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "rows=%d", test_ranks());
    strata_context *ctx = test_context(text);
    if (test_rank() == 0)
        strata__fail(ctx, STRATA_IO, "rank 0 saw it");
    strata__agree_on(ctx, STRATA__COLS);
    bool alone = (ctx->status == STRATA_OK) == (test_rank() > 0);
    strata__agree_on(ctx, STRATA__ROWS);
    assert_all(alone);
    assert_all_error(ctx, STRATA_IO, "rank 0 saw it");
}

static void test_agree_without_a_mesh(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    assert_all_int_equal(strata__agree(ctx), STRATA_OK);
    strata__fail(ctx, STRATA_INVALID, "seen");
    assert_all_int_equal(strata__agree(ctx), STRATA_INVALID);
    assert_all_error(ctx, STRATA_INVALID, "seen");
}

static void test_pieces_cover_everything(void **state)
{
    (void)state;
    const int64_t counts[] = {0, 1, 2, 3, 7, 8, 9, 1000, INT64_C(1) << 40, INT64_MAX / 8};
    for (size_t i = 0; i < TEST_COUNT(counts); i++) {
        for (int pieces = 1; pieces <= 8; pieces++) {
            int64_t next = 0, block = (counts[i] - 1) / pieces + 1;
            for (int index = 0; index < pieces; index++) {
                strata__piece piece = strata__piece_of(counts[i], pieces, index);
                assert_int_equal(piece.first, next);
                assert_true(piece.count >= 0 && piece.count <= block);
                assert_true(piece.count == block || piece.first + piece.count == counts[i]);
                next += piece.count;
            }
            assert_int_equal(next, counts[i]);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mesh_positions),
        cmocka_unit_test(test_mesh_groups),
        cmocka_unit_test(test_mesh_nodes),
        cmocka_unit_test(test_mesh_without_text),
        cmocka_unit_test(test_mesh_refuses_bad_texts),
        cmocka_unit_test(test_mesh_refuses_other_rank_counts),
        cmocka_unit_test(test_mesh_refuses_a_very_long_text),
        cmocka_unit_test(test_mesh_refuses_bad_environment),
        cmocka_unit_test(test_mesh_settings_of_rank_0_hold),
        cmocka_unit_test(test_mesh_keeps_the_callers_error_handler),
        cmocka_unit_test(test_mesh_on_a_part_of_the_ranks),
        cmocka_unit_test(test_agree_on_the_error_of_the_lowest_rank),
        cmocka_unit_test(test_agree_within_one_group),
        cmocka_unit_test(test_agree_without_a_mesh),
        cmocka_unit_test(test_pieces_cover_everything),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
