/* Attention and AdditiveAttention: dropout and its seed, masks in files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>
#include <strata/layers/attention.h>
#include <strata/layers/core.h>
#include <strata/model.h>

#include "layers/layer.h"
#include "layers/support.h"

enum { BATCH = 16, T = 8, S = 32, D = 3 };

/* --- dropout --- */

/* Values of ones: each result is the sum of the weights that are left. */
static strata_tensor *call(strata_layer *layer, strata_tensor **scores, int training)
{
    static float ones[BATCH * S * D];
    strata_context *ctx = strata_layer_context(layer);
    for (int i = 0; i < BATCH * S * D; i++)
        ones[i] = 1;
    strata_tensor *value = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(BATCH, S, D), ones);
    strata_tensor *small = batch_of_numbers(ctx, STRATA_SHAPE(BATCH, T, D));
    strata_tensor *inputs[] = {strata_ops_affine(small, 0.001, -0.2), value}, *y[2] = {NULL, NULL};
    strata_attention_arguments scored = {.return_attention_scores = true};
    strata_layer_call_with(layer, &scored, 2, inputs, training, y);
    assert_all_ok(ctx);
    *scores = y[1];
    return y[0];
}

static double mean_of(const strata_tensor *x, float *values)
{
    int64_t count = strata__product(&x->shape, 0, x->shape.rank);
    double sum = 0;
    strata_tensor_gather(x, values);
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return sum / (double)count;
}

/* The same on every mesh as on the first one, drawn anew by each call, and by the seed alone. */
static void check_dropout(const char *text, const char *twin, const char *other)
{
    static float first[BATCH * T * D], values[BATCH * T * D], again[BATCH * T * D];
    static float weights[BATCH * T * S];
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer = strata_layer_from_text(ctx, text);
        strata_tensor *scores;
        strata_scope_begin(ctx);
        assert_all_near(mean_of(call(layer, &scores, 1), values), 1, 0.05);
        if (m == 0)
            memcpy(first, values, sizeof first);
        assert_all_floats_near(values, first, BATCH * T * D, 1e-6);
        assert_all_near(mean_of(scores, weights), 1.0 / S, 0.05 / S);
        int dropped = 0;
        for (int i = 0; i < BATCH * T * S; i++)
            dropped += weights[i] == 0;
        assert_all_near((double)dropped / (BATCH * T * S), 0.4, 0.03);
        mean_of(call(layer, &scores, 1), again);
        assert_all(memcmp(again, values, sizeof again) != 0);
        mean_of(call(strata_layer_from_text(ctx, twin), &scores, 1), again);
        assert_all(memcmp(again, values, sizeof again) == 0);
        mean_of(call(strata_layer_from_text(ctx, other), &scores, 1), again);
        assert_all(memcmp(again, values, sizeof again) != 0);
        mean_of(call(layer, &scores, 0), again);
        for (int i = 0; i < BATCH * T * D; i++)
            assert_all_near(again[i], 1, 1e-5);
        strata_scope_end(ctx);
    }
}

static void test_dropout_of_attention(void **state)
{
    (void)state;
    check_dropout("Attention(dropout=0.4, seed=7, name='a')",
                  "Attention(dropout=0.4, seed=7, name='a')",
                  "Attention(dropout=0.4, seed=8, name='a')");
}

static void test_dropout_of_additive_attention(void **state)
{
    (void)state;
    check_dropout("AdditiveAttention(dropout=0.4, use_scale=False, seed=7, name='a')",
                  "AdditiveAttention(dropout=0.4, use_scale=False, seed=7, name='a')",
                  "AdditiveAttention(dropout=0.4, use_scale=False, seed=8, name='a')");
}

/* --- masks in files --- */

/* Attention with both masks, then additive attention with that of the value alone. */
static strata_model *masked_model(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {T, D}, .name = "x");
    strata_tensor *value = strata_input(ctx, .shape = {S, D}, .name = "value");
    strata_tensor *queries = strata_input(ctx, .shape = {T}, .dtype = "bool", .name = "queries");
    strata_tensor *values = strata_input(ctx, .shape = {S}, .dtype = "bool", .name = "values");
    strata_layer *first = STRATA_NEW_LAYER(ctx, attention, .use_scale = true);
    strata_layer *second = STRATA_NEW_LAYER(ctx, additive_attention, .dropout = 0.2, .seed = 1);
    strata_tensor *y = NULL, *z = NULL;
    strata_layer_call_with(
        first, &(strata_attention_arguments){.query_mask = queries, .value_mask = values}, 2,
        (strata_tensor *[]){x, value}, -1, &y);
    strata_layer_call_with(second, &(strata_attention_arguments){.value_mask = values}, 2,
                           (strata_tensor *[]){x, value}, -1, &z);
    return strata_functional_list(STRATA_LIST(x, value, queries, values), STRATA_LIST(y, z),
                                  .name = "masked");
}

static void run_model(strata_model *model, float y[2][BATCH * T * D])
{
    strata_context *ctx = strata_layer_context(strata_model_layer(model));
    uint8_t queries[BATCH * T], values[BATCH * S];
    for (int i = 0; i < BATCH * T; i++)
        queries[i] = i % 3 != 1;
    for (int i = 0; i < BATCH * S; i++)
        values[i] = i % 5 != 2;
    strata_tensor *x = batch_of_numbers(ctx, STRATA_SHAPE(BATCH, T, D));
    strata_tensor *v = batch_of_numbers(ctx, STRATA_SHAPE(BATCH, S, D));
    strata_tensor *inputs[] = {strata_ops_affine(x, 0.01, -0.3), strata_ops_affine(v, 0.002, -0.5),
                               test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T), queries),
                               test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, S), values)};
    strata_tensor *outputs[2];
    strata_layer_call_many(strata_model_layer(model), 4, inputs, 0, outputs);
    assert_all_ok(ctx);
    for (int i = 0; i < 2; i++)
        strata_tensor_gather(outputs[i], y[i]);
}

static void test_masks_survive_files(void **state)
{
    (void)state;
    static float ours[2][BATCH * T * D], theirs[2][BATCH * T * D];
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_model *model = masked_model(ctx);
        char *text = strata_model_to_json(model);
        assert_all(strstr(text, "\"kwargs\": {\"mask\": [{\"class_name\": \"__keras_tensor__\""));
        assert_all(strstr(text, "\"kwargs\": {\"mask\": [null, {\"class_name\": "));
        strata_text_free(ctx, text);
        assert_all_int_equal(strata_save(model, test_path("masked.keras")), STRATA_OK);
        strata_model *again = strata_load(ctx, test_path("masked.keras"));
        assert_all_ok(ctx);
        strata_scope_begin(ctx);
        run_model(model, ours);
        run_model(again, theirs);
        assert_all(memcmp(ours, theirs, sizeof ours) == 0);
        for (int i = 0; i < BATCH * T; i++)
            assert_all((ours[0][i * D] == 0) == (i % 3 == 1) && ours[1][i * D] != 0);
        strata_scope_end(ctx);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout_of_attention),
        cmocka_unit_test(test_dropout_of_additive_attention),
        cmocka_unit_test(test_masks_survive_files),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
