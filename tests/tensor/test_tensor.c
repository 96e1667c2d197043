/* Tensors: pieces on every mesh, gathering, views and sharing, scopes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>

#include "base/memory.h"
#include "harness.h"
#include "tensor/tape.h"

/* Element i of every tensor here. */
static float value_of(int64_t i)
{
    return (float)(i % 1000) - 250.5f;
}

static float *values_of(int64_t count)
{
    float *values = calloc((size_t)count + 1, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = value_of(i);
    return values;
}

/* A tensor whose element i is value_of(i), by the global number. */
static strata_tensor *numbered(strata_context *ctx, strata_shape shape, strata__layout layout)
{
    strata_tensor *tensor = strata__tensor_new(ctx, STRATA_FLOAT32, &shape, layout);
    int64_t columns = strata__last(&shape), own = strata__last(&tensor->local);
    bool samples = shape.rank == 1 && layout.batch;
    int64_t rows = samples ? 1 : strata__local_rows(tensor);
    int64_t first = samples ? tensor->first_sample : strata__first_element(tensor);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < own; j++)
            ((float *)tensor->data)[i * own + j] =
                value_of(first + i * columns + tensor->first_feature + j);
    }
    return tensor;
}

static void assert_gathers(strata_context *ctx, strata_shape shape, strata__layout layout)
{
    int64_t count = strata__product(&shape, 0, shape.rank);
    float *expected = values_of(count), *whole = values_of(count);
    memset(whole, 0x7f, (size_t)count * sizeof *whole);
    strata_scope_begin(ctx);
    strata_tensor *tensor = numbered(ctx, shape, layout);
    assert_all_int_equal(strata_tensor_gather(tensor, whole), STRATA_OK);
    assert_all_floats_near(whole, expected, count, 0);
    strata_scope_end(ctx);
    free(expected);
    free(whole);
}

static void test_gather_on_every_mesh_and_layout(void **state)
{
    (void)state;
    const strata_shape shapes[] = {STRATA_SHAPE(7, 5),    STRATA_SHAPE(1, 1),
                                   STRATA_SHAPE(2, 3, 4), STRATA_SHAPE(9, 2, 1, 3),
                                   STRATA_SHAPE(11),      STRATA_SHAPE(0, 3)};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        for (size_t i = 0; i < TEST_COUNT(shapes); i++) {
            assert_gathers(ctx, shapes[i], (strata__layout){0});
            assert_gathers(ctx, shapes[i], (strata__layout){.batch = true});
            if (shapes[i].rank < 2)
                continue;
            assert_gathers(ctx, shapes[i], (strata__layout){.split = true});
            assert_gathers(ctx, shapes[i], (strata__layout){.batch = true, .split = true});
        }
        assert_gathers(ctx, STRATA_SCALAR, (strata__layout){0});
    }
}

static void test_pieces_cover_the_batch_once(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        for (int64_t samples = 0; samples < 10; samples++) {
            strata_scope_begin(ctx);
            strata_tensor *x =
                numbered(ctx, STRATA_SHAPE(samples, 2), (strata__layout){.batch = true});
            int64_t sum = x->local.dims[0];
            strata__sum(ctx, STRATA__BATCH, &sum, 1, STRATA_INT64);
            assert_all_int_equal(sum, samples);
            assert_all(x->local.dims[0] == 0 || x->first_sample + x->local.dims[0] <= samples);
            strata_scope_end(ctx);
        }
    }
}

static void test_batch_from_takes_the_own_samples(void **state)
{
    (void)state;
    const strata_shape shape = STRATA_SHAPE(5, 3);
    int32_t data[15], whole[15];
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        for (int i = 0; i < 15; i++)
            data[i] = i * i;
        strata_tensor *x = strata_tensor_batch_from(ctx, STRATA_INT32, shape, data);
        assert_all_int_equal(strata_tensor_dtype(x), STRATA_INT32);
        strata_tensor_gather(x, whole);
        assert_all(memcmp(whole, data, sizeof data) == 0);
        strata_tensor_release(x);
        x = strata_tensor_from(ctx, STRATA_INT32, shape, data);
        assert_all(memcmp(strata_tensor_data(x), data, sizeof data) == 0);
        strata_tensor_release(x);
    }
}

static void test_strange_shapes_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    const float data[4] = {0};
    assert_all(!strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, -2), data));
    assert_all_error(ctx, STRATA_INVALID, "(2, -2)");
    assert_all(!strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(STRATA_NONE, 2), data));
    assert_all_error(ctx, STRATA_INVALID, "(None, 2)");
    assert_all(!strata_tensor_from(ctx, STRATA_FLOAT32, (strata_shape){.rank = 9}, data));
    assert_all_error(ctx, STRATA_INVALID, "9 axes");
    assert_all(!strata_tensor_batch_from(ctx, STRATA_FLOAT32, STRATA_SCALAR, data));
    assert_all_error(ctx, STRATA_INVALID, "batch");
    assert_all(!strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 2), NULL));
    assert_all_error(ctx, STRATA_INVALID, "no data");
    assert_all(!strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(INT64_MAX / 2, 8), data));
    assert_all_error(ctx, STRATA_INVALID, "too large");
}

static void test_views_share_memory(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_tensor *x = numbered(ctx, STRATA_SHAPE(4, 6), (strata__layout){.batch = true});
    strata_tensor *view = strata__tensor_view(x, &STRATA_SHAPE(4, 2, 3));
    assert_all(view->data == x->data);
    assert_all_int_equal(view->local.dims[0], x->local.dims[0]);
    assert_all_int_equal(view->buffer->references, 2);
    strata_tensor_release(x);
    assert_all_int_equal(view->buffer->references, 1);
    float *expected = values_of(24), whole[24];
    strata_tensor_gather(view, whole);
    assert_all_floats_near(whole, expected, 24, 0);
    free(expected);
    strata_tensor_release(view);
}

static void test_scopes_release_what_is_not_kept(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    int64_t before = ctx->memory.live_blocks;
    strata_scope_begin(ctx);
    strata_tensor *kept = strata_tensor_keep(numbered(ctx, STRATA_SHAPE(3), (strata__layout){0}));
    numbered(ctx, STRATA_SHAPE(3), (strata__layout){0});
    strata_scope_begin(ctx);
    numbered(ctx, STRATA_SHAPE(3), (strata__layout){0});
    strata_tensor *shared =
        strata__tensor_share(numbered(ctx, STRATA_SHAPE(3), (strata__layout){0}));
    strata_scope_end(ctx);
    assert_all_near(((const float *)shared->data)[2], value_of(2), 0);
    strata_tensor_release(shared);
    strata_scope_end(ctx);
    assert_all_near(((const float *)kept->data)[2], value_of(2), 0);
    strata_tensor_keep(kept);
    strata_tensor_release(kept);
    assert_all_near(((const float *)kept->data)[1], value_of(1), 0);
    strata_tensor_release(kept);
    strata_tensor_release(NULL);
    assert_all_int_equal(ctx->memory.live_blocks, before);
}

static void test_tensors_made_in_a_scope_by_the_caller_are_the_callers(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    const float data[2] = {1, 2};
    strata_scope_begin(ctx);
    strata_tensor *x = strata_tensor_from(ctx, STRATA_FLOAT32, STRATA_SHAPE(2), data);
    strata_scope_end(ctx);
    assert_all_near(((const float *)x->data)[1], 2, 0);
    strata_tensor_release(x);
}

static void test_symbolic_tensors_have_no_values(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_tensor *x = strata__tensor_symbolic(ctx, STRATA_FLOAT32, &STRATA_SHAPE(STRATA_NONE, 3),
                                               (strata__layout){.batch = true});
    assert_all(strata_tensor_data(x) == NULL);
    float whole[3];
    strata_tensor_gather(x, whole);
    assert_all_error(ctx, STRATA_INVALID, "symbolic");
    char text[STRATA__SHAPE_TEXT];
    assert_all_string_equal(strata__shape_text(&x->shape, text), "(None, 3)");
    assert_all_string_equal(strata__shape_text(&STRATA_SHAPE(4), text), "(4,)");
    assert_all_string_equal(strata__shape_text(&STRATA_SCALAR, text), "()");
    strata_tensor_release(x);
}

/* Of what a rank has, it can cut what another layout gives it. */
static void test_pieces_of_tensors(void **state)
{
    (void)state;
    const strata__layout layouts[] = {
        {0}, {.batch = true}, {.split = true}, {.batch = true, .split = true}};
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        strata_scope_begin(ctx);
        for (int from = 0; from < 4; from++) {
            for (int to = 0; to < 4; to++) {
                strata_tensor *x = numbered(ctx, STRATA_SHAPE(5, 2, 7), layouts[from]);
                strata_tensor *like = numbered(ctx, STRATA_SHAPE(5, 2, 7), layouts[to]);
                strata_tensor *piece = strata__tensor_piece(x, like);
                bool coarser = layouts[from].batch <= layouts[to].batch &&
                               layouts[from].split <= layouts[to].split;
                assert_all((piece != NULL) == coarser);
                if (piece)
                    assert_all_floats_near(piece->data, like->data, strata__local_count(like), 0);
                strata_tensor_release(piece);
                strata_error_clear(ctx);
            }
        }
        strata_scope_end(ctx);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_on_every_mesh_and_layout),
        cmocka_unit_test(test_pieces_cover_the_batch_once),
        cmocka_unit_test(test_batch_from_takes_the_own_samples),
        cmocka_unit_test(test_strange_shapes_are_refused),
        cmocka_unit_test(test_views_share_memory),
        cmocka_unit_test(test_scopes_release_what_is_not_kept),
        cmocka_unit_test(test_tensors_made_in_a_scope_by_the_caller_are_the_callers),
        cmocka_unit_test(test_symbolic_tensors_have_no_values),
        cmocka_unit_test(test_pieces_of_tensors),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
