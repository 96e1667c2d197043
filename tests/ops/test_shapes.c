/* Shapes, layouts and types against plain loops on every mesh, with their gradients. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "gradient_check.h"
#include "numbers.h"
#include "ops/ops.h"
#include "ops/permute.h"

enum { MOST = 1024 };

static int64_t volume(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

/* A function of tensors with what it should give. */
typedef struct transformation {
    const char *about;
    strata_tensor *(*apply)(strata_tensor *const *inputs);
    int count;
    strata_shape inputs[2], result;
    strata__layout layouts[2];
    /* element of which input stands at `index` of the result */
    int64_t (*source)(const int64_t *index, int *input);
} transformation;

#define BATCH                                                                                      \
    {                                                                                              \
        .batch = true                                                                              \
    }
#define PIECES                                                                                     \
    {                                                                                              \
        .batch = true, .split = true                                                               \
    }

/* Several steps, so that gradients pass through all of them: (5, 3, 4) → (5, 6, 2) → (5, 12). */
static strata_tensor *reshape(strata_tensor *const *inputs)
{
    return strata_ops_reshape(strata_ops_reshape(inputs[0], STRATA_SHAPE(-1, 2)), STRATA_SHAPE(12));
}

static int64_t same_element(const int64_t *index, int *input)
{
    *input = 0;
    return index[0] * 12 + index[1];
}

static strata_tensor *expand(strata_tensor *const *inputs)
{
    return strata__expand_like(inputs[0], 4);
}

static int64_t expanded_element(const int64_t *index, int *input)
{
    *input = 0;
    return index[0] * 7 + index[3];
}

static strata_tensor *transpose(strata_tensor *const *inputs)
{
    return strata__transpose(inputs[0], (const int[]){0, 3, 1, 2});
}

/* (5, 2, 3, 4) → (5, 4, 2, 3) */
static int64_t transposed_element(const int64_t *index, int *input)
{
    *input = 0;
    return ((index[0] * 2 + index[2]) * 3 + index[3]) * 4 + index[1];
}

static strata_tensor *concatenate_middle(strata_tensor *const *inputs)
{
    return strata_ops_concatenate(2, inputs, 1);
}

/* (5, 3, 4) and (5, 2, 4) → (5, 5, 4) */
static int64_t middle_element(const int64_t *index, int *input)
{
    *input = index[1] >= 3;
    return *input ? (index[0] * 2 + index[1] - 3) * 4 + index[2]
                  : (index[0] * 3 + index[1]) * 4 + index[2];
}

static strata_tensor *concatenate_last(strata_tensor *const *inputs)
{
    return strata_ops_concatenate(2, inputs, -1);
}

/* (5, 7) and (5, 2) → (5, 9) */
static int64_t last_element(const int64_t *index, int *input)
{
    *input = index[1] >= 7;
    return *input ? index[0] * 2 + index[1] - 7 : index[0] * 7 + index[1];
}

static strata_tensor *whole_and_split(strata_tensor *const *inputs)
{
    return strata__whole(strata__split(strata__whole(inputs[0])));
}

static int64_t equal_element(const int64_t *index, int *input)
{
    *input = 0;
    return index[0] * 7 + index[1];
}

static strata_tensor *cast_forth_and_back(strata_tensor *const *inputs)
{
    return strata_ops_cast(strata_ops_cast(inputs[0], STRATA_FLOAT64), STRATA_FLOAT32);
}

static const transformation transformations[] = {
    {"reshape", reshape, 1, {{{5, 3, 4}, 3}}, {{5, 12}, 2}, {BATCH}, same_element},
    {"reshape pieces", reshape, 1, {{{5, 3, 4}, 3}}, {{5, 12}, 2}, {PIECES}, same_element},
    {"reshape whole", reshape, 1, {{{5, 3, 4}, 3}}, {{5, 12}, 2}, {{0}}, same_element},
    {"expand", expand, 1, {{{5, 7}, 2}}, {{5, 1, 1, 7}, 4}, {PIECES}, expanded_element},
    {"transpose",
     transpose,
     1,
     {{{5, 2, 3, 4}, 4}},
     {{5, 4, 2, 3}, 4},
     {BATCH},
     transposed_element},
    {"transpose pieces",
     transpose,
     1,
     {{{5, 2, 3, 4}, 4}},
     {{5, 4, 2, 3}, 4},
     {PIECES},
     transposed_element},
    {"concatenate",
     concatenate_middle,
     2,
     {{{5, 3, 4}, 3}, {{5, 2, 4}, 3}},
     {{5, 5, 4}, 3},
     {BATCH, BATCH},
     middle_element},
    {"concatenate features",
     concatenate_last,
     2,
     {{{5, 7}, 2}, {{5, 2}, 2}},
     {{5, 9}, 2},
     {PIECES, BATCH},
     last_element},
    {"whole and split", whole_and_split, 1, {{{5, 7}, 2}}, {{5, 7}, 2}, {PIECES}, equal_element},
    {"cast", cast_forth_and_back, 1, {{{5, 7}, 2}}, {{5, 7}, 2}, {PIECES}, equal_element},
};

static strata_tensor *apply(const void *user, strata_tensor *const *inputs)
{
    return ((const transformation *)user)->apply(inputs);
}

static void check_values(strata_context *ctx, const transformation *t, const test_operand *operands)
{
    double expected[MOST];
    for (int64_t i = 0; i < volume(&t->result); i++) {
        int64_t index[STRATA_MAX_RANK], rest = i;
        int input;
        for (int k = t->result.rank - 1; k >= 0; k--) {
            index[k] = rest % t->result.dims[k];
            rest /= t->result.dims[k];
        }
        int64_t source = t->source(index, &input);
        expected[i] = operands[input].values[source];
    }
    strata_scope_begin(ctx);
    strata_tensor *inputs[2];
    for (int i = 0; i < t->count; i++)
        inputs[i] = test_tensor(ctx, &operands[i]);
    strata_tensor *y = t->apply(inputs);
    assert_all_ok(ctx);
    assert_all(strata__shape_equal(&y->shape, &t->result));
    assert_all_tensor(y, expected, 0);
    strata_scope_end(ctx);
}

static void test_shapes_on_every_mesh(void **state)
{
    (void)state;
    const char *mesh;
    double values[2][MOST];
    test_values(values[0], MOST, 1);
    test_values(values[1], MOST, 2);
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(transformations); k++) {
            const transformation *t = &transformations[k];
            test_operand operands[] = {{t->inputs[0], t->layouts[0], values[0], false},
                                       {t->inputs[1], t->layouts[1], values[1], false}};
            check_values(ctx, t, operands);
            assert_all_gradients(ctx, apply, t, t->count, operands, 1e-4);
        }
    }
}

/* Sizes around those of a tile, all orders of three axes, elements of every size. */
static void test_axes_in_every_order(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const strata_shape shapes[] = {
        {{3, 17, 33}, 3}, {{1, 16, 2}, 3}, {{5, 1, 7}, 3}, {{0, 4, 2}, 3}, {{40, 1, 1}, 3}};
    static unsigned char x[8 * 2048], y[8 * 2048];
    for (size_t i = 0; i < sizeof x; i++)
        x[i] = (unsigned char)(i * 37 + i / 251);
    for (size_t s = 0; s < TEST_COUNT(shapes); s++) {
        for (size_t o = 0; o < TEST_COUNT(orders); o++) {
            for (size_t size = 1; size <= 8; size = size == 1 ? 4 : size * 2) {
                const int *order = orders[o];
                const int64_t *dims = shapes[s].dims;
                strata__permute_axes(x, &shapes[s], order, size, y);
                for (int64_t i = 0; i < volume(&shapes[s]); i++) {
                    int64_t at[3] = {0}, n1 = dims[order[1]], n2 = dims[order[2]];
                    at[order[0]] = i / (n1 * n2);
                    at[order[1]] = i / n2 % n1;
                    at[order[2]] = i % n2;
                    size_t from = (size_t)((at[0] * dims[1] + at[1]) * dims[2] + at[2]);
                    assert_memory_equal(y + (size_t)i * size, x + from * size, size);
                }
            }
        }
    }
}

/* Reshaped features keep the unknown sizes of symbolic tensors. */
static void test_symbolic_shapes(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_shape known = STRATA_SHAPE(STRATA_NONE, 3, 4),
                 unknown = STRATA_SHAPE(STRATA_NONE, STRATA_NONE, 4);
    strata_tensor *x = strata__tensor_symbolic(ctx, STRATA_FLOAT32, &known, (strata__layout)BATCH);
    strata_tensor *u =
        strata__tensor_symbolic(ctx, STRATA_FLOAT32, &unknown, (strata__layout)BATCH);
    strata_tensor *y = strata_ops_reshape(x, STRATA_SHAPE(-1, 6));
    assert_all(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 2, 6)) && y->symbolic);
    y = strata_ops_reshape(u, STRATA_SHAPE(-1, 2));
    assert_all(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, STRATA_NONE, 2)));
    y = strata__transpose(u, (const int[]){0, 2, 1});
    assert_all(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 4, STRATA_NONE)));
    y = strata_ops_concatenate(2, (strata_tensor *[]){x, x}, 2);
    assert_all(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 3, 8)));
    y = strata_ops_concatenate(2, (strata_tensor *[]){u, x}, 1);
    assert_all(strata__shape_equal(&y->shape, &unknown));
    assert_all_ok(ctx);
    strata_scope_end(ctx);
}

static void test_shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    double values[64] = {0};
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch(ctx, &STRATA_SHAPE(2, 3, 4), values);
    strata_tensor *whole = test_parameter(ctx, &STRATA_SHAPE(2, 3, 4), values);
    strata_tensor *other = test_batch(ctx, &STRATA_SHAPE(2, 3, 5), values);
    assert_all(!strata_ops_reshape(x, STRATA_SHAPE(5, 2)));
    assert_all_error(ctx, STRATA_INVALID,
                     "unchanged. Received: input_shape=(2, 3, 4), target_shape=(5, 2)");
    assert_all(!strata_ops_reshape(x, STRATA_SHAPE(-1, 5)));
    assert_all_error(ctx, STRATA_INVALID, "input_shape=(2, 3, 4), target_shape=(-1, 5)");
    assert_all(!strata_ops_reshape(x, STRATA_SHAPE(-1, -1)));
    assert_all_error(ctx, STRATA_INVALID, "must be unchanged");
    assert_all(!strata__transpose(x, (const int[]){1, 0, 2}));
    assert_all_error(ctx, STRATA_UNSUPPORTED, "the batch axis");
    assert_all(!strata_ops_concatenate(2, (strata_tensor *[]){x, other}, 1));
    assert_all_error(ctx, STRATA_INVALID, "matching shapes except for the concatenation axis");
    assert_all(!strata_ops_concatenate(2, (strata_tensor *[]){x, other}, 0));
    assert_all_error(ctx, STRATA_INVALID, "along axis 0");
    assert_all(!strata_ops_concatenate(2, (strata_tensor *[]){x, whole}, 2));
    assert_all_error(ctx, STRATA_INVALID, "one operand is a batch");
    assert_all(!strata_ops_reshape(NULL, STRATA_SHAPE(1)) && !strata__transpose(NULL, NULL));
    strata_scope_end(ctx);
}

/* --- types --- */

static void test_casts_by_value(void **state)
{
    (void)state;
    static const double given[] = {0, 1, -1.75, 2.5, 300, -3e9, 1e20, NAN};
    static const struct {
        strata_dtype dtype;
        double expected[8];
    } rows[] = {
        {STRATA_FLOAT64, {0, 1, -1.75, 2.5, 300, -3e9, (double)1e20f, NAN}},
        {STRATA_INT32, {0, 1, -1, 2, 300, INT32_MIN, INT32_MAX, 0}},
        {STRATA_INT64, {0, 1, -1, 2, 300, -3e9, 0x1p63, 0}},
        {STRATA_UINT8, {0, 1, 0, 2, 255, 0, 255, 0}},
        {STRATA_BOOL, {0, 1, 1, 1, 1, 1, 1, 1}},
    };
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t r = 0; r < TEST_COUNT(rows); r++) {
        strata_scope_begin(ctx);
        strata_tensor *x = test_parameter(ctx, &STRATA_SHAPE(8), given);
        strata_tensor *y = strata_ops_cast(x, rows[r].dtype);
        strata_tensor *back = strata_ops_cast(y, STRATA_FLOAT32);
        assert_all(y->dtype == rows[r].dtype && back->dtype == STRATA_FLOAT32);
        for (int i = 0; i < 8; i++) {
            float ours = ((const float *)back->data)[i], expected = (float)rows[r].expected[i];
            assert_all(ours == expected || (isnan(ours) && isnan(expected)));
        }
        assert_all(strata_ops_cast(y, rows[r].dtype) == y);
        strata_scope_end(ctx);
    }
}

/* Pieces of every type are gathered bit by bit. */
static void test_whole_tensors_of_every_type(void **state)
{
    (void)state;
    double values[35];
    const char *mesh;
    for (int i = 0; i < 35; i++)
        values[i] = i % 3;
    test_operand operand = {STRATA_SHAPE(5, 7), PIECES, values, false};
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (int type = STRATA_FLOAT32; type <= STRATA_UINT8; type++) {
            strata_scope_begin(ctx);
            strata_tensor *x = strata_ops_cast(test_tensor(ctx, &operand), (strata_dtype)type);
            strata_tensor *y = strata__whole(x);
            assert_all(y->dtype == (strata_dtype)type && !y->layout.split);
            assert_all_tensor(strata_ops_cast(strata__split(y), STRATA_FLOAT32), values, 0);
            assert_all_tensor(strata_ops_cast(y, STRATA_FLOAT32), values, 0);
            strata_scope_end(ctx);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_on_every_mesh),
        cmocka_unit_test(test_axes_in_every_order),
        cmocka_unit_test(test_symbolic_shapes),
        cmocka_unit_test(test_shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(test_casts_by_value),
        cmocka_unit_test(test_whole_tensors_of_every_type),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
