/* JSON: strict reading of hostile text, and writing as Python does. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/random.h"

static json_t *parse(strata_context *ctx, const char *text)
{
    return strata__json_parse(ctx, text, strlen(text), "text");
}

static void assert_dump(strata_context *ctx, const json_t *json, int indent, const char *expected)
{
    char *text = strata__json_dump(ctx, json, indent);
    assert_string_equal(text, expected);
    strata__free(ctx, text);
}

static void test_text_comes_back(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const texts[] = {
        "{\"b\": 1, \"a\": [1, -2, 3.0], \"c\": {}, \"d\": []}",
        "{\"x\": NaN, \"y\": [Infinity, -Infinity], \"NaN\": \"Infinity\"}",
        "[true, false, null]",
        "\"relu\"",
        "9223372036854775807",
        "-9223372036854775808",
        "NaN",
    };
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        json_t *json = parse(ctx, texts[i]);
        assert_all_ok(ctx);
        assert_dump(ctx, json, 0, texts[i]);
        json_decref(json);
    }
}

static void test_bad_text_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "[1, 2",
        "[1, 2]]",
        "{\"a\": 1} {",
        "{\"a\": 1, \"a\": 2}",
        "{a: 1}",
        "{'a': 1}",
        "[1,]",
        "[01]",
        "[.5]",
        "[+1]",
        "[1e999]",
        "[92233720368547758080]",
        "nan",
        "[NaNs]",
        "[NaN 1]",
        "[--Infinity]",
        "{NaN: 1}",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "\"\\ud800\"",
        "\"a\nb\"",
        "\"\\x41\"",
        "\"a\\u0000\"",
        "[NaN, \"a\\u0000\"]",
        "[NaN, \"a\\\\\\u0000\"]",
        "[NaN, \"NaN\\u0000\"]",
        "[NaN, \"",
        "[NaN, \"\\",
    };
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        assert_null(parse(ctx, texts[i]));
        assert_all_error(ctx, STRATA_BAD_DATA, "text is damaged: line 1, column");
    }
}

static void test_escaped_backslash_is_no_nul(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    json_t *json = parse(ctx, "[NaN, \"\\\\u0000\"]");
    assert_all_ok(ctx);
    assert_string_equal(json_string_value(json_array_get(json, 1)), "\\u0000");
    json_decref(json);
}

static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    const char *text =
        "{\"a\\\"\": [1.5e-3, -Infinity, \"\\u00e9\xc3\xa9\", {\"b\": NaN}], \"c\": null}";
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        char *prefix =
            malloc(i + 1); /* of just this size, so that a sanitizer sees a read behind it */
        memcpy(prefix, text, i);
        assert_null(strata__json_parse(ctx, prefix, i, "text"));
        assert_all_error(ctx, STRATA_BAD_DATA, "damaged");
        free(prefix);
    }
    json_t *json = strata__json_parse(ctx, text, length, "text");
    assert_all_ok(ctx);
    json_decref(json);
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    enum { DEPTH = 1000000 };
    char *text = malloc(DEPTH);
    memset(text, '[', DEPTH);
    assert_null(strata__json_parse(ctx, text, DEPTH, "text"));
    assert_all_error(ctx, STRATA_BAD_DATA, "damaged");
    for (int i = 0; i + 5 <= DEPTH; i += 5)
        memcpy(text + i, "{\"a\":", 5);
    assert_null(strata__json_parse(ctx, text, DEPTH, "text"));
    assert_all_error(ctx, STRATA_BAD_DATA, "damaged");
    free(text);
}

static void test_numbers_that_json_lacks(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    json_t *json = parse(ctx, "[NaN, Infinity, -Infinity, 2, 2.5, \"NaN\", \"Infinity\", null]");
    double value;
    assert_all_ok(ctx);
    assert_true(strata__json_number(json_array_get(json, 0), &value) && isnan(value));
    assert_true(strata__json_number(json_array_get(json, 1), &value) && value == INFINITY);
    assert_true(strata__json_number(json_array_get(json, 2), &value) && value == -INFINITY);
    assert_true(strata__json_number(json_array_get(json, 3), &value) && value == 2);
    assert_true(strata__json_number(json_array_get(json, 4), &value) && value == 2.5);
    for (size_t i = 5; i < 8; i++)
        assert_false(strata__json_number(json_array_get(json, i), &value));
    assert_false(strata__json_number(NULL, &value));
    json_t *copy = json_deep_copy(json);
    assert_true(json_equal(copy, json));
    json_decref(copy);
    json_decref(json);
}

/* Values and what Python 3.11 prints for them. */
static void test_reals_look_as_in_python(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.001, "0.001"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {0.00001, "1e-05"},
        {1e-7, "1e-07"},
        {1.25e-7, "1.25e-07"},
        {1e-10, "1e-10"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {32768.0, "32768.0"},
        {123456789.125, "123456789.125"},
        {9999999999999998.0, "9999999999999998.0"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {1.5e16, "1.5e+16"},
        {1e22, "1e+22"},
        {1e23, "1e+23"},
        {1e100, "1e+100"},
        {1 / 3.0, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {0.001f, "0.0010000000474974513"},
        {0.01f, "0.009999999776482582"},
        {0.87962566103423978, "0.8796256610342398"},
        {1 / 255.0, "0.00392156862745098"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        json_t *json = json_real(cases[i].value);
        assert_dump(ctx, json, 0, cases[i].text);
        json_decref(json);
    }
}

static void test_reals_read_back_equal(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    enum { COUNT = 20000 };
    uint32_t *words = malloc(2 * COUNT * sizeof *words);
    strata__random_words((strata__key){1, 2}, 0, 2 * COUNT, words);
    for (int i = 0; i < COUNT; i++) {
        double value;
        memcpy(&value, words + 2 * i, sizeof value);
        if (!isfinite(value))
            continue;
        json_t *json = json_real(value);
        char *text = strata__json_dump(ctx, json, 0);
        json_t *back = parse(ctx, text);
        assert_true(json_is_real(back) && json_equal(json, back));
        assert_true(strlen(text) <= 24);
        strata__free(ctx, text);
        json_decref(json);
        json_decref(back);
    }
    free(words);
}

static void test_strings_are_ascii(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    json_t *json = json_string("\"\\/\b\f\n\r\t\x01\x7f é € 😀");
    assert_dump(ctx, json, 0,
                "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f \\u00e9 \\u20ac \\ud83d\\ude00\"");
    json_decref(json);
    json = parse(ctx, "{\"\\u00e9\": \"\\ud83d\\ude00\"}");
    assert_all_ok(ctx);
    assert_string_equal(json_string_value(json_object_get(json, "é")), "😀");
    assert_dump(ctx, json, 0, "{\"\\u00e9\": \"\\ud83d\\ude00\"}");
    json_decref(json);
}

static void test_indent_gives_each_member_a_line(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    json_t *json = parse(ctx, "{\"a\": [1, {\"b\": 2}], \"c\": {}, \"d\": []}");
    assert_dump(
        ctx, json, 2,
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}");
    json_decref(json);
}

static void test_nearest_name(void **state)
{
    (void)state;
    static const char *const names[] = {"relu", "sigmoid", "softmax", "GlorotUniform"};
    static const struct {
        const char *name, *nearest;
    } cases[] = {
        {"rleu", "relu"},
        {"Relu", "relu"},
        {"sigmiod", "sigmoid"},
        {"glorot_uniform", "GlorotUniform"},
        {"soft", NULL},
        {"x", NULL},
        {"", NULL},
        {"completely different", NULL},
        {"soft_max", "softmax"},
        {"sofmx", "softmax"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const char *nearest = strata__nearest(cases[i].name, names, TEST_COUNT(names));
        if (cases[i].nearest)
            assert_string_equal(nearest, cases[i].nearest);
        else
            assert_null(nearest);
    }
    char longer[200] = {0};
    memset(longer, 'r', sizeof longer - 1);
    assert_null(strata__nearest(longer, names, TEST_COUNT(names)));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_comes_back),
        cmocka_unit_test(test_bad_text_is_refused),
        cmocka_unit_test(test_escaped_backslash_is_no_nul),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_numbers_that_json_lacks),
        cmocka_unit_test(test_reals_look_as_in_python),
        cmocka_unit_test(test_reals_read_back_equal),
        cmocka_unit_test(test_strings_are_ascii),
        cmocka_unit_test(test_indent_gives_each_member_a_line),
        cmocka_unit_test(test_nearest_name),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
