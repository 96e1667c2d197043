/* Calls of attention by heads: arguments in C, in graphs and in files; axes, scores, dropout, and
 * what is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/attention.h>
#include <strata/layers/core.h>
#include <strata/layers/merging.h>
#include <strata/model.h>

#include "base/memory.h"
#include "layers/layer.h"
#include "layers/support.h"

enum { BATCH = 3, T = 4, D = 6 };

static bool same(const strata_tensor *a, const strata_tensor *b, double tolerance)
{
    int64_t count = strata__product(&a->shape, 0, a->shape.rank);
    bool equal = strata__shape_equal(&a->shape, &b->shape);
    float *x = calloc((size_t)count + 1, sizeof *x), *y = calloc((size_t)count + 1, sizeof *y);
    strata_tensor_gather(a, x);
    strata_tensor_gather(b, y);
    for (int64_t i = 0; equal && i < count; i++)
        equal = x[i] - y[i] <= tolerance && y[i] - x[i] <= tolerance;
    free(x);
    free(y);
    return equal;
}

/* Small numbers that differ from sample to sample. */
static strata_tensor *batch(strata_context *ctx, strata_shape shape)
{
    return strata_ops_affine(batch_of_numbers(ctx, shape), 0.02, -0.5);
}

static strata_tensor *call_with(strata_layer *layer, const strata_attention_arguments *arguments,
                                strata_tensor *query, strata_tensor *value, int training)
{
    strata_tensor *outputs[2] = {NULL, NULL};
    strata_layer_call_with(layer, arguments, 2, (strata_tensor *[]){query, value}, training,
                           outputs);
    return outputs[0];
}

/* --- graphs and files --- */

/* Everything that a call can take. */
static strata_model *graph(strata_context *ctx)
{
    strata_tensor *x = strata_input(ctx, .shape = {T, D}, .name = "x");
    strata_tensor *keys = strata_input(ctx, .shape = {T, 5}, .name = "keys");
    strata_tensor *mask = strata_input(ctx, .shape = {T, T}, .dtype = "bool", .name = "mask");
    strata_tensor *padding = strata_input(ctx, .shape = {T}, .dtype = "bool", .name = "padding");
    strata_tensor *scores;
    strata_tensor *y = strata_multi_head_attention(
        x, x, .num_heads = 2, .key_dim = 3, .key = keys, .attention_mask = mask,
        .value_mask = padding, .use_causal_mask = true, .attention_scores = &scores);
    y = strata_group_query_attention(y, x, .head_dim = 2, .num_query_heads = 4,
                                     .num_key_value_heads = 2, .sliding_window = 2,
                                     .use_gate = true);
    return strata_functional_list(STRATA_LIST(x, keys, mask, padding), STRATA_LIST(y, scores),
                                  .name = "graph");
}

static void run_graph(strata_model *model, strata_tensor *outputs[2])
{
    strata_context *ctx = strata_layer_context(strata_model_layer(model));
    uint8_t pairs[BATCH * T * T], rows[BATCH * T];
    for (int i = 0; i < BATCH * T * T; i++)
        pairs[i] = i % 5 != 2;
    for (int i = 0; i < BATCH * T; i++)
        rows[i] = i % 4 != 3;
    strata_tensor *inputs[] = {batch(ctx, STRATA_SHAPE(BATCH, T, D)),
                               batch(ctx, STRATA_SHAPE(BATCH, T, 5)),
                               test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T, T), pairs),
                               test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T), rows)};
    strata_layer_call_many(strata_model_layer(model), 4, inputs, 0, outputs);
    assert_all_ok(ctx);
}

static void test_graphs_are_saved_with_their_arguments(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_model *model = graph(ctx);
        assert_all_ok(ctx);
        assert_all_int_equal(strata_save(model, test_path("heads.keras")), STRATA_OK);
        strata_model *again = strata_load(ctx, test_path("heads.keras"));
        assert_all_ok(ctx);
        strata_scope_begin(ctx);
        strata_tensor *ours[2], *theirs[2];
        run_graph(model, ours);
        run_graph(again, theirs);
        assert_all(same(ours[0], theirs[0], 0) && same(ours[1], theirs[1], 0));
        strata_scope_end(ctx);
    }
}

static void test_configurations_are_kerass(void **state)
{
    (void)state;
    strata_context *ctx = test_session(test_mesh(0));
    char *text = strata_model_to_json(graph(ctx));
    static const char *const words[] = {
        "\"build_config\": {\"shapes_dict\": {\"query_shape\": [null, 4, 6], \"value_shape\": "
        "[null, 4, 6], \"key_shape\": [null, 4, 5]}}",
        "\"value_dim\": 3",
        "\"attention_axes\": [1]",
        "\"kwargs\": {\"return_attention_scores\": true, \"use_causal_mask\": true, "
        "\"value_mask\": {\"class_name\": \"__keras_tensor__\"",
        "\"class_name\": \"GroupQueryAttention\"",
        "\"name\": \"grouped_query_attention\"",
        "\"use_gate\": true, \"sliding_window\": 2",
    };
    for (size_t i = 0; i < TEST_COUNT(words); i++)
        assert_all(strstr(text, words[i]) != NULL);
    assert_all(strstr(text, "flash_attention") == NULL);
    strata_text_free(ctx, text);
}

static void test_weights_have_kerass_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"multi_head_attention/query/kernel",
                                        "multi_head_attention/query/bias",
                                        "multi_head_attention/key/kernel",
                                        "multi_head_attention/key/bias",
                                        "multi_head_attention/value/kernel",
                                        "multi_head_attention/value/bias",
                                        "multi_head_attention/attention_output/kernel",
                                        "multi_head_attention/attention_output/bias",
                                        "grouped_query_attention/query/kernel",
                                        "grouped_query_attention/query/bias",
                                        "grouped_query_attention/key/kernel",
                                        "grouped_query_attention/key/bias",
                                        "grouped_query_attention/gate/kernel"};
    strata_context *ctx = test_session(test_mesh(0));
    strata_variable *weights[32];
    strata_layer_weights(strata_model_layer(graph(ctx)), weights, 32);
    for (size_t i = 0; i < TEST_COUNT(paths); i++)
        assert_all_string_equal(strata_variable_path(weights[i]), paths[i]);
}

/* --- calls --- */

static const uint8_t padding[BATCH * T] = {1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0};

/* Masks of query and value as one of pairs. */
static strata_tensor *pairs_of_padding(strata_context *ctx)
{
    uint8_t pairs[BATCH * T * T];
    for (int i = 0; i < BATCH * T * T; i++)
        pairs[i] = padding[i / T] && padding[i / (T * T) * T + i % T];
    return test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T, T), pairs);
}

/* The layer's own view of query_mask: whether it uses the argument, and whether it takes masks off
 * its inputs. */
static void assert_masks_taken(strata_layer *layer, bool uses_argument, bool takes_off)
{
    strata_context *ctx = strata_layer_context(layer);
    strata_scope_begin(ctx);
    strata_tensor *x = batch(ctx, STRATA_SHAPE(BATCH, T, D));
    strata_tensor *mask = test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T), padding);
    strata_attention_arguments pairs = {.attention_mask = pairs_of_padding(ctx)};
    strata_tensor *expected = call_with(layer, &pairs, x, x, 0);
    strata_tensor *free = call_with(layer, NULL, x, x, 0);
    assert_all(!strata_tensor_mask(free) && !same(free, expected, 1e-4));
    strata_tensor *given =
        call_with(layer, &(strata_attention_arguments){.query_mask = mask}, x, x, 0);
    assert_all(!strata_tensor_mask(given) && same(free, given, 1e-6) == !uses_argument);
    strata_tensor_set_mask(x, mask);
    strata_tensor *y = call_with(layer, NULL, x, x, 0);
    assert_all_ok(ctx);
    assert_all(same(y, expected, 1e-6) && strata_tensor_mask(y) == mask);
    assert_all(strata_tensor_mask(x) == (takes_off ? NULL : mask));
    strata_scope_end(ctx);
}

static void test_masks_of_inputs_are_taken_and_passed_on(void **state)
{
    (void)state;
    strata_context *ctx = test_session(test_mesh(0));
    assert_masks_taken(STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 2, .key_dim = 3),
                       false, true);
    assert_masks_taken(STRATA_NEW_LAYER(ctx, group_query_attention, .head_dim = 3,
                                        .num_query_heads = 2, .num_key_value_heads = 1),
                       true, false);
}

/* Calls of a graph run deepest first, so those before the attention see the mask that it takes off,
 * in whatever order the outputs stand. */
static void test_masks_are_gone_for_later_calls(void **state)
{
    (void)state;
    int32_t numbers[BATCH * T];
    for (int i = 0; i < BATCH * T; i++)
        numbers[i] = padding[i] * (i + 1);
    strata_context *ctx = test_session(test_mesh(0));
    strata_tensor *words = strata_input(ctx, .shape = {T}, .dtype = "int32");
    strata_tensor *x = strata_embedding(words, .input_dim = 20, .output_dim = D, .mask_zero = true);
    strata_tensor *y = strata_multi_head_attention(x, x, .num_heads = 2, .key_dim = 3);
    strata_tensor *sum = strata_add(STRATA_LIST(x, y));
    strata_tensor *late = strata_activation(x, .activation = "tanh");
    strata_tensor *early = strata_activation(x, .activation = "tanh");
    early = strata_activation(early, .activation = "tanh");
    early = strata_activation(early, .activation = "tanh");
    strata_model *model = strata_functional_list(STRATA_LIST(words), STRATA_LIST(sum, late, early));
    strata_scope_begin(ctx);
    strata_tensor *outputs[3],
        *input = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(BATCH, T), numbers);
    strata_layer_call_many(strata_model_layer(model), 1, &input, 0, outputs);
    assert_all_ok(ctx);
    assert_all(!strata_tensor_mask(outputs[0]) && !strata_tensor_mask(outputs[1]));
    assert_all(strata_tensor_mask(outputs[2]) != NULL);
    strata_scope_end(ctx);
}

static void copy_weights(strata_layer *from, strata_layer *to)
{
    strata_variable *sources[8], *targets[8];
    strata_layer_weights(from, sources, 8);
    strata_layer_weights(to, targets, 8);
    for (int i = 0; i < 8; i++) {
        float values[64] = {0};
        strata_cross_read(sources[i], values);
        strata_cross_assign(targets[i], values);
    }
}

/* Attention over one of two inner axes is attention by itself of each index of the other. */
static void test_other_axes_are_batches(void **state)
{
    (void)state;
    enum { X = 2 };
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *over_last = STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 2,
                                                   .key_dim = 3, .attention_axes = {2});
        strata_layer *over_first = STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 2,
                                                    .key_dim = 3, .attention_axes = {-3});
        strata_attention_arguments causal = {.use_causal_mask = true};
        strata_scope_begin(ctx);
        strata_tensor *x = batch(ctx, STRATA_SHAPE(BATCH, X, T, D));
        const int exchange[] = {0, 2, 1, 3};
        strata_tensor *turned = strata__transpose(x, exchange);
        strata_tensor *y = call_with(over_last, &causal, x, x, 0);
        call_with(over_first, &causal, turned, turned, 0); /* builds it */
        assert_all_ok(ctx);
        copy_weights(over_last, over_first);
        strata_tensor *z = call_with(over_first, &causal, turned, turned, 0);
        assert_all(same(y, strata__transpose(z, exchange), 1e-6));
        strata_scope_end(ctx);
    }
}

static void test_scores_are_a_second_output(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer =
            STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 2, .key_dim = 3,
                             .attention_axes = {1, 2}, .output_shape = {2, 3});
        strata_attention_arguments scored = {.return_attention_scores = true};
        strata_scope_begin(ctx);
        strata_tensor *x = batch(ctx, STRATA_SHAPE(BATCH, 2, 3, D)), *y[2];
        strata_layer_call_with(layer, &scored, 2, (strata_tensor *[]){x, x}, 0, y);
        assert_all_ok(ctx);
        char text[STRATA__SHAPE_TEXT];
        assert_all_string_equal(strata__shape_text(&y[0]->shape, text), "(3, 2, 3, 2, 3)");
        assert_all_string_equal(strata__shape_text(&y[1]->shape, text), "(3, 2, 2, 3, 2, 3)");
        float scores[BATCH * 2 * 36];
        strata_tensor_gather(y[1], scores);
        for (int i = 0; i < BATCH * 2 * 6; i++) {
            float sum = 0;
            for (int s = 0; s < 6; s++)
                sum += scores[i * 6 + s];
            assert_all_near(sum, 1, 1e-5);
        }
        assert_all(same(y[0], call_with(layer, NULL, x, x, 0), 1e-6));
        strata_scope_end(ctx);
    }
}

/* --- dropout --- */

static void test_dropout_is_the_same_on_every_mesh(void **state)
{
    (void)state;
    float first[BATCH * T * D], values[BATCH * T * D];
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer =
            STRATA_NEW_LAYER(ctx, group_query_attention, .head_dim = 3, .num_query_heads = 4,
                             .num_key_value_heads = 2, .dropout = 0.5, .seed = 11);
        strata_scope_begin(ctx);
        strata_tensor *x = batch(ctx, STRATA_SHAPE(BATCH, T, D));
        strata_tensor *y = call_with(layer, NULL, x, x, 1);
        assert_all_ok(ctx);
        strata_tensor_gather(y, m ? values : first);
        if (m)
            assert_all_floats_near(values, first, BATCH * T * D, 1e-5);
        assert_all(!same(y, call_with(layer, NULL, x, x, 1), 1e-4)); /* draws anew */
        strata_tensor *without = call_with(layer, NULL, x, x, 0);
        assert_all(!same(y, without, 1e-4));
        assert_all(same(without, call_with(layer, NULL, x, x, 0), 0));
        strata_scope_end(ctx);
    }
}

/* --- what is refused --- */

static void test_bad_configurations_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *layer, *words;
    } cases[] = {
        {"MultiHeadAttention(key_dim=2)", "the required argument num_heads is missing"},
        {"MultiHeadAttention(num_heads=0, key_dim=2)",
         "num_heads is required and must be a whole number of at least 1"},
        {"MultiHeadAttention(num_heads=2, key_dim=-1)", "key_dim is required and must be"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, value_dim=0)", "value_dim must be"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, dropout=1.5)", "dropout must be"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, sliding_window=0)", "sliding_window must be"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, output_shape=[0])", "output_shape must be"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, flash_attention=True, dropout=0.1)",
         "Dropout is not supported when flash attention is enabled. Please set dropout to 0.0"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, heads=3)",
         "Unrecognized keyword arguments passed to MultiHeadAttention"},
        {"GroupQueryAttention(head_dim=2, num_query_heads=3, num_key_value_heads=2)",
         "`num_query_heads` must be divisible by `num_key_value_heads`"},
        {"GroupQueryAttention(head_dim=2, num_query_heads=4)",
         "the required argument num_key_value_heads is missing"},
    };
    strata_context *ctx = test_session(test_mesh(0));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_all(!strata_layer_from_text(ctx, cases[i].layer));
        assert_all_error(ctx, STRATA_INVALID, cases[i].words);
    }
}

static void test_bad_inputs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *layer;
        strata_shape query, value, key;
        const char *words;
    } cases[] = {
        {"MultiHeadAttention(num_heads=2, key_dim=2)",
         {{2, 3, 4}, 3},
         {{2, 5, 4}, 3},
         {{2, 4, 4}, 3},
         "All dimensions of `value` and `key`, except the last one, must be equal. Received: "
         "value_shape=(None, 5, 4) and key_shape=(None, 4, 4)"},
        {"MultiHeadAttention(num_heads=2, key_dim=2)",
         {{2, 3, 4}, 3},
         {{2, 5, 5, 4}, 4},
         {{2, 5, 5, 4}, 4},
         "query and value must have as many axes"},
        {"MultiHeadAttention(num_heads=2, key_dim=2)",
         {{2, 3}, 2},
         {{2, 3}, 2},
         {{2, 3}, 2},
         "at least 3: batch, positions, features"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, attention_axes=2)",
         {{2, 3, 4}, 3},
         {{2, 3, 4}, 3},
         {{2, 3, 4}, 3},
         "attention_axes must be different axes between batch and features of inputs with 3 axes"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, attention_axes=[1, -3])",
         {{2, 3, 5, 4}, 4},
         {{2, 3, 5, 4}, 4},
         {{2, 3, 5, 4}, 4},
         "attention_axes must be different axes"},
        {"MultiHeadAttention(num_heads=2, key_dim=2, attention_axes=2)",
         {{2, 3, 5, 4}, 4},
         {{2, 2, 5, 4}, 4},
         {{2, 2, 5, 4}, 4},
         "multi_head_attention"},
        {"GroupQueryAttention(head_dim=2, num_query_heads=2, num_key_value_heads=1)",
         {{2, 3, 5, 4}, 4},
         {{2, 3, 5, 4}, 4},
         {{2, 3, 5, 4}, 4},
         "the query must have 3 axes: batch, positions, features"},
    };
    strata_context *ctx = test_session(test_mesh(0));
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata_layer *layer = strata_layer_from_text(ctx, cases[i].layer);
        strata_scope_begin(ctx);
        strata_tensor *inputs[] = {batch(ctx, cases[i].query), batch(ctx, cases[i].value),
                                   batch(ctx, cases[i].key)};
        strata_tensor *y;
        strata_layer_call_many(layer, 3, inputs, 0, &y);
        assert_all_error(ctx, STRATA_INVALID, cases[i].words);
        strata_scope_end(ctx);
    }
}

static void assert_call_refused(strata_layer *layer, const strata_attention_arguments *arguments,
                                const char *words)
{
    strata_context *ctx = strata_layer_context(layer);
    strata_scope_begin(ctx);
    strata_tensor *x = batch(ctx, STRATA_SHAPE(BATCH, T, D));
    call_with(layer, arguments, x, x, 0);
    assert_all_error(ctx, STRATA_INVALID, words);
    strata_scope_end(ctx);
}

static void test_bad_calls_are_refused(void **state)
{
    (void)state;
    const uint8_t ones[BATCH * T * T * T] = {1};
    strata_context *ctx = test_session(test_mesh(0));
    strata_layer *layer = STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 2, .key_dim = 3);
    strata_scope_begin(ctx);
    strata_tensor *rows = test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T), ones);
    strata_tensor *few = test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T - 1), ones);
    strata_tensor *pairs = test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T, T - 1), ones);
    strata_tensor *many = test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, 1, 1, T, T), ones);
    assert_call_refused(layer, &(strata_attention_arguments){.attention_mask = rows},
                        "attention_mask of shape (3, 4) for scores with 4 axes");
    assert_call_refused(layer, &(strata_attention_arguments){.attention_mask = many},
                        "attention_mask of shape (3, 1, 1, 4, 4) for scores with 4 axes");
    assert_call_refused(layer, &(strata_attention_arguments){.attention_mask = pairs}, "mask");
    assert_call_refused(layer, &(strata_attention_arguments){.value_mask = few}, "mask");
    assert_call_refused(layer, &(strata_attention_arguments){.value_mask = pairs},
                        "value_mask of shape (3, 4, 3) must have the axes of its input without "
                        "features, 2");
    strata_layer *flash = STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = 2, .key_dim = 3,
                                           .flash_attention = true);
    assert_call_refused(flash, &(strata_attention_arguments){.return_attention_scores = true},
                        "Returning attention scores is not supported when flash attention is "
                        "enabled.");
    strata_tensor *x = strata_input(ctx, .shape = {T, D});
    assert_all(!strata_layer_call(layer, x));
    assert_all_error(ctx, STRATA_INVALID,
                     "Layer \"multi_head_attention\" expects 2 input(s), but it received 1");
    assert_all(!strata_multi_head_attention(x, x, .num_heads = 1, .key_dim = 1,
                                            .return_attention_scores = true));
    assert_all_error(ctx, STRATA_INVALID, "return_attention_scores without attention_scores");
    assert_all(!strata_multi_head_attention(x, NULL, .num_heads = 1, .key_dim = 1));
    assert_all_ok(ctx);
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs_are_saved_with_their_arguments),
        cmocka_unit_test(test_configurations_are_kerass),
        cmocka_unit_test(test_weights_have_kerass_paths),
        cmocka_unit_test(test_masks_of_inputs_are_taken_and_passed_on),
        cmocka_unit_test(test_masks_are_gone_for_later_calls),
        cmocka_unit_test(test_other_axes_are_batches),
        cmocka_unit_test(test_scores_are_a_second_output),
        cmocka_unit_test(test_dropout_is_the_same_on_every_mesh),
        cmocka_unit_test(test_bad_configurations_are_refused),
        cmocka_unit_test(test_bad_inputs_are_refused),
        cmocka_unit_test(test_bad_calls_are_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
