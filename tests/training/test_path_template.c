/* File names with numbers in them. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include <math.h>

#include "base/memory.h"
#include "harness.h"
#include "training/path_template.h"

static void test_file_names_with_numbers(void **state)
{
    (void)state;
    /* As Python's str.format prints them. */
    static const struct {
        const char *text, *name;
    } rows[] = {
        {"plain.keras", "plain.keras"},
        {"{epoch}", "7"},
        {"{epoch:d}|{epoch:02d}|{epoch:3d}|{epoch:.1f}", "7|07|  7|7.0"},
        {"{batch:04d}", "0012"},
        {"{loss}|{loss:.4f}|{loss:08.3f}|{loss:.2e}", "0.125|0.1250|0000.125|1.25e-01"},
        {"{{{epoch}}}", "{7}"},
        {"{nothing:.3f}", "nan"},
    };
    static const char *const names[] = {"loss", "nothing"};
    static const double values[] = {0.125, NAN};
    strata_context *ctx = test_context_without_mesh();
    const strata_logs logs = {2, names, values};
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        char *name =
            strata__path_format(ctx, "me", rows[i].text, &(strata__path_numbers){7, 12, &logs});
        assert_all_string_equal(name, rows[i].name);
        strata__free(ctx, name);
    }
    assert_all(!strata__path_format(ctx, "me", "{acc}", &(strata__path_numbers){7, 0, &logs}));
    assert_all_error(ctx, STRATA_INVALID, "{acc}");
    assert_all(!strata__path_format(ctx, "me", "{batch}", &(strata__path_numbers){7, 0, &logs}));
    assert_all_error(ctx, STRATA_INVALID, "{batch}");
}

static void test_wrong_file_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "{",        "a}b",         "{}",           "{epoch",    "{epoch:x}", "{epoch:02",
        "{loss:d}", "{epoch:.2d}", "{epoch:999d}", "{epoch:s}", "{e{poch}}"};
    strata_context *ctx = test_context_without_mesh();
    bool uses_logs;
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_all_int_equal(strata__path_check(ctx, "me", wrong[i], &uses_logs), STRATA_INVALID);
        assert_all_error(ctx, STRATA_INVALID, "me: cannot read the file name");
    }
    assert_all_int_equal(strata__path_check(ctx, "me", "{epoch}-{batch}", &uses_logs), STRATA_OK);
    assert_all(!uses_logs);
    assert_all_int_equal(strata__path_check(ctx, "me", "{loss:.3f}", &uses_logs), STRATA_OK);
    assert_all(uses_logs);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_names_with_numbers),
        cmocka_unit_test(test_wrong_file_names),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
