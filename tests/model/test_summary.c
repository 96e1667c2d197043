/* Summaries of models, character by character as Keras prints them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/core.h>

#include "model/support.h"

/* The text on rank 0; free(). */
static char *summary_of(strata_model *model, int line_length)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    strata_model_summary(model, stream, line_length);
    fclose(stream);
    return text;
}

static bool summary_agrees(strata_model *model, const char *expected, const char *name)
{
    char *text = summary_of(model, 80);
    bool agrees = test_rank() != 0 ? text[0] == '\0' : strcmp(text, expected) == 0;
    if (!agrees)
        fprintf(stderr, "%s: the summary is\n%sinstead of\n%s", name, text, expected);
    free(text);
    return agrees;
}

static strata_model *model_from(strata_context *ctx, const json_t *json)
{
    char *text = json_is_string(json) ? strdup(json_string_value(json)) : json_dumps(json, 0);
    strata_model *model = strata_model_from_json(ctx, text);
    free(text);
    return model;
}

static void test_summaries_of_keras(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    json_t *summaries = golden_model_json("training/summaries.json"), *entry;
    const char *name;
    golden_tally tally = {0};
    json_object_foreach(summaries, name, entry)
    {
        strata__names_reset(ctx);
        strata_model *model = model_from(ctx, json_object_get(entry, "model"));
        const char *expected = json_string_value(json_object_get(entry, "summary"));
        bool agrees = model && summary_agrees(model, expected, name);
        bool unsupported = !model && test_is_unsupported(ctx);
        assert_all_ok(ctx);
        tally.count[agrees ? GOLDEN_PASSED : unsupported ? GOLDEN_UNSUPPORTED : GOLDEN_FAILED]++;
    }
    json_decref(summaries);
    if (test_rank() == 0)
        golden_print("summaries", &tally);
    assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
    assert_all(tally.count[GOLDEN_PASSED] > 0);
}

static void test_unbuilt_models_have_a_summary(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_model *model = strata_sequential(ctx, "stack");
    strata_sequential_add(model, STRATA_NEW_LAYER(ctx, dense, .units = 3));
    char *text = summary_of(model, 0);
    assert_all((strstr(text, "0 (unbuilt)") != NULL) == (test_rank() == 0));
    free(text);
    strata_model_build(model, STRATA_SHAPE(STRATA_NONE, 400));
    text = summary_of(model, 0);
    assert_all((strstr(text, "1,203") != NULL) == (test_rank() == 0));
    free(text);
}

/* Lines stay as wide as they should be, whatever the names are. */
static void test_long_names_are_cut(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(
        ctx, .shape = {4}, .name = "an_input_with_a_name_that_does_not_fit_into_its_column");
    strata_tensor *y =
        strata_dense(x, .units = 2, .name = "日本語の層の名前はとても長いので列に入りません");
    char *text = summary_of(strata_functional(x, y), 60);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        int width = 0;
        for (const char *c = line; *c; c++)
            width += ((unsigned char)*c & 0xC0) != 0x80;
        assert_true(width <= 60);
    }
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summaries_of_keras),
        cmocka_unit_test(test_unbuilt_models_have_a_summary),
        cmocka_unit_test(test_long_names_are_cut),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
