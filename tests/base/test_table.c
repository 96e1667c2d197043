/* Tests of tables of text. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "harness.h"

/* What the table prints; free() it. */
static char *printed(strata__table *table)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    strata__table_print(table, stream);
    fclose(stream);
    return text;
}

static void test_columns_are_as_wide_as_they_need(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__table table = {.columns = "lrl", .text.ctx = ctx};
    static const char *const cells[] = {"what", "n", "", "a × b", "12345", "end", "c", "7", "x"};
    for (size_t i = 0; i < TEST_COUNT(cells); i++) {
        strata__table_cell(&table, "%s", cells[i]);
        if (i == 2)
            strata__table_rule(&table);
    }
    char *text = printed(&table);
    assert_string_equal(text, "what       n  \n"
                              "─────────────────\n"
                              "a × b  12345  end\n"
                              "c          7  x\n");
    free(text);
}

/* A table is empty afterwards and can be used again. */
static void test_empty_tables(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__table table = {.columns = "l", .text.ctx = ctx};
    for (int i = 0; i < 2; i++) {
        char *text = printed(&table);
        assert_string_equal(text, "");
        free(text);
        strata__table_cell(&table, "%d", i);
        text = printed(&table);
        assert_string_equal(text, i ? "1\n" : "0\n");
        free(text);
    }
}

static void test_long_cells_are_cut(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__table table = {.columns = "l", .text.ctx = ctx};
    char word[2000];
    memset(word, 'w', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    strata__table_cell(&table, "%s", word);
    char *text = printed(&table);
    assert_int_equal(strlen(text), 512);
    free(text);
}

static void test_sizes(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(strata__bytes_text(0, text), "0.00 B");
    assert_string_equal(strata__bytes_text(1536, text), "1.50 KB");
    assert_string_equal(strata__bytes_text((int64_t)3 << 50, text), "3072.00 TB");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_they_need),
        cmocka_unit_test(test_empty_tables),
        cmocka_unit_test(test_long_cells_are_cut),
        cmocka_unit_test(test_sizes),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
