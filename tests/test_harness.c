/* What the harness promises to tests: layouts of the ranks, contexts, shared scratch files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "harness.h"
#include "mesh/mesh.h"

/* 1, 2, 3 and 4 ranks can be laid out in 1, 3, 3 and 6 ways. */
static void test_every_layout_of_the_ranks(void **state)
{
    (void)state;
    static const int ways[] = {0, 1, 3, 3, 6};
    int count = 0;
    for (const char *text; (text = test_mesh(count)); count++) {
        int data, rows, cols;
        assert_int_equal(sscanf(text, "data=%d,rows=%d,cols=%d", &data, &rows, &cols), 3);
        assert_int_equal(data * rows * cols, test_ranks());
    }
    if (test_ranks() < (int)TEST_COUNT(ways))
        assert_int_equal(count, ways[test_ranks()]);
}

static void test_context_has_the_mesh_that_was_asked_for(void **state)
{
    (void)state;
    char text[64];
    snprintf(text, sizeof text, "rows=%d", test_ranks());
    strata_context *ctx = test_context(text);
    assert_all_int_equal(ctx->mesh->rows, test_ranks());
    assert_all_int_equal(ctx->mesh->rank, test_rank());
}

static bool touch(const char *path)
{
    FILE *file = fopen(path, "w");
    return file && fclose(file) == 0;
}

static void test_scratch_files_are_shared(void **state)
{
    (void)state;
    const char *path = test_path("note");
    assert_all(test_rank() != 0 || touch(path));
    assert_all_int_equal(access(path, R_OK), 0);
}

static void test_error_is_cleared_when_it_was_expected(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__fail(ctx, STRATA_NO_INPUT, "file %s", "x.keras");
    assert_all_error(ctx, STRATA_NO_INPUT, "x.keras");
    assert_all_ok(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layout_of_the_ranks),
        cmocka_unit_test(test_context_has_the_mesh_that_was_asked_for),
        cmocka_unit_test(test_scratch_files_are_shared),
        cmocka_unit_test(test_error_is_cleared_when_it_was_expected),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
