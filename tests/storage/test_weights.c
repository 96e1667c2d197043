/* Keras's weight files: what Keras wrote is read, what is written is read back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "storage/weights.h"

static strata__weights *open_golden(strata_context *ctx, const char *name)
{
    strata__weights *weights;
    strata__weights_open(ctx, test_golden(name), &weights);
    assert_all_ok(ctx);
    return weights;
}

static void test_groups_of_a_keras_file(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights *weights = open_golden(ctx, "files/sequential_dense.weights.h5");
    assert_all_int_equal(strata__weights_count(ctx, weights, "layers/dense"), 2);
    assert_all_int_equal(strata__weights_count(ctx, weights, ""), 0);
    assert_all_int_equal(strata__weights_count(ctx, weights, "layers/no_such"), -1);
    assert_all_string_equal(strata__weights_object(weights, 0), "layers/dense");
    assert_all_string_equal(strata__weights_object(weights, 1), "layers/dense_1");
    assert_all_string_equal(strata__weights_object(weights, 2), "optimizer");
    assert_all(strata__weights_object(weights, 3) == NULL);
    strata__weights_close(ctx, weights);
}

static void test_shapes_of_a_keras_file(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights *weights = open_golden(ctx, "files/sequential_dense.weights.h5");
    strata_shape shape;
    strata_dtype dtype;
    strata__weights_info(ctx, weights, "layers/dense", 0, &shape, &dtype);
    assert_all_ok(ctx);
    assert_all_int_equal(shape.rank, 2);
    assert_all_int_equal(shape.dims[0], 5);
    assert_all_int_equal(shape.dims[1], 4);
    assert_all_int_equal(dtype, STRATA_FLOAT32);
    strata__weights_info(ctx, weights, "optimizer", 0, &shape, &dtype);
    assert_all_int_equal(shape.rank, 0);
    strata__weights_info(ctx, weights, "layers/dense", 2, &shape, &dtype);
    assert_all_error(ctx, STRATA_BAD_DATA, "'layers/dense/vars/2' is missing");
    strata__weights_close(ctx, weights);
}

/* Each rank reads its rows only; together they are what one rank reads at once. */
static void test_a_block_is_a_part_of_the_whole(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights *weights = open_golden(ctx, "files/sequential_dense.weights.h5");
    float whole[5][4], block[5][2] = {{0}};
    strata__weights_read(ctx, weights, "layers/dense", 0, NULL, NULL, STRATA_FLOAT32, whole);
    strata__piece rows = strata__piece_of(5, test_ranks(), test_rank());
    strata__weights_read(ctx, weights, "layers/dense", 0, (int64_t[]){rows.first, 1},
                         (int64_t[]){rows.count, 2}, STRATA_FLOAT32, block);
    assert_all_ok(ctx);
    bool equal = true;
    for (int64_t i = 0; i < rows.count; i++)
        equal &= memcmp(block[i], &whole[rows.first + i][1], sizeof block[i]) == 0;
    assert_all(equal);
    strata__weights_close(ctx, weights);
}

static void test_a_block_outside_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights *weights = open_golden(ctx, "files/sequential_dense.weights.h5");
    float out[20];
    strata__weights_read(ctx, weights, "layers/dense", 0, (int64_t[]){1, 0}, (int64_t[]){5, 4},
                         STRATA_FLOAT32, out);
    assert_all_error(ctx, STRATA_INVALID, "reaches out");
    strata__weights_read(ctx, weights, "layers/dense", 0, (int64_t[]){INT64_MAX, 0},
                         (int64_t[]){INT64_MAX, 4}, STRATA_FLOAT32, out);
    assert_all_error(ctx, STRATA_INVALID, "reaches out");
    strata__weights_close(ctx, weights);
}

static void test_half_precision_is_widened(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights *weights = open_golden(ctx, "files/float16.weights.h5");
    strata_shape shape;
    strata_dtype dtype;
    float values[1024] = {0};
    strata__weights_info(ctx, weights, strata__weights_object(weights, 0), 0, &shape, &dtype);
    assert_all_int_equal(dtype, STRATA_FLOAT32);
    strata__weights_read(ctx, weights, strata__weights_object(weights, 0), 0, NULL, NULL, dtype,
                         values);
    assert_all_ok(ctx);
    assert_all(values[0] != 0 && (float)(_Float16)values[0] == values[0]);
    strata__weights_close(ctx, weights);
}

typedef struct variable {
    strata_dtype dtype;
    strata_shape shape;
    const void *data;
} variable;

static const float kernel[2][3] = {{1, -2, 3.5f}, {0.1f, 1e-30f, 7}};
static const double precise = 0.1;
static const int32_t small[] = {-1, 2147483647};
static const int64_t large = INT64_MIN;
static const uint8_t bytes[] = {0, 255, 7};
static const uint8_t flags[] = {1, 0, 1, 1};
static const variable variables[] = {
    {STRATA_FLOAT32, {{2, 3}, 2}, kernel}, {STRATA_FLOAT64, {{0}, 0}, &precise},
    {STRATA_INT32, {{2}, 1}, small},       {STRATA_INT64, {{0}, 0}, &large},
    {STRATA_UINT8, {{3}, 1}, bytes},       {STRATA_BOOL, {{2, 2}, 2}, flags},
    {STRATA_FLOAT32, {{0, 3}, 2}, kernel},
};

static void write_variables(strata_context *ctx, strata__weights_writer *writer)
{
    strata__weights_add(writer, "", "model");
    strata__weights_add(writer, "layers/all", "a name, Größe");
    for (int i = 0; i < (int)TEST_COUNT(variables); i++) {
        const variable *v = &variables[i];
        strata__weights_write(writer, "layers/all", i, v->dtype, v->shape,
                              ctx->mesh->rank == 0 ? v->data : NULL);
    }
}

static void check_variable(strata_context *ctx, const strata__weights *weights, int index)
{
    const variable *v = &variables[index];
    strata_shape shape;
    strata_dtype dtype;
    char out[64] = "";
    strata__weights_info(ctx, weights, "layers/all", index, &shape, &dtype);
    strata__weights_read(ctx, weights, "layers/all", index, NULL, NULL, v->dtype, out);
    assert_all_ok(ctx);
    assert_all_int_equal(dtype, v->dtype);
    assert_all_int_equal(shape.rank, v->shape.rank);
    size_t size = strata_dtype_size(dtype);
    for (int i = 0; i < shape.rank; i++) {
        assert_all_int_equal(shape.dims[i], v->shape.dims[i]);
        size *= (size_t)shape.dims[i];
    }
    assert_all(memcmp(out, v->data, size) == 0);
}

static void test_every_type_comes_back(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights_writer *writer;
    strata__weights *weights;
    strata__weights_create(ctx, test_path("types.weights.h5"), &writer);
    assert_all_ok(ctx);
    write_variables(ctx, writer);
    strata__weights_finish(ctx, writer);
    strata__weights_open(ctx, test_path("types.weights.h5"), &weights);
    assert_all_ok(ctx);
    assert_all_int_equal(strata__weights_count(ctx, weights, "layers/all"), TEST_COUNT(variables));
    for (int i = 0; i < (int)TEST_COUNT(variables); i++)
        check_variable(ctx, weights, i);
    strata__weights_close(ctx, weights);
}

static void test_values_are_converted(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights *weights;
    strata__weights_open(ctx, test_path("types.weights.h5"), &weights);
    assert_all_ok(ctx);
    float real = 0, reals[2];
    bool truth[3] = {0};
    strata__weights_read(ctx, weights, "layers/all", 1, NULL, NULL, STRATA_FLOAT32, &real);
    strata__weights_read(ctx, weights, "layers/all", 2, NULL, NULL, STRATA_FLOAT32, reals);
    strata__weights_read(ctx, weights, "layers/all", 4, NULL, NULL, STRATA_BOOL, truth);
    assert_all_ok(ctx);
    assert_all(real == 0.1f && reals[0] == -1);
    unsigned char raw[3];
    memcpy(raw, truth, sizeof raw);
    assert_all(raw[0] == 0 && raw[1] == 1 && raw[2] == 1);
    strata__weights_close(ctx, weights);
}

/* Nothing is left of a file that was given up, and the one that stood there stands. */
static void test_giving_up_leaves_the_old_file(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights_writer *writer;
    strata__weights *weights;
    strata__weights_create(ctx, test_path("types.weights.h5"), &writer);
    assert_all_ok(ctx);
    strata__weights_add(writer, "layers/other", "other");
    strata__weights_discard(ctx, writer);
    strata__weights_open(ctx, test_path("types.weights.h5"), &weights);
    assert_all_ok(ctx);
    assert_all_int_equal(strata__weights_count(ctx, weights, "layers/other"), -1);
    strata__weights_close(ctx, weights);
}

static void test_a_missing_directory_is_one_error_for_all(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__weights_writer *writer;
    strata__weights *weights;
    strata__weights_create(ctx, test_path("no/such/place.weights.h5"), &writer);
    assert_all_error(ctx, STRATA_IO, "place.weights.h5");
    strata__weights_open(ctx, test_path("no/such/place.weights.h5"), &weights);
    assert_all_error(ctx, STRATA_NO_INPUT, "place.weights.h5");
    strata__weights_open(ctx, test_path(""), &weights);
    assert_all_error(ctx, STRATA_NO_INPUT, "regular file");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_of_a_keras_file),
        cmocka_unit_test(test_shapes_of_a_keras_file),
        cmocka_unit_test(test_a_block_is_a_part_of_the_whole),
        cmocka_unit_test(test_a_block_outside_is_refused),
        cmocka_unit_test(test_half_precision_is_widened),
        cmocka_unit_test(test_every_type_comes_back),
        cmocka_unit_test(test_values_are_converted),
        cmocka_unit_test(test_giving_up_leaves_the_old_file),
        cmocka_unit_test(test_a_missing_directory_is_one_error_for_all),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
