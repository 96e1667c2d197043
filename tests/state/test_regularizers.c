/* Regularizers: penalty and gradient against Keras, on every mesh and placement. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "golden.h"

typedef struct place {
    strata_context *ctx;
    strata__placement placement;
} place;

/* The local gradient summed over the replicas and collected over the grid. */
static float *total_gradient(strata_variable *variable)
{
    strata_context *ctx = variable->ctx;
    float *whole = calloc((size_t)element_count(&variable->shape) + 1, sizeof *whole);
    float *own = strata__alloc(ctx, (size_t)variable->count * sizeof *own);
    const strata_tensor *gradient = strata_tensor_gradient(variable->value);
    memcpy(own, gradient->data, (size_t)variable->count * sizeof *own);
    strata__sum(ctx, variable->replicas, own, variable->count, STRATA_FLOAT32);
    strata__variable_collect(variable, own, whole);
    strata__free(ctx, own);
    return whole;
}

/* Σ penalty · upstream and its gradient agree with Keras. */
static bool penalty_agrees(strata_variable *variable, const golden *group, const char *name)
{
    strata_context *ctx = variable->ctx;
    golden_array x, y, upstream, gradient;
    bool stored = golden_read(group, "inputs/x", &x) & golden_read(group, "outputs/y", &y) &
                  golden_read(group, "upstream/y", &upstream) &
                  golden_read(group, "gradients/inputs/x", &gradient);
    assert_true(stored);
    float *values = golden_convert(&x, STRATA_FLOAT32), factor = (float)upstream.values[0];
    strata_cross_assign(variable, values);
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_tensor *penalty = strata__variable_regularization(variable);
    assert_all_ok(ctx);
    strata_tensor *seed =
        strata__tensor_borrow(ctx, STRATA_FLOAT32, &STRATA_SCALAR, (strata__layout){0}, &factor);
    bool agrees = golden_agrees(&y, STRATA_FLOAT32, penalty->data, 1, 1, name);
    strata_tape_gradient(ctx, 1, &penalty, &seed);
    assert_all_ok(ctx);
    float *total = total_gradient(variable);
    agrees = golden_agrees(&gradient, STRATA_FLOAT32, total, gradient.count, 1, name) && agrees;
    strata_scope_end(ctx);
    free(total);
    free(values);
    golden_free(&x);
    golden_free(&y);
    golden_free(&upstream);
    golden_free(&gradient);
    return agrees;
}

static golden_verdict run_values(const place *place, const golden *group, const char *name)
{
    golden_array x;
    assert_true(golden_read(group, "inputs/x", &x));
    strata_shape shape = x.shape;
    golden_free(&x);
    strata__placement placements[3];
    if ((int)place->placement >= placements_of(shape.rank, placements))
        return GOLDEN_PASSED;
    char *text = golden_text(group, NULL, "config");
    strata_variable *variable =
        WEIGHT(place->ctx, .shape = shape, .regularizer = text, .placement = place->placement);
    assert_all_ok(place->ctx);
    bool agrees = penalty_agrees(variable, group, name);
    strata__variable_free(variable);
    free(text);
    return agrees ? GOLDEN_PASSED : GOLDEN_FAILED;
}

/* Keras 3 refuses "l1_l2", which tf.keras writes; Strata takes it. */
static golden_verdict run_name(strata_context *ctx, const golden *group)
{
    char *given = golden_text(group, NULL, "given");
    json_t *expected = golden_json(group, NULL, "config");
    strata__object object;
    parse_object(ctx, &strata__regularizer_family, given, &object);
    json_t *ours = strata__object_to_json(ctx, &object);
    bool equal = expected ? golden_json_equal(ours, expected) : strcmp(given, "l1_l2") == 0;
    json_decref(ours);
    json_decref(expected);
    strata__object_free(ctx, &object);
    free(given);
    return equal ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static golden_verdict run_case(void *user, const golden *group, const char *name)
{
    const place *place = user;
    if (golden_has_attribute(group, NULL, "given"))
        return run_name(place->ctx, group);
    return run_values(place, group, name);
}

static void test_regularizers_against_keras_on_every_mesh(void **state)
{
    (void)state;
    golden_tally tally = {0};
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        for (int p = STRATA__WHOLE; p <= STRATA__MATRIX; p++)
            assert_all(golden_run("layers/regularizers.h5", run_case,
                                  &(place){ctx, (strata__placement)p}, &tally));
    }
    golden_print("regularizers", &tally);
    assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
    assert_all(tally.count[GOLDEN_PASSED] >= 3 * 30);
}

/* reg(x) / batch size over all samples, and its gradient, for a batch that does not divide. */
static void test_activity_penalty_counts_every_sample_once(void **state)
{
    (void)state;
    enum { SAMPLES = 5, FEATURES = 3 };
    float x[SAMPLES * FEATURES];
    double expected = 0;
    for (int i = 0; i < SAMPLES * FEATURES; i++) {
        x[i] = (float)(i - 7) / 4;
        expected += 0.5 * (double)x[i] * x[i] / SAMPLES;
    }
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        strata__object regularizer;
        parse_object(ctx, &strata__regularizer_family, "L2(0.5)", &regularizer);
        strata_scope_begin(ctx);
        strata_tape_begin(ctx);
        strata_tensor *batch =
            strata_tensor_batch_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(SAMPLES, FEATURES), x);
        strata_tape_watch(batch);
        strata_tensor *penalty = strata__activity_penalty(&regularizer, batch);
        assert_all_ok(ctx);
        double sum = 0, worst = 0;
        for (int64_t i = 0; i < strata__local_count(penalty); i++)
            sum += ((const float *)penalty->data)[i];
        strata__sum(ctx, STRATA__BATCH, &sum, 1, STRATA_FLOAT64);
        assert_all_near(sum, expected, 1e-6);
        strata_tape_gradient(ctx, 1, &penalty, NULL);
        for (int64_t i = 0; i < strata__local_count(batch); i++) {
            double gradient = ((const float *)strata_tensor_gradient(batch)->data)[i];
            double off = gradient - ((const float *)batch->data)[i] / SAMPLES;
            worst = off * off > worst ? off * off : worst;
        }
        assert_all_near(worst, 0, 1e-12);
        strata_scope_end(ctx);
        strata_tensor_release(batch);
        strata__object_free(ctx, &regularizer);
    }
}

static void test_wrong_regularizers_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    static const struct {
        const char *text, *words;
        strata_shape shape;
        strata_dtype dtype;
    } wrong[] = {
        {"L1(-0.5)", "l1", {{2}, 1}, STRATA_FLOAT32},
        {"OrthogonalRegularizer(mode='diagonal')", "rows, columns", {{2, 2}, 2}, STRATA_FLOAT32},
        {"OrthogonalRegularizer",
         "must have rank 2. Received: inputs.shape=(2, 2, 2)",
         {{2, 2, 2}, 3},
         STRATA_FLOAT32},
        {"l3", "regularizer", {{2}, 1}, STRATA_FLOAT32},
        {"L1", "float32", {{2}, 1}, STRATA_INT32},
    };
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_all(strata__variable_new(
                       ctx, &(strata__variable_spec){.name = "w",
                                                     .shape = wrong[i].shape,
                                                     .dtype = wrong[i].dtype,
                                                     .regularizer = wrong[i].text}) == NULL);
        assert_all_error(ctx, STRATA_INVALID, wrong[i].words);
    }
}

/* The base class adds nothing, and a matrix with one row has no pairs. */
static void test_neutral_regularizers(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    static const char *const neutral[] = {"Regularizer", "L1L2", "OrthogonalRegularizer"};
    for (size_t i = 0; i < TEST_COUNT(neutral); i++) {
        strata_variable *variable = WEIGHT(ctx, .shape = STRATA_SHAPE(1, 3), .initializer = "ones",
                                           .regularizer = neutral[i]);
        strata_scope_begin(ctx);
        strata_tensor *penalty = strata__variable_regularization(variable);
        assert_all_ok(ctx);
        assert_all_near(((const float *)penalty->data)[0], 0, 0);
        strata_scope_end(ctx);
        strata__variable_free(variable);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regularizers_against_keras_on_every_mesh),
        cmocka_unit_test(test_activity_penalty_counts_every_sample_once),
        cmocka_unit_test(test_wrong_regularizers_are_refused),
        cmocka_unit_test(test_neutral_regularizers),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
