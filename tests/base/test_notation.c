/* Keras notation: what it means as JSON, and what is refused where. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

static const struct {
    const char *text, *json;
} meanings[] = {
    {"adam", "\"adam\""},
    {"  adam  ", "\"adam\""},
    {"'my activation'", "\"my activation\""},
    {"package>ComputeSum", "\"package>ComputeSum\""},
    {"keras.optimizers.Adam()", "{\"class_name\": \"keras.optimizers.Adam\", \"config\": {}}"},
    {"Adam()", "{\"class_name\": \"Adam\", \"config\": {}}"},
    {"Adam( )", "{\"class_name\": \"Adam\", \"config\": {}}"},
    {"HeNormal(seed=1)", "{\"class_name\": \"HeNormal\", \"config\": {\"seed\": 1}}"},
    {"L2(0.01)", "{\"class_name\": \"L2\", \"config\": {}, \"args\": [0.01]}"},
    {"A(1, 'x', y=-2.5, )",
     "{\"class_name\": \"A\", \"config\": {\"y\": -2.5}, \"args\": [1, \"x\"]}"},
    {"A(b = B(c=C(1)))",
     "{\"class_name\": \"A\", \"config\": {\"b\": {\"class_name\": \"B\", \"config\": {\"c\": "
     "{\"class_name\": \"C\", \"config\": {}, \"args\": [1]}}}}}"},
    {"A(x=True, y=False, z=None)",
     "{\"class_name\": \"A\", \"config\": {\"x\": true, \"y\": false, \"z\": null}}"},
    {"A(x=true, y=false, z=null)",
     "{\"class_name\": \"A\", \"config\": {\"x\": true, \"y\": false, \"z\": null}}"},
    {"A(x=Trueish)", "{\"class_name\": \"A\", \"config\": {\"x\": \"Trueish\"}}"},
    {"A(x=NaN, y=-Infinity, z=Infinity)",
     "{\"class_name\": \"A\", \"config\": {\"x\": NaN, \"y\": -Infinity, \"z\": Infinity}}"},
    {"A(relu)", "{\"class_name\": \"A\", \"config\": {}, \"args\": [\"relu\"]}"},
    {"A({\"class_name\": \"B\", \"config\": {\"}\": \"\\\"}\"}}, 1)",
     "{\"class_name\": \"A\", \"config\": {}, \"args\": [{\"class_name\": \"B\", \"config\": "
     "{\"}\": \"\\\"}\"}}, 1]}"},
    {"{\"class_name\": \"L2\", \"config\": {\"l2\": NaN}}",
     "{\"class_name\": \"L2\", \"config\": {\"l2\": NaN}}"},
    {"[1, 2.0, 'a']", "[1, 2.0, \"a\"]"},
    {"(1, 2)", "[1, 2]"},
    {"(1,)", "[1]"},
    {"( 1 , )", "[1]"},
    {"(1)", "1"},
    {"((2))", "2"},
    {"()", "[]"},
    {"[]", "[]"},
    {"[(1, 2), (3, 4)]", "[[1, 2], [3, 4]]"},
    {"None", "null"},
    {"+1", "1"},
    {"-7", "-7"},
    {".5", "0.5"},
    {"-.5", "-0.5"},
    {"5.", "5.0"},
    {"1.e3", "1000.0"},
    {"1e-3", "0.001"},
    {"1E+2", "100.0"},
    {"'it\\'s \"so\"'", "\"it's \\\"so\\\"\""},
    {"\"it's \\\"so\\\"\"", "\"it's \\\"so\\\"\""},
    {"'a\\n\\\\b\\u00e9'", "\"a\\n\\\\b\\u00e9\""},
    {"'é'", "\"\\u00e9\""},
};

static void test_meanings(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    for (size_t i = 0; i < TEST_COUNT(meanings); i++) {
        json_t *json = strata__notation_parse(ctx, meanings[i].text);
        assert_all_ok(ctx);
        char *text = strata__json_dump(ctx, json, 0);
        assert_string_equal(text, meanings[i].json);
        strata__free(ctx, text);
        json_decref(json);
    }
}

static void test_mistakes_are_shown(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "cannot read \"\": column 1: the text ends too early"},
        {"Adam(", "cannot read \"Adam(\": column 6: the text ends too early"},
        {"Adam)", "cannot read \"Adam)\": column 5: nothing may follow here"},
        {"Adam(1 2)", "column 8: expected ',' or ')'"},
        {"Adam(1,,2)", "column 8: expected a name or a value"},
        {"Adam(,)", "column 6: expected a name or a value"},
        {"[1, 2)", "column 6: expected ',' or ']'"},
        {"Adam(x=)", "column 8: expected a name or a value"},
        {"Adam(x=1, 2)", "column 11: a positional argument follows a keyword argument"},
        {"Adam(x=1, x=2)", "column 11: a keyword argument is repeated"},
        {"Adam('x)", "column 6: a quote is not closed"},
        {"Adam('x\\')", "column 6: a quote is not closed"},
        {"'\\x41'", "column 1: invalid escape"},
        {"'\xff'", "column 1: unable to decode byte 0xff"},
        {"\xff", "column 1: expected a name or a value"},
        {"'a\nb'", "column 1: unexpected newline"},
        {"'\\u0000'", "column 1: \\u0000 is not allowed"},
        {"{\"a\": 1", "column 1: a '{' is not closed"},
        {"A({'a': 1})", "column 3: string or '}' expected"},
        {"{\"a\": 1}}", "column 9: nothing may follow here"},
        {"1.2.3", "column 1: "},
        {"1-2", "column 1: "},
        {"--1", "column 1: "},
        {"007", "column 1: "},
        {"1e999", "column 1: real number overflow"},
        {"99999999999999999999", "column 1: too big integer"},
        {"-", "column 1: "},
        {"relu softmax", "column 6: nothing may follow here"},
        {"f(x)(y)", "column 5: nothing may follow here"},
        {"=1", "column 1: expected a name or a value"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_null(strata__notation_parse(ctx, cases[i].text));
        assert_all_error(ctx, STRATA_INVALID, cases[i].words);
    }
}

/* A call is not complete before its last parenthesis; a name is, at any length. */
static void test_every_prefix_of_a_call_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    const char *text =
        "Adam(ExponentialDecay(0.1, decay_steps=(1, 2), s='a\\'é'), {\"a\": [1]}, [-.5])";
    for (size_t i = strlen("Adam("); i < strlen(text); i++) {
        char *prefix = malloc(i + 1);
        memcpy(prefix, text, i);
        prefix[i] = '\0';
        assert_null(strata__notation_parse(ctx, prefix));
        assert_all_error(ctx, STRATA_INVALID, "cannot read");
        free(prefix);
    }
    json_decref(strata__notation_parse(ctx, text));
    assert_all_ok(ctx);
}

/* `depth` times `opening`, 1, `depth` times `closing`. */
static char *nested(int depth, const char *opening, const char *closing)
{
    size_t a = strlen(opening), b = strlen(closing), n = (size_t)depth;
    char *text = calloc(n * (a + b) + 2, 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(text + i * a, opening, a);
        memcpy(text + n * a + 1 + i * b, closing, b);
    }
    text[n * a] = '1';
    return text;
}

static void test_depth_is_limited(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const pairs[][2] = {
        {"[", "]"}, {"f(", ")"}, {"f(x=", ")"}, {"{\"a\":", "}"}};
    for (size_t i = 0; i < TEST_COUNT(pairs); i++) {
        char *text = nested(STRATA__NOTATION_DEPTH - 1, pairs[i][0], pairs[i][1]);
        json_decref(strata__notation_parse(ctx, text));
        assert_all_ok(ctx);
        free(text);
        for (int depth = STRATA__NOTATION_DEPTH + 1; depth < 2000; depth += 1900) {
            text = nested(depth, pairs[i][0], pairs[i][1]);
            assert_null(strata__notation_parse(ctx, text));
            assert_all_error(ctx, STRATA_INVALID, "nested too deeply");
            free(text);
        }
        text = nested(200000, pairs[i][0], pairs[i][1]);
        assert_null(strata__notation_parse(ctx, text));
        assert_all_error(ctx, STRATA_INVALID, "cannot read");
        free(text);
    }
}

static void test_long_text_is_cut_around_the_mistake(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char text[5000];
    memset(text, 'a', sizeof text);
    memcpy(text, "A(", 2);
    strcpy(text + 3000, " ?)");
    assert_null(strata__notation_parse(ctx, text));
    assert_non_null(strstr(ctx->message, "aaa ?)\": column 3002: expected ',' or ')'"));
    assert_true(strlen(ctx->message) < 300);
    assert_all_error(ctx, STRATA_INVALID, "cannot read \"...aaaa");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meanings),
        cmocka_unit_test(test_mistakes_are_shown),
        cmocka_unit_test(test_every_prefix_of_a_call_is_refused),
        cmocka_unit_test(test_depth_is_limited),
        cmocka_unit_test(test_long_text_is_cut_around_the_mistake),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
