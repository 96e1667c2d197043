/* Configurations from strangers: every value of a model's JSON replaced by an odd one. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>

#include "model/support.h"

static const char *const odd_values[] = {"null", "-1", "1e300",   "\"\"", "\"dense\"",
                                         "[]",   "{}", "[[[1]]]", "true", "9223372036854775807"};

typedef struct mutation {
    strata_context *ctx;
    json_t *root;
    int loaded, refused, wrong;
} mutation;

/* It loads, or there is one error that says something; never both, never neither. */
static void try_root(mutation *m)
{
    char *text = json_dumps(m->root, 0);
    strata__names_reset(m->ctx);
    strata_model *model = strata_model_from_json(m->ctx, text);
    bool refused = strata_error(m->ctx) != STRATA_OK;
    if (refused == (model != NULL) || (refused && !strata_error_message(m->ctx)[0])) {
        fprintf(stderr, "%.2000s\n", text);
        m->wrong++;
    }
    m->refused += refused;
    m->loaded += !refused;
    strata_error_clear(m->ctx);
    strata_model_free(model);
    free(text);
}

static void mutate(mutation *m, json_t *json);

static void try_all(mutation *m, json_t *parent, const char *key, size_t index)
{
    json_t *kept = key ? json_incref(json_object_get(parent, key))
                       : json_incref(json_array_get(parent, index));
    for (size_t i = 0; i < TEST_COUNT(odd_values); i++) {
        json_t *odd = json_loads(odd_values[i], JSON_DECODE_ANY, NULL);
        if (key)
            json_object_set_new(parent, key, odd);
        else
            json_array_set_new(parent, index, odd);
        try_root(m);
    }
    if (key)
        json_object_set_new(parent, key, kept);
    else
        json_array_set_new(parent, index, kept);
}

static void mutate(mutation *m, json_t *json)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < json_array_size(json); i++) {
        mutate(m, json_array_get(json, i));
        try_all(m, json, NULL, i);
    }
    json_object_foreach(json, key, value)
    {
        mutate(m, value);
        try_all(m, json, key, 0);
    }
}

static void mutate_model(const char *file)
{
    strata_context *ctx = test_session(NULL);
    ctx->verbosity = 0;
    mutation m = {.ctx = ctx, .root = golden_model_json(file)};
    assert_all(m.root != NULL);
    mutate(&m, m.root);
    json_decref(m.root);
    assert_all_int_equal(m.wrong, 0);
    assert_all(m.loaded > 50 && m.refused > 200);
}

static void test_odd_values_in_a_stack(void **state)
{
    (void)state;
    mutate_model("files/nested_deep.json");
}

static void test_odd_values_in_a_graph(void **state)
{
    (void)state;
    mutate_model("files/two_towers.json");
}

static void test_odd_values_in_a_compiled_model(void **state)
{
    (void)state;
    mutate_model("files/sequential_dense.json");
}

static void test_what_is_no_model_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    const char *const texts[] = {"",
                                 "{",
                                 "[]",
                                 "3",
                                 "null",
                                 "{\"class_name\": \"Functional\"}",
                                 "{\"class_name\": \"Model\", \"config\": {}}",
                                 "{\"class_name\": \"Sequential\", \"config\": {}}"};
    for (size_t i = 0; i < TEST_COUNT(texts); i++) {
        assert_all(!strata_model_from_json(ctx, texts[i]));
        assert_all(strata_error(ctx) != STRATA_OK && strata_error_message(ctx)[0]);
        strata_error_clear(ctx);
    }
    assert_all(!strata_model_from_json(
        ctx, "{\"class_name\": \"Mine\", \"module\": \"mine\", \"config\": {\"name\": \"m\"}}"));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "model class 'Mine' is not supported");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_values_in_a_stack),
        cmocka_unit_test(test_odd_values_in_a_graph),
        cmocka_unit_test(test_odd_values_in_a_compiled_model),
        cmocka_unit_test(test_what_is_no_model_is_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
