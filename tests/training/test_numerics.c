/* Tests of --check-numerics: the first number that is not finite, its rank, layer, tensor and
 * index. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "runs.h"
#include "tensor/numerics.h"

/* Three steps of eight samples. */
enum { SAMPLES = 24, FEATURES = 6, UNITS = 5, BATCH = 8 };

typedef struct numbers {
    float x[SAMPLES][FEATURES], y[SAMPLES][UNITS];
} numbers;

static strata_context *open_checked(const char *mesh)
{
    strata_context *ctx = strata_init(
        MPI_COMM_WORLD, (strata_options){.mesh = mesh, .verbosity = 1, .check_numerics = true});
    assert_all_ok(ctx);
    return ctx;
}

static strata_dataset *data_of(strata_context *ctx, const numbers *n)
{
    return strata_array_dataset(ctx, .x = {{n->x, STRATA_SHAPE(SAMPLES, FEATURES), STRATA_FLOAT32}},
                                .y = {{n->y, STRATA_SHAPE(SAMPLES, UNITS), STRATA_FLOAT32}});
}

static void fit(strata_model *model, const numbers *n)
{
    strata_fit(model, data_of(strata_model_context(model), n), .batch_size = BATCH,
               .shuffle = "False", .verbose = "0");
}

/* A dense layer from x to y that begins with zeros; `more` puts something behind it. */
static strata_model *network(strata_context *ctx, strata_lambda_function *more, void *user,
                             const char *optimizer)
{
    strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
    strata_tensor *x = strata_dense(input, .units = UNITS, .kernel_initializer = "zeros",
                                    .use_bias = false, .name = "line");
    if (more)
        x = strata_lambda(x, .function = more, .user = user, .name = "more");
    x = strata_batch_normalization(x, .name = "norm");
    strata_model *model = strata_functional(input, x);
    strata_compile(model, .optimizer = optimizer, .loss = "mse");
    return model;
}

/* The lowest rank that has this sample of a batch and this column of `columns` in pieces. */
static int rank_of(const strata_context *ctx, int sample, int column, int columns)
{
    const strata__mesh *mesh = ctx->mesh;
    int64_t block = strata__piece_of(BATCH, mesh->data * mesh->rows, 0).count;
    return (int)(sample / block) * mesh->cols +
           (int)(column / strata__piece_of(columns, mesh->cols, 0).count);
}

/* The error on all ranks is this one, of the rank. */
static void assert_found(strata_context *ctx, int step, int rank, const char *what)
{
    char words[256];
    snprintf(words, sizeof words, "step %d, rank %d%s", step, rank, what);
    assert_all_error(ctx, STRATA_NOT_FINITE, words);
}

/* --- the parts --- */

static void test_every_element_is_looked_at(void **state)
{
    (void)state;
    enum { COUNT = 9000 };
    static float values[COUNT];
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *tensor =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(COUNT), (strata__layout){0});
    bool clean = strata__find_not_finite(tensor, values) == -1, right = true;
    for (int i = 0; i < COUNT; i += 17) {
        values[i] = i % 2 ? INFINITY : -NAN;
        right &= strata__find_not_finite(tensor, values) == i;
        values[i] = i % 2 ? 3e38f : -1e-45f;
    }
    clean &= strata__find_not_finite(tensor, values) == -1;
    strata_scope_end(ctx);
    assert_all(clean);
    assert_all(right);
}

/* --- runs --- */

static void test_clean_run_is_left_alone(void **state)
{
    (void)state;
    static numbers n;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = open_checked(test_mesh(m));
        fit(network(ctx, NULL, NULL, "adam"), &n);
        assert_all_ok(ctx);
        run_close(ctx);
    }
}

static void test_bad_data_is_named_by_sample(void **state)
{
    (void)state;
    static numbers n;
    n.x[21][2] = -INFINITY;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = open_checked(test_mesh(m));
        fit(network(ctx, NULL, NULL, "adam"), &n);
        assert_found(ctx, 3, rank_of(ctx, 5, 0, 1),
                     ": array 0 of the data, sample 21, is -inf at (5, 2)");
        run_close(ctx);
    }
    n.x[21][2] = 0;
}

static void test_bad_targets_are_named_when_shuffled(void **state)
{
    (void)state;
    static numbers n;
    n.y[17][4] = NAN;
    strata_context *ctx = open_checked(NULL);
    strata_model *model = network(ctx, NULL, NULL, "adam");
    strata_fit(model, data_of(ctx, &n), .batch_size = BATCH, .verbose = "0");
    assert_all_error(ctx, STRATA_NOT_FINITE, ": array 1 of the data, sample 17, is nan at (");
    run_close(ctx);
}

/* What comes out of it is infinite at one place, in the second step. */
typedef struct place {
    int sample, feature;
} place;

static strata_tensor *break_at(strata_tensor *x, void *user)
{
    const place *at = user;
    strata_tensor *y = strata_ops_affine(x, 2, 0);
    if (!y || y->symbolic || y->ctx->step != 1)
        return y;
    int64_t row = at->sample - y->first_sample, column = at->feature - y->first_feature;
    int64_t columns = y->local.dims[1];
    if (row >= 0 && row < y->local.dims[0] && column >= 0 && column < columns)
        ((float *)y->data)[row * columns + column] = INFINITY;
    return y;
}

/* The batch normalization behind it makes NaN of it on all ranks; the first one counts. */
static void test_output_of_a_layer_is_named_by_its_place(void **state)
{
    (void)state;
    static numbers n;
    place at = {.sample = 5, .feature = 3};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = open_checked(test_mesh(m));
        fit(network(ctx, break_at, &at, "adam"), &n);
        assert_found(ctx, 2, rank_of(ctx, 5, 0, UNITS),
                     ", layer 'more': output 0 is inf at (5, 3)");
        run_close(ctx);
    }
}

/* exp(100) at one place of a tensor that is split over columns, where there are several. */
static void test_output_of_a_split_layer_is_named_by_its_place(void **state)
{
    (void)state;
    static numbers n;
    n.x[5][3] = 100;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = open_checked(test_mesh(m));
        strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
        strata_tensor *x = strata_dense(input, .units = UNITS, .kernel_initializer = "Identity");
        x = strata_activation(x, .activation = "exponential", .name = "exp");
        strata_model *model = strata_functional(input, x);
        strata_compile(model, .optimizer = "adam", .loss = "mse");
        fit(model, &n);
        assert_found(ctx, 1, rank_of(ctx, 5, 3, UNITS), ", layer 'exp': output 0 is inf at (5, 3)");
        run_close(ctx);
    }
    n.x[5][3] = 0;
}

static strata_tensor *root(strata_tensor *x, void *user)
{
    (void)user;
    return strata_ops_sqrt(x);
}

/* √x at 0, where it is 0 itself but not its slope: the first sample, on the first rank. */
static void test_gradient_is_named_by_op_and_layer(void **state)
{
    (void)state;
    static numbers n;
    for (int i = 0; i < SAMPLES; i++)
        n.y[i][0] = 1;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = open_checked(test_mesh(m));
        strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
        strata_tensor *x = strata_dense(input, .units = UNITS, .kernel_initializer = "zeros");
        x = strata_lambda(x, .function = root, .name = "root");
        strata_model *model = strata_functional(input, x);
        strata_compile(model, .optimizer = "adam", .loss = "mse");
        fit(model, &n);
        assert_found(ctx, 1, 0, ", layer 'root': gradient of input 0 of 'sqrt' is ");
        run_close(ctx);
    }
}

/* Only the element (4, 2) of the kernel has a gradient, which is too large together with its rate.
 */
static void test_update_is_named_by_variable_and_index(void **state)
{
    (void)state;
    static numbers n;
    for (int i = 0; i < SAMPLES; i++) {
        n.x[i][4] = 1;
        n.y[i][2] = 1e4f;
    }
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = open_checked(test_mesh(m));
        strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
        strata_tensor *x = strata_dense(input, .units = UNITS, .kernel_initializer = "zeros",
                                        .use_bias = false, .name = "line");
        strata_model *model = strata_functional(input, x);
        strata_compile(model, .optimizer = "SGD(learning_rate=1e38)", .loss = "mse");
        fit(model, &n);
        const strata__mesh *mesh = ctx->mesh;
        int row = (int)(4 / strata__piece_of(FEATURES, mesh->rows, 0).count);
        int col = (int)(2 / strata__piece_of(UNITS, mesh->cols, 0).count);
        assert_found(ctx, 1, row * mesh->cols + col, ": updated 'line/kernel' is inf at (4, 2)");
        run_close(ctx);
    }
}

/* x is 1e30, so that a loss of 1 gives the kernel a gradient that is too large. */
static void test_gradient_of_a_weight_is_named(void **state)
{
    (void)state;
    static numbers n;
    n.x[0][1] = 1e30f;
    n.y[0][3] = 1e20f;
    strata_context *ctx = open_checked(NULL);
    strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
    strata_tensor *x = strata_dense(input, .units = UNITS, .kernel_initializer = "zeros",
                                    .use_bias = false, .name = "line");
    strata_model *model = strata_functional(input, x);
    strata_compile(model, .optimizer = "sgd", .loss = "mae", .loss_weights = {1e12});
    fit(model, &n);
    assert_found(ctx, 1, 0, ": this rank's gradient of 'line/kernel' is -inf at (1, 3)");
    run_close(ctx);
}

static void test_predictions_are_checked(void **state)
{
    (void)state;
    static numbers n;
    n.x[9][0] = 1e20f;
    strata_context *ctx = open_checked(NULL);
    strata_tensor *input = strata_input(ctx, .shape = {FEATURES});
    strata_model *model = strata_functional(
        input,
        strata_dense(input, .units = 1, .kernel_initializer = "Constant(1e20)", .name = "line"));
    float *outputs = malloc(SAMPLES * sizeof *outputs);
    strata_predict(model, data_of(ctx, &n), &outputs, .batch_size = BATCH);
    free(outputs);
    assert_found(ctx, 1, rank_of(ctx, 1, 0, 1), ", layer 'line': output 0 is inf at (1, 0)");
    run_close(ctx);
}

/* Without the option nothing is looked at. */
static void test_unchecked_run_goes_on(void **state)
{
    (void)state;
    static numbers n;
    n.x[21][2] = NAN;
    strata_context *ctx = run_open(NULL);
    fit(network(ctx, NULL, NULL, "adam"), &n);
    assert_all_ok(ctx);
    run_close(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_element_is_looked_at),
        cmocka_unit_test(test_clean_run_is_left_alone),
        cmocka_unit_test(test_bad_data_is_named_by_sample),
        cmocka_unit_test(test_bad_targets_are_named_when_shuffled),
        cmocka_unit_test(test_output_of_a_layer_is_named_by_its_place),
        cmocka_unit_test(test_output_of_a_split_layer_is_named_by_its_place),
        cmocka_unit_test(test_gradient_is_named_by_op_and_layer),
        cmocka_unit_test(test_update_is_named_by_variable_and_index),
        cmocka_unit_test(test_gradient_of_a_weight_is_named),
        cmocka_unit_test(test_predictions_are_checked),
        cmocka_unit_test(test_unchecked_run_goes_on),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
