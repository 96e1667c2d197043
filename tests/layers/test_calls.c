/* Calling layers: demands on inputs, masks, losses, metrics, functions as layers, dropout. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/activation.h>
#include <strata/layers/convolutional.h>
#include <strata/layers/core.h>
#include <strata/layers/merging.h>
#include <strata/layers/normalization.h>
#include <strata/layers/pooling.h>
#include <strata/layers/preprocessing.h>
#include <strata/layers/regularization.h>
#include <strata/layers/reshaping.h>

#include "base/memory.h"
#include "layers/layer.h"
#include "ops/ops.h"
#include "layers/support.h"

/* --- a layer whose `call` is the test's --- */

typedef strata_tensor *probe_call(strata_layer *layer, strata_tensor *x, bool training);
typedef struct probe_config {
    probe_call *function;
    STRATA_LAYER_COMMON
} probe_config;
static const probe_config probe_defaults = {STRATA_LAYER_DEFAULTS};
static const strata_field probe_fields[] = {
    STRATA_LAYER_FIELDS(probe_config),
    STRATA_FIELD(probe_config, activity_regularizer, .family = &strata__regularizer_family),
};

static strata_tensor *probe(strata_layer *layer, const strata_call *call)
{
    const probe_config *config = strata_layer_config(layer);
    return config->function(layer, call->inputs[0], call->training);
}

static const strata_layer_class probe_class = {.name = "Probe",
                                               .config_size = sizeof(probe_config),
                                               .defaults = &probe_defaults,
                                               .fields = probe_fields,
                                               .field_count = TEST_COUNT(probe_fields),
                                               .call = probe};

static strata_layer *probe_new(strata_context *ctx, probe_call *function)
{
    return strata_layer_new(ctx, &probe_class,
                            &(probe_config){STRATA_LAYER_DEFAULTS, .function = function});
}

/* --- input_spec --- */

static void assert_refused(strata_context *ctx, strata_input_spec spec, strata_shape shape,
                           const char *words)
{
    strata_layer *layer = STRATA_NEW_LAYER(ctx, flatten, .name = "picky");
    strata_layer_set_input_spec(layer, 0, &spec);
    strata_scope_begin(ctx);
    assert_all(!strata_layer_call(layer, batch_of_numbers(ctx, shape)));
    strata_scope_end(ctx);
    assert_all_error(ctx, STRATA_INVALID,
                     "Input 0 with name 'None' of layer 'picky' is incompatible with the layer: ");
    strata_scope_begin(ctx);
    strata_layer_call(layer, batch_of_numbers(ctx, shape));
    strata_scope_end(ctx);
    assert_all_error(ctx, STRATA_INVALID, words);
}

#define ANYTHING .ndim = -1, .min_ndim = -1, .max_ndim = -1, .shape = STRATA_NO_SHAPE

static void test_inputs_are_checked_in_kerass_words(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    const strata_shape shape = STRATA_SHAPE(2, 3, 4);
    strata_input_spec any = {ANYTHING};
    strata_input_spec spec = any;
    spec.ndim = 4;
    assert_refused(ctx, spec, shape,
                   "expected ndim=4, found ndim=3. Full shape received: (2, 3, 4)");
    spec = any, spec.min_ndim = 4;
    assert_refused(ctx, spec, shape, "expected min_ndim=4, found ndim=3. Full shape");
    spec = any, spec.max_ndim = 2;
    assert_refused(ctx, spec, shape, "expected max_ndim=2, found ndim=3. Full shape");
    spec = any, spec.dtype = "int32";
    assert_refused(ctx, spec, shape, "expected dtype=int32, found dtype=float32");
    spec = any, spec.axis_count = 1, spec.axes[0].axis = -1, spec.axes[0].size = 5;
    assert_refused(
        ctx, spec, shape,
        "expected axis -1 of input shape to have value 5, but received input with shape (2, 3, 4)");
    spec = any, spec.axis_count = 1, spec.axes[0].axis = 7, spec.axes[0].size = 5;
    assert_refused(ctx, spec, shape, "expected axis 7 of input shape to have value 5");
    spec = any, spec.shape = STRATA_SHAPE(STRATA_NONE, 3, 5);
    assert_refused(ctx, spec, shape, "expected shape=(None, 3, 5), found shape=(2, 3, 4)");
    strata_layer *layer = STRATA_NEW_LAYER(ctx, flatten);
    spec = any, spec.shape = STRATA_SHAPE(STRATA_NONE, STRATA_NONE, 4);
    strata_layer_set_input_spec(layer, 0, &spec);
    strata_scope_begin(ctx);
    assert_all(strata_layer_call(layer, batch_of_numbers(ctx, shape)) != NULL);
    strata_scope_end(ctx);
}

static void test_dense_demands_its_features_after_build(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {3}, .name = "image");
    strata_layer *layer = STRATA_NEW_LAYER(ctx, dense, .units = 2);
    assert_all(strata_layer_call(layer, x) != NULL);
    strata_tensor *y = strata_input(ctx, .shape = {4}, .name = "other");
    assert_all(!strata_layer_call(layer, y));
    assert_all_error(ctx, STRATA_INVALID,
                     "Input 0 with name 'other' of layer 'dense' is incompatible with the layer: "
                     "expected axis -1 of "
                     "input shape to have value 3, but received input with shape (None, 4)");
}

static void test_the_number_of_inputs_is_checked(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *a = strata_input(ctx, .shape = {3}), *b = strata_input(ctx, .shape = {3});
    strata_layer *layer = STRATA_NEW_LAYER(ctx, dense, .units = 2);
    assert_all(!strata_layer_call_list(layer, STRATA_LIST(a, b)));
    assert_all_error(ctx, STRATA_INVALID,
                     "Layer \"dense\" expects 1 input(s), but it received 2 input tensors.");
    assert_all(!strata_add(STRATA_LIST(a, NULL)));
    assert_all_ok(ctx);
}

/* --- masks --- */

typedef struct mask_case {
    const char *layer;
    strata_shape input;
    bool passes;
} mask_case;

static void test_masks_pass_where_keras_lets_them(void **state)
{
    (void)state;
    const strata_shape flat = STRATA_SHAPE(2, 3, 2), image = STRATA_SHAPE(2, 4, 4, 2);
    const mask_case cases[] = {
        {"Dense(units=2)", flat, true},
        {"Activation(activation='relu')", flat, true},
        {"ReLU", flat, true},
        {"Dropout(rate=0.5)", flat, true},
        {"BatchNormalization", flat, true},
        {"LayerNormalization", flat, true},
        {"Rescaling(scale=2)", flat, true},
        {"Flatten", flat, false},
        {"Reshape(target_shape=[6])", flat, false},
        {"Conv2D(filters=2, kernel_size=2)", image, false},
        {"DepthwiseConv2D(kernel_size=2)", image, false},
        {"MaxPooling2D", image, false},
        {"AveragePooling2D", image, false},
        {"GlobalAveragePooling2D", image, false},
    };
    strata_context *ctx = test_session(NULL);
    ctx->verbosity = 0;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata_layer *layer = strata_layer_from_text(ctx, cases[i].layer);
        strata_scope_begin(ctx);
        strata_tensor *x = masked_batch(ctx, cases[i].input);
        strata_tensor *y = strata_layer_call(layer, x);
        assert_all_ok(ctx);
        bool passed = strata_tensor_mask(y) != NULL;
        if (passed != cases[i].passes)
            fprintf(stderr, "%s\n", cases[i].layer);
        assert_all(passed == cases[i].passes);
        assert_all(!passed || strata_tensor_mask(y) == strata_tensor_mask(x));
        strata_scope_end(ctx);
    }
}

static char *logged_by_call(strata_context *ctx, strata_layer *layer)
{
    char *text = NULL;
    size_t size;
    FILE *kept = stderr;
    stderr = open_memstream(&text, &size);
    strata_scope_begin(ctx);
    strata_layer_call(layer, masked_batch(ctx, STRATA_SHAPE(2, 3, 2)));
    strata_scope_end(ctx);
    fclose(stderr);
    stderr = kept;
    return text;
}

static void test_a_destroyed_mask_is_warned_of_once(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = STRATA_NEW_LAYER(ctx, flatten, .name = "flat");
    char *first = logged_by_call(ctx, layer), *second = logged_by_call(ctx, layer);
    bool warned = strstr(
        first, "Layer 'flat' (of type Flatten) was passed an input with a mask attached to it. "
               "However, this layer does not support masking");
    assert_all(warned == (test_rank() == 0));
    assert_all_string_equal(second, "");
    free(first);
    free(second);
}

static void test_embedding_makes_a_mask_that_goes_on(void **state)
{
    (void)state;
    const int32_t ids[6] = {3, 0, 1, 0, 0, 2};
    const uint8_t expected[6] = {1, 0, 1, 0, 0, 1};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *embedding =
            STRATA_NEW_LAYER(ctx, embedding, .input_dim = 4, .output_dim = 3, .mask_zero = true);
        strata_layer *dense = STRATA_NEW_LAYER(ctx, dense, .units = 5);
        strata_scope_begin(ctx);
        strata_tensor *x = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(3, 2), ids);
        strata_tensor *y = strata_layer_call(dense, strata_layer_call(embedding, x));
        assert_all_ok(ctx);
        uint8_t mask[6];
        strata_tensor_gather(strata_tensor_mask(y), mask);
        assert_all(memcmp(mask, expected, sizeof mask) == 0);
        strata_scope_end(ctx);
    }
}

static void test_masks_are_attached_to_symbolic_tensors(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_tensor *x = strata_input(ctx, .shape = {7}, .dtype = "int32");
    strata_tensor *y = strata_embedding(x, .input_dim = 4, .output_dim = 3, .mask_zero = true);
    const strata_tensor *mask = strata_tensor_mask(strata_dense(y, .units = 2));
    assert_all(mask != NULL);
    char text[STRATA__SHAPE_TEXT];
    assert_all_string_equal(strata__shape_text(&mask->shape, text), "(None, 7)");
    assert_all_int_equal(mask->dtype, STRATA_BOOL);
}

/* --- losses --- */

static strata_tensor *adds_losses(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)training;
    strata_layer_add_loss(layer, strata_ops_mean(x, STRATA_NONE, false));
    strata_layer_add_loss(layer, strata_ops_affine(x, 0.5, 0));
    return x;
}

static double total(const strata_tensor *loss)
{
    double sum = 0;
    for (int64_t i = 0; i < strata__local_count(loss); i++)
        sum += ((const float *)loss->data)[i];
    if (loss->layout.batch)
        strata__sum(loss->ctx, STRATA__BATCH, &sum, 1, STRATA_FLOAT64);
    return sum;
}

/* inner adds two losses and has a regularized weight; so has outer. Added ones come first. */
static strata_tensor *calls_inner(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)training;
    strata__sublayer *inner = layer->sublayers.items[0];
    return strata_layer_call(inner->layer, x);
}

static void test_losses_are_listed_added_ones_first(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *outer = probe_new(ctx, calls_inner), *inner = probe_new(ctx, adds_losses);
        strata_layer_add_weight(outer, .name = "w", .shape = STRATA_SHAPE(2), .initializer = "ones",
                                .regularizer = "L2(l2=0.5)");
        strata_layer_add_weight(inner, .name = "v", .shape = STRATA_SHAPE(3), .initializer = "ones",
                                .regularizer = "L1(l1=2)");
        strata_layer_track(outer, "inner", inner);
        for (int again = 0; again < 2; again++) {
            strata_scope_begin(ctx);
            strata_layer_call(outer, batch_of_numbers(ctx, STRATA_SHAPE(5, 2)));
            strata_tensor *losses[4];
            assert_all_int_equal(strata_layer_losses(outer, losses, 4), 4);
            assert_all_ok(ctx);
            assert_all_near(total(losses[0]), 4.5, 1e-6);
            assert_all_near(total(losses[1]), 22.5, 1e-5);
            assert_all_near(total(losses[2]), 1, 1e-6);
            assert_all_near(total(losses[3]), 6, 1e-6);
            strata_scope_end(ctx);
        }
        strata_layer_set_trainable(inner, false);
        assert_all_int_equal(strata_layer_losses(outer, NULL, 0), 3);
    }
}

/* The losses of the last call can be read after its scope; the next call forgets them. */
static void test_losses_outlive_their_scope(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = probe_new(ctx, adds_losses);
    strata_scope_begin(ctx);
    strata_layer_call(layer, batch_of_numbers(ctx, STRATA_SHAPE(5, 2)));
    strata_scope_end(ctx);
    strata_tensor *losses[2];
    assert_all_int_equal(strata_layer_losses(layer, losses, 2), 2);
    assert_all_near(total(losses[0]), 4.5, 1e-6);
}

/* The gradient of loss `which` with respect to the input, its last element. */
static float gradient_of_loss(strata_context *ctx, int which)
{
    float gradient[10];
    strata_layer *layer = probe_new(ctx, adds_losses);
    strata_scope_begin(ctx);
    strata_tensor *x = batch_of_numbers(ctx, STRATA_SHAPE(5, 2)), *losses[2];
    strata_tape_watch(x);
    strata_tape_begin(ctx);
    strata_layer_call(layer, x);
    strata_layer_losses(layer, losses, 2);
    strata_tape_gradient(ctx, 1, &losses[which], NULL);
    assert_all_ok(ctx);
    strata_tensor_gather(strata_tensor_gradient(x), gradient);
    strata_scope_end(ctx);
    return gradient[9];
}

/* A mean over all ranks is one number, and its gradient reaches the samples of each, once. */
static void test_added_losses_have_gradients(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        assert_all_near(gradient_of_loss(ctx, 0), 0.1, 1e-6);
        assert_all_near(gradient_of_loss(ctx, 1), 0.5, 1e-6);
    }
}

static void test_activity_regularizer_is_divided_by_the_batch(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer = STRATA_NEW_LAYER(ctx, activation, .activation = "linear",
                                               .activity_regularizer = "L2(l2=0.1)");
        strata_scope_begin(ctx);
        strata_layer_call(layer, batch_of_numbers(ctx, STRATA_SHAPE(5, 2)));
        strata_tensor *loss;
        assert_all_int_equal(strata_layer_losses(layer, &loss, 1), 1);
        assert_all_near(total(loss), 0.1 * 285 / 5, 1e-5);
        strata_scope_end(ctx);
    }
}

static strata_tensor *adds_whole_number(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)training;
    strata_layer_add_loss(layer, strata_ops_cast(x, STRATA_INT32));
    return x;
}

static void test_losses_are_floats(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_scope_begin(ctx);
    strata_layer_call(probe_new(ctx, adds_whole_number), batch_of_numbers(ctx, STRATA_SHAPE(5, 2)));
    assert_all_error(ctx, STRATA_INVALID, "add_loss takes a float32 tensor, not int32");
    strata_scope_end(ctx);
}

/* --- metrics --- */

static strata_tensor *adds_metrics(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)training;
    strata_layer_add_metric(layer, x, "elements");
    strata_layer_add_metric(layer, strata_ops_mean(x, STRATA_NONE, false), "mean");
    strata_layer_add_metric(layer, strata__split(x), "pieces");
    return x;
}

static void call_once(strata_layer *layer, int64_t samples)
{
    strata_context *ctx = strata_layer_context(layer);
    strata_scope_begin(ctx);
    strata_layer_call(layer, batch_of_numbers(ctx, STRATA_SHAPE(samples, 2)));
    assert_all_ok(ctx);
    strata_scope_end(ctx);
}

/* Elements: (Σ 0…9 + Σ 0…1) / 12; means: (4.5 + 0.5) / 2. */
static void test_metrics_are_means_over_calls(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        strata_layer *layer = probe_new(ctx, adds_metrics);
        call_once(layer, 5);
        call_once(layer, 1);
        assert_all_int_equal(strata_layer_metric_count(layer), 3);
        assert_all_string_equal(strata_layer_metric_name(layer, 0), "elements");
        assert_all_string_equal(strata_layer_metric_name(layer, 1), "mean");
        assert_all(strata_layer_metric_name(layer, 3) == NULL);
        assert_all_near(strata_layer_metric_value(layer, 0), 46.0 / 12, 1e-6);
        assert_all_near(strata_layer_metric_value(layer, 1), 2.5, 1e-6);
        assert_all_near(strata_layer_metric_value(layer, 2), 46.0 / 12, 1e-6);
        strata_layer_reset_metrics(layer);
        assert_all_near(strata_layer_metric_value(layer, 0), 0, 0);
    }
}

static strata_tensor *adds_nameless_metric(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)training;
    strata_layer_add_metric(layer, x, NULL);
    return x;
}

static void test_metrics_need_a_name_and_a_call(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *layer = probe_new(ctx, adds_nameless_metric);
    strata_scope_begin(ctx);
    strata_tensor *x = batch_of_numbers(ctx, STRATA_SHAPE(5, 2));
    strata_layer_call(layer, x);
    assert_all_error(ctx, STRATA_INVALID, "Please provide a name for your metric");
    strata_layer_add_metric(layer, x, "late");
    assert_all_error(ctx, STRATA_INVALID, "Expected a symbolic Tensor for the metric value");
    strata_scope_end(ctx);
}

/* --- training --- */

static strata_tensor *shows_training(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)layer;
    return strata_ops_affine(x, 0, training ? 1 : 0);
}

static float shown(strata_layer *layer, int training)
{
    strata_context *ctx = strata_layer_context(layer);
    float values[2];
    strata_tensor *x, *y;
    strata_scope_begin(ctx);
    x = batch_of_numbers(ctx, STRATA_SHAPE(2, 1));
    strata_layer_call_many(layer, 1, &x, training, &y);
    strata_tensor_gather(y, values);
    strata_scope_end(ctx);
    return values[0];
}

static void test_training_goes_down_to_inner_layers(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_layer *outer = probe_new(ctx, calls_inner);
    strata_layer_track(outer, "inner", probe_new(ctx, shows_training));
    assert_all_near(shown(outer, 1), 1, 0);
    assert_all_near(shown(outer, 0), 0, 0);
    assert_all_near(shown(outer, -1), 0, 0);
    assert_all(!ctx->training && ctx->nesting == 0);
}

static strata_tensor *returns_nothing(strata_layer *layer, strata_tensor *x, bool training)
{
    (void)layer, (void)x, (void)training;
    return NULL;
}

static void test_a_layer_without_result_is_an_error(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_scope_begin(ctx);
    strata_layer_call(probe_new(ctx, returns_nothing), batch_of_numbers(ctx, STRATA_SHAPE(2, 1)));
    assert_all_error(ctx, STRATA_INVALID, "layer 'probe' (Probe) returned no tensor");
    strata_scope_end(ctx);
}

/* --- dropout --- */

/* The mask of a batch of 7, of the first training step of a fresh session. */
static void draw_mask(const char *mesh, int64_t seed, float *mask)
{
    strata_context *ctx = test_session(mesh);
    strata_layer *layer = STRATA_NEW_LAYER(ctx, dropout, .rate = 0.5, .seed = seed);
    strata_scope_begin(ctx);
    float values[28];
    for (int i = 0; i < 28; i++)
        values[i] = 1;
    strata_tensor *x = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(7, 4), values), *y;
    strata_layer_call_many(layer, 1, &x, 1, &y);
    strata_tensor_gather(y, mask);
    strata_tensor *z;
    float second[28];
    strata_layer_call_many(layer, 1, &x, 1, &z);
    strata_tensor_gather(z, second);
    assert_all(memcmp(mask, second, sizeof second) != 0);
    strata_scope_end(ctx);
}

static void test_dropout_is_the_same_on_every_mesh(void **state)
{
    (void)state;
    float first[28], other[28];
    draw_mask(test_mesh(0), 3, first);
    for (int m = 1; test_mesh(m); m++) {
        draw_mask(test_mesh(m), 3, other);
        assert_all_floats_near(other, first, 28, 0);
    }
    draw_mask(test_mesh(0), 4, other);
    assert_all(memcmp(first, other, sizeof first) != 0);
    int kept = 0;
    for (int i = 0; i < 28; i++)
        kept += first[i] == 2.0f;
    assert_all(kept > 5 && kept < 23);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs_are_checked_in_kerass_words),
        cmocka_unit_test(test_dense_demands_its_features_after_build),
        cmocka_unit_test(test_the_number_of_inputs_is_checked),
        cmocka_unit_test(test_masks_pass_where_keras_lets_them),
        cmocka_unit_test(test_a_destroyed_mask_is_warned_of_once),
        cmocka_unit_test(test_embedding_makes_a_mask_that_goes_on),
        cmocka_unit_test(test_masks_are_attached_to_symbolic_tensors),
        cmocka_unit_test(test_losses_are_listed_added_ones_first),
        cmocka_unit_test(test_losses_outlive_their_scope),
        cmocka_unit_test(test_added_losses_have_gradients),
        cmocka_unit_test(test_activity_regularizer_is_divided_by_the_batch),
        cmocka_unit_test(test_losses_are_floats),
        cmocka_unit_test(test_metrics_are_means_over_calls),
        cmocka_unit_test(test_metrics_need_a_name_and_a_call),
        cmocka_unit_test(test_training_goes_down_to_inner_layers),
        cmocka_unit_test(test_a_layer_without_result_is_an_error),
        cmocka_unit_test(test_dropout_is_the_same_on_every_mesh),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
