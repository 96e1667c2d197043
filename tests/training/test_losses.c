/* Losses against Keras, their gradients, weights and errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "support.h"

#include "mesh/mesh.h"
#include "ops/ops.h"
#include "training/loss.h"
#include "training/sample_weight.h"

/* --- against Keras --- */

static strata_tensor *result_of(strata__loss *loss, strata_tensor *y_true, strata_tensor *y_pred,
                                strata_tensor *weight, double *value)
{
    if (loss->reduction == STRATA__UNREDUCED)
        return strata__loss_values(loss, y_true, y_pred, weight);
    strata_tensor *result = strata__loss_call(loss, y_true, y_pred, weight, value);
    strata__sum(loss->ctx, STRATA__BATCH, value, 1, STRATA_FLOAT64);
    return result;
}

/* What Keras refuses, weights (B) for values (B, T), is accepted here: each sample's weight counts
 * for all its values. */
static bool values_agree(strata__loss *loss, const golden *group, const char *name, bool split)
{
    strata_context *ctx = loss->ctx;
    strata_tensor *y_true = test_golden_batch(ctx, group, "inputs/y_true");
    strata_tensor *y_pred = test_golden_batch(ctx, group, "inputs/y_pred");
    strata_tensor *weight = test_golden_batch(ctx, group, "inputs/sample_weight");
    strata_tensor *mask = test_golden_batch(ctx, group, "inputs/mask");
    if (mask)
        y_pred->mask = strata_tensor_keep(mask);
    strata_tape_begin(ctx);
    strata_tape_watch(y_pred);
    double value = 0;
    strata_tensor *given = split ? strata__split(y_pred) : y_pred;
    strata_tensor *result = result_of(loss, y_true, given, weight, &value);
    strata_tape_gradient(ctx, 1, &result, NULL);
    if (!result || golden_has_attribute(group, NULL, "error"))
        return result != NULL;
    bool agree = loss->reduction == STRATA__UNREDUCED ? tensor_agrees(result, group, "value", name)
                                                      : number_agrees(value, group, "value", name);
    return tensor_agrees(strata_tensor_gradient(y_pred), group, "gradient", name) && agree;
}

static golden_verdict loss_case(void *user, const golden *group, const char *name)
{
    strata_context *ctx = user;
    char *text = config_text(group);
    strata__loss *loss;
    strata_status status = strata__loss_new(ctx, text, &loss);
    free(text);
    if (status != STRATA_OK)
        return is_unsupported(ctx) ? GOLDEN_UNSUPPORTED : GOLDEN_FAILED;
    strata_scope_begin(ctx);
    bool agree = values_agree(loss, group, name, false);
    if (ctx->mesh->cols > 1)
        agree = values_agree(loss, group, name, true) && agree;
    strata_scope_end(ctx);
    agree = config_agrees(strata__loss_to_json(loss), group, name) && agree;
    strata__loss_free(loss);
    return agree ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static void test_losses_against_keras(void **state)
{
    (void)state;
    run_golden("training/losses.h5", loss_case, 300);
}

/* --- names --- */

static strata_status make(strata_context *ctx, const char *name)
{
    strata__loss *loss;
    strata_status status = strata__loss_new(ctx, name, &loss);
    strata__loss_free(loss);
    return status;
}

static void test_losses_strings_of_keras(void **state)
{
    (void)state;
    check_strings("training/losses.h5", make);
}

static void test_losses_names(void **state)
{
    static const char *const names[][2] = {
        {"mse", "MeanSquaredError"},
        {"MSE", "MeanSquaredError"},
        {"mean_squared_error", "MeanSquaredError"},
        {"MeanSquaredError", "MeanSquaredError"},
        {"mae", "MeanAbsoluteError"},
        {"MAE", "MeanAbsoluteError"},
        {"bce", "BinaryCrossentropy"},
        {"BCE", "BinaryCrossentropy"},
        {"binary_crossentropy", "BinaryCrossentropy"},
        {"categorical_crossentropy", "CategoricalCrossentropy"},
        {"sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"},
        {"SparseCategoricalCrossentropy(from_logits=True)", "SparseCategoricalCrossentropy"},
        {"{\"module\": \"builtins\", \"class_name\": \"function\", \"config\": "
         "\"mean_absolute_error\", "
         "\"registered_name\": \"function\"}",
         "MeanAbsoluteError"},
    };
    (void)state;
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        strata__loss *loss;
        strata__loss_new(ctx, names[i][0], &loss);
        assert_all_ok(ctx);
        assert_all_string_equal(loss->object.class->name, names[i][1]);
        strata__loss_free(loss);
    }
}

static void refuse(strata_context *ctx, const char *text, strata_status status, const char *words)
{
    strata__loss *loss;
    strata__loss_new(ctx, text, &loss);
    assert_all(loss == NULL);
    assert_all_error(ctx, status, words);
}

static void test_losses_refuse_names(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    refuse(ctx, "None", STRATA_INVALID, "None is no loss");
    refuse(ctx, "mean_square_error", STRATA_INVALID, "did you mean 'MeanSquaredError'");
    refuse(ctx, "huber", STRATA_UNSUPPORTED, "there are MeanSquaredError, MeanAbsoluteError");
    refuse(ctx, "Dice(axis=1)", STRATA_UNSUPPORTED, "loss 'Dice' of Keras is not supported yet");
    refuse(ctx, "MeanSquaredError(reduction='max')", STRATA_INVALID, "sum_over_batch_size");
    refuse(ctx, "BinaryCrossentropy(label_smoothing=2)", STRATA_INVALID, "label_smoothing");
}

static void test_losses_unreduced_is_no_training(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__loss *loss;
    strata__loss_new(ctx, "MeanSquaredError(reduction='none')", &loss);
    assert_all_ok(ctx);
    strata__loss_check_reduced(loss, "head");
    assert_all_error(ctx, STRATA_INVALID, "output 'head' has reduction \"none\"");
    strata__loss_free(loss);
}

static void test_losses_keep_the_given_name(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__loss *loss;
    strata__loss_new(ctx, "mse", &loss);
    json_t *json = strata__loss_to_json(loss);
    assert_all_string_equal(json_string_value(json), "mse");
    json_decref(json);
    strata__loss_free(loss);
}

/* --- numbers --- */

enum { SAMPLES = 5, CLASSES = 4 };
static const float logits[SAMPLES * CLASSES] = {0.5f, -1,   2,  0.25f, 3, -2, 0.5f, 1,    -1,    0,
                                                2.5f, 1.5f, -3, 0.75f, 1, 2,  0,    0.1f, -0.2f, 4};

static double loss_of(strata__loss *loss, strata_tensor *y_true, strata_tensor *y_pred,
                      strata_tensor *weight)
{
    double part = 0;
    strata__loss_call(loss, y_true, y_pred, weight, &part);
    strata__sum(loss->ctx, STRATA__BATCH, &part, 1, STRATA_FLOAT64);
    return part;
}

static strata_tensor *predictions(strata_context *ctx, const float *values)
{
    return test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, CLASSES), values);
}

/* The analytic gradient against differences of the loss in each prediction. */
static void check_differences(strata_context *ctx, const char *text, const float *start)
{
    static const int32_t labels[SAMPLES] = {2, 0, 3, 1, 3};
    static const float weights[SAMPLES] = {1, 0.5f, 2, 0.25f, 3};
    const float step = 1e-2f;
    strata__loss *loss;
    strata__loss_new(ctx, text, &loss);
    assert_all_ok(ctx);
    strata_scope_begin(ctx);
    strata_tensor *y_true = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(SAMPLES), labels);
    strata_tensor *weight = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES), weights);
    strata_tensor *y_pred = predictions(ctx, start);
    strata_tape_begin(ctx);
    strata_tape_watch(y_pred);
    strata_tensor *part = strata__loss_call(loss, y_true, y_pred, weight, NULL);
    strata_tape_gradient(ctx, 1, &part, NULL);
    float gradient[SAMPLES * CLASSES], shifted[SAMPLES * CLASSES];
    strata_tensor_gather(strata_tensor_gradient(y_pred), gradient);
    for (int i = 0; i < SAMPLES * CLASSES; i++)
        shifted[i] = start[i];
    for (int i = 0; i < SAMPLES * CLASSES; i++) {
        shifted[i] = start[i] + step;
        double above = loss_of(loss, y_true, predictions(ctx, shifted), weight);
        shifted[i] = start[i] - step;
        double below = loss_of(loss, y_true, predictions(ctx, shifted), weight);
        shifted[i] = start[i];
        assert_all_near(gradient[i], (above - below) / (2 * step), 2e-3);
    }
    strata_scope_end(ctx);
    strata__loss_free(loss);
}

static void test_losses_central_differences(void **state)
{
    float probabilities[SAMPLES * CLASSES];
    (void)state;
    for (int i = 0; i < SAMPLES * CLASSES; i++)
        probabilities[i] = 0.2f + 0.6f / (1 + expf(-logits[i]));
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        check_differences(ctx, "SparseCategoricalCrossentropy(from_logits=True)", logits);
        check_differences(ctx, "SparseCategoricalCrossentropy(ignore_class=3, reduction='sum')",
                          probabilities);
        check_differences(
            ctx, "SparseCategoricalCrossentropy(True, reduction='mean_with_sample_weight')",
            logits);
    }
}

static void apply_softmax(const float *x, float *p)
{
    for (int i = 0; i < SAMPLES; i++) {
        double sum = 0;
        for (int j = 0; j < CLASSES; j++)
            sum += exp(x[i * CLASSES + j]);
        for (int j = 0; j < CLASSES; j++)
            p[i * CLASSES + j] = (float)(exp(x[i * CLASSES + j]) / sum);
    }
}

/* A softmax that remembers its logits gives the loss of the logits, even where the probabilities
 * are rounded to 0 and 1. */
static void test_losses_remembered_logits(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    static const int32_t labels[SAMPLES] = {1, 0, 3, 1, 2};
    float large[SAMPLES * CLASSES], soft[SAMPLES * CLASSES];
    for (int i = 0; i < SAMPLES * CLASSES; i++)
        large[i] = 30 * logits[i];
    apply_softmax(large, soft);
    strata__loss *plain, *of_logits;
    strata__loss_new(ctx, "sparse_categorical_crossentropy", &plain);
    strata__loss_new(ctx, "SparseCategoricalCrossentropy(from_logits=True)", &of_logits);
    strata_scope_begin(ctx);
    strata_tensor *y_true = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(SAMPLES), labels);
    strata_tensor *x = predictions(ctx, large), *y_pred = predictions(ctx, soft);
    double clipped = loss_of(plain, y_true, y_pred, NULL);
    y_pred->logits = strata__tensor_share(x);
    y_pred->logits_function = "softmax";
    double stable = loss_of(plain, y_true, y_pred, NULL);
    assert_all_near(stable, loss_of(of_logits, y_true, x, NULL), 0);
    assert_all(stable > clipped + 1);
    y_pred->logits_function = "sigmoid";
    assert_all_near(loss_of(plain, y_true, y_pred, NULL), clipped, 0);
    strata_scope_end(ctx);
    strata__loss_free(plain);
    strata__loss_free(of_logits);
}

static void test_losses_crossentropy_by_shape(void **state)
{
    static const int32_t labels[SAMPLES] = {1, 0, 3, 1, 2};
    static const float ones[SAMPLES] = {1, 0, 1, 1, 0};
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__loss *loss;
    strata_scope_begin(ctx);
    strata__loss_new(ctx, "crossentropy", &loss);
    loss_of(loss, test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(SAMPLES), labels),
            predictions(ctx, logits), NULL);
    assert_all_ok(ctx);
    assert_all_string_equal(loss->object.class->name, "SparseCategoricalCrossentropy");
    strata__loss_free(loss);
    strata__loss_new(ctx, "ce", &loss);
    loss_of(loss, test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES), ones),
            test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, 1), ones), NULL);
    assert_all_string_equal(loss->object.class->name, "BinaryCrossentropy");
    strata__loss_free(loss);
    strata__loss_new(ctx, "ce", &loss);
    loss_of(loss, predictions(ctx, logits), predictions(ctx, logits), NULL);
    assert_all_string_equal(loss->object.class->name, "CategoricalCrossentropy");
    strata__loss_free(loss);
    strata_scope_end(ctx);
}

/* --- bad input --- */

static void test_losses_label_out_of_range(void **state)
{
    static const int32_t labels[SAMPLES] = {1, 0, 3, 4, 2};
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata__loss *loss;
        strata__loss_new(ctx, "sparse_categorical_crossentropy", &loss);
        strata_scope_begin(ctx);
        strata_tensor *y_true = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(SAMPLES), labels);
        assert_all(strata__loss_call(loss, y_true, predictions(ctx, logits), NULL, NULL) != NULL);
        assert_all_ok(ctx);
        strata__agree(ctx);
        assert_all_error(ctx, STRATA_BAD_DATA,
                         "the label 4 of sample 3 of the batch is not a class number in 0 … 3");
        strata_scope_end(ctx);
        strata__loss_free(loss);
    }
}

static void test_losses_refuse_shapes(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__loss *dense, *sparse;
    strata__loss_new(ctx, "mse", &dense);
    strata__loss_new(ctx, "sparse_categorical_crossentropy", &sparse);
    strata_scope_begin(ctx);
    strata_tensor *y_pred = predictions(ctx, logits);
    strata_tensor *column = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, 1), logits);
    strata_tensor *other = test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, 2), logits);
    assert_all(!strata__loss_call(dense, column, y_pred, NULL, NULL));
    assert_all_error(ctx, STRATA_INVALID, "target.shape=(5, 1), output.shape=(5, 4)");
    assert_all(!strata__loss_call(sparse, other, y_pred, NULL, NULL));
    assert_all_error(ctx, STRATA_INVALID, "up until the last dimension");
    assert_all(!strata__loss_call(dense, y_pred, y_pred, other, NULL));
    assert_all_error(ctx, STRATA_INVALID,
                     "sample_weight of shape (5, 2) does not weigh values of shape (5,)");
    strata_scope_end(ctx);
    strata__loss_free(dense);
    strata__loss_free(sparse);
}

/* --- class weights --- */

static void test_losses_class_weights(void **state)
{
    static const strata__class_weight weights[] = {{0, 2}, {2, 0.5}};
    static const int64_t labels[SAMPLES] = {2, 0, 1, 0, 3};
    static const float expected[SAMPLES] = {0.5f, 2, 1, 2, 1};
    float one_hot[SAMPLES * CLASSES] = {0}, found[SAMPLES];
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    for (int i = 0; i < SAMPLES; i++)
        one_hot[i * CLASSES + labels[i]] = 1;
    strata_tensor *sparse = test_batch_of(ctx, STRATA_INT64, STRATA_SHAPE(SAMPLES, 1), labels);
    strata_tensor_gather(strata__class_sample_weight(sparse, 2, weights), found);
    assert_all_floats_near(found, expected, SAMPLES, 0);
    strata_tensor_gather(strata__class_sample_weight(predictions(ctx, one_hot), 2, weights), found);
    assert_all_floats_near(found, expected, SAMPLES, 0);
    strata_scope_end(ctx);
}

/* A batch smaller than the number of ranks leaves some without a sample; the loss is that of one
 * rank. */
static void test_losses_ranks_without_samples(void **state)
{
    static const int32_t label = 2;
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata__loss *loss;
        strata__loss_new(ctx, "SparseCategoricalCrossentropy(from_logits=True)", &loss);
        strata_scope_begin(ctx);
        strata_tensor *y_pred =
            test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(1, CLASSES), logits);
        double value =
            loss_of(loss, test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(1), &label), y_pred, NULL);
        double sum = 0;
        for (int j = 0; j < CLASSES; j++)
            sum += exp(logits[j]);
        assert_all_near(value, log(sum) - logits[2], 1e-6);
        strata_scope_end(ctx);
        strata__loss_free(loss);
    }
}

/* Predictions that all ranks hold alike are one batch, not one a rank. */
static void test_losses_whole_predictions_count_once(void **state)
{
    static const float truth[] = {0, 0, 0, 0}, prediction[] = {1, 2, 3, 0};
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__loss *loss;
    strata__loss_new(ctx, "mse", &loss);
    strata_scope_begin(ctx);
    strata_tensor *y_true = strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 2), truth);
    strata_tensor *y_pred = strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 2), prediction);
    assert_all_near(loss_of(loss, y_true, y_pred, NULL), 3.5, 1e-6);
    strata_scope_end(ctx);
    strata_tensor_release(y_true);
    strata_tensor_release(y_pred);
    strata__loss_free(loss);
}

/* The feature axis over cols: the same loss, and each column gets the gradient of its own features.
 */
static void test_losses_split_predictions(void **state)
{
    static const int32_t labels[SAMPLES] = {2, 0, 3, 1, 3};
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        float gradients[2][SAMPLES * CLASSES];
        double values[2];
        strata__loss *loss;
        strata__loss_new(ctx, "SparseCategoricalCrossentropy(from_logits=True)", &loss);
        strata_scope_begin(ctx);
        strata_tensor *y_true = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(SAMPLES), labels);
        for (int split = 0; split < 2; split++) {
            strata_tensor *x = predictions(ctx, logits);
            strata_tape_begin(ctx);
            strata_tape_watch(x);
            strata_tensor *part =
                strata__loss_call(loss, y_true, split ? strata__split(x) : x, NULL, &values[split]);
            strata_tape_gradient(ctx, 1, &part, NULL);
            strata_tensor_gather(strata_tensor_gradient(x), gradients[split]);
        }
        assert_all_near(values[1], values[0], 1e-6);
        assert_all_floats_near(gradients[1], gradients[0], SAMPLES * CLASSES, 1e-6);
        strata_scope_end(ctx);
        strata__loss_free(loss);
    }
}

/* Bytes that this rank has exchanged with others of its row of the mesh. */
static int64_t exchanged(const strata_context *ctx)
{
    const strata__traffic *traffic = &ctx->mesh->traffic[STRATA__COLS];
    return traffic->sent + traffic->read;
}

/* A model that ends in a softmax of split features: of each sample the softmax joins two numbers,
 * the loss of its logits three, and the backward pass none. Short sums are read from all others. */
static void test_losses_of_split_logits_gather_nothing(void **state)
{
    enum { MANY = 60 };
    static const int32_t labels[SAMPLES] = {0, 59, 30, 7, 14};
    float x[SAMPLES * MANY];
    (void)state;
    for (int i = 0; i < SAMPLES * MANY; i++)
        x[i] = (float)(i * 37 % 101) / 50;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata__loss *loss;
        strata__loss_new(ctx, "sparse_categorical_crossentropy", &loss);
        strata_scope_begin(ctx);
        strata_tensor *y_true = test_batch_of(ctx, STRATA_INT32, STRATA_SHAPE(SAMPLES), labels);
        strata_tensor *logits_of_all =
            test_batch_of(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, MANY), x);
        strata_tensor *pieces = strata__split(logits_of_all);
        strata_tape_begin(ctx);
        strata_tape_watch(pieces);
        int64_t before = exchanged(ctx);
        strata_tensor *y_pred = strata_ops_activation(pieces, "softmax");
        strata_tensor *part = strata__loss_call(loss, y_true, y_pred, NULL, NULL);
        strata_tape_gradient(ctx, 1, &part, NULL);
        assert_all_ok(ctx);
        int64_t samples = pieces->local.dims[0], others = ctx->mesh->cols - 1;
        assert_all_int_equal(exchanged(ctx) - before, others * samples * 4 * (2 + 3));
        assert_all(strata_tensor_gradient(pieces)->layout.split == (ctx->mesh->cols > 1));
        strata_scope_end(ctx);
        strata__loss_free(loss);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_against_keras),
        cmocka_unit_test(test_losses_strings_of_keras),
        cmocka_unit_test(test_losses_names),
        cmocka_unit_test(test_losses_refuse_names),
        cmocka_unit_test(test_losses_unreduced_is_no_training),
        cmocka_unit_test(test_losses_keep_the_given_name),
        cmocka_unit_test(test_losses_central_differences),
        cmocka_unit_test(test_losses_remembered_logits),
        cmocka_unit_test(test_losses_crossentropy_by_shape),
        cmocka_unit_test(test_losses_label_out_of_range),
        cmocka_unit_test(test_losses_refuse_shapes),
        cmocka_unit_test(test_losses_class_weights),
        cmocka_unit_test(test_losses_ranks_without_samples),
        cmocka_unit_test(test_losses_whole_predictions_count_once),
        cmocka_unit_test(test_losses_split_predictions),
        cmocka_unit_test(test_losses_of_split_logits_gather_nothing),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
