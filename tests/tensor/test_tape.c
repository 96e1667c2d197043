/* The tape: gradients that add up, views that are not overwritten, recordings that end early. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>
#include <strata/ops.h>

#include "base/memory.h"
#include "harness.h"
#include "ops/ops.h"
#include "state/variable.h"

enum { COUNT = 12 };

static const strata_shape shape = STRATA_SHAPE(6, 2);

/* 1, 2, 3, … as a batch of 6 samples, watched. */
static strata_tensor *input(strata_context *ctx)
{
    float values[COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i + 1);
    strata_tensor *whole = strata__tensor_new(ctx, STRATA_FLOAT32, &shape, (strata__layout){0});
    memcpy(whole->data, values, sizeof values);
    strata_tensor *x =
        strata__tensor_new(ctx, STRATA_FLOAT32, &shape, (strata__layout){.batch = true});
    strata_tensor *piece = strata__tensor_piece(whole, x);
    memcpy(x->data, piece->data, (size_t)strata__local_count(x) * sizeof(float));
    strata_tensor_release(piece);
    strata_tape_watch(x);
    return x;
}

/* The gradient of element i is a + b · x_i. */
static void assert_gradient(const strata_tensor *x, float a, float b)
{
    float whole[COUNT], expected[COUNT];
    assert_all(strata_tensor_gradient(x) != NULL);
    strata_tensor_gather(strata_tensor_gradient(x), whole);
    for (int i = 0; i < COUNT; i++)
        expected[i] = a + b * (float)(i + 1);
    assert_all_floats_near(whole, expected, COUNT, 1e-4);
}

static void backward(strata_context *ctx, strata_tensor *y)
{
    strata_tape_gradient(ctx, 1, &y, NULL);
    assert_all_ok(ctx);
}

/* d/dx (x + x + x²): three paths into one gradient, two of them the same tensor that arrived. */
static void test_gradients_of_several_uses_add(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        strata_scope_begin(ctx);
        strata_tensor *x = input(ctx);
        strata_tape_begin(ctx);
        strata_tensor *y = strata_ops_add(strata_ops_add(x, x), strata_ops_square(x));
        backward(ctx, y);
        assert_gradient(x, 2, 2);
        strata_scope_end(ctx);
    }
}

/* The same upstream goes to a and b unchanged; more is added to a's, b's must not see it. */
static void test_shared_gradients_are_not_overwritten(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *a = input(ctx), *b = input(ctx);
    strata_tape_begin(ctx);
    strata_tensor *square = strata_ops_square(a);
    strata_tensor *sum = strata_ops_add(a, b);
    strata_tensor *targets[] = {square, sum};
    strata_tape_gradient(ctx, 2, targets, NULL);
    assert_all_ok(ctx);
    assert_gradient(a, 1, 2);
    assert_gradient(b, 1, 0);
    strata_scope_end(ctx);
}

static void test_upstream_stays_the_callers(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx), *upstream = input(ctx);
    strata_tape_begin(ctx);
    strata_tensor *targets[] = {x, strata_ops_negative(x)};
    strata_tensor *given[] = {upstream, upstream};
    strata_tape_gradient(ctx, 2, targets, given);
    assert_gradient(x, 0, 0);
    float whole[COUNT];
    strata_tensor_gather(upstream, whole);
    assert_all_near(whole[3], 4, 0);
    strata_scope_end(ctx);
}

/* A whole upstream for a batch; one that does not fit is an error. */
static void test_upstream_is_cut_to_the_targets_piece(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_context(test_mesh(m));
        strata_scope_begin(ctx);
        strata_tensor *x = input(ctx);
        strata_tensor *upstream =
            strata__tensor_new(ctx, STRATA_FLOAT32, &shape, (strata__layout){0});
        for (int i = 0; i < COUNT; i++)
            ((float *)upstream->data)[i] = (float)(i + 1);
        strata_tape_begin(ctx);
        strata_tensor *y = strata__split(strata_ops_affine(x, 3, 0));
        strata_tape_gradient(ctx, 1, &y, &upstream);
        assert_all_ok(ctx);
        assert_gradient(x, 0, 3);
        strata_scope_end(ctx);
    }
}

static void test_upstream_of_another_shape_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx);
    strata_tensor *upstream = strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(6, 3),
                                                 (strata__layout){.batch = true});
    strata_tape_begin(ctx);
    strata_tensor *y = strata_ops_square(x);
    strata_tape_gradient(ctx, 1, &y, &upstream);
    assert_all_error(ctx, STRATA_INVALID, "shape (6, 3)");
    strata_scope_end(ctx);
}

static void test_unused_branches_have_no_gradient(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx), *aside = input(ctx);
    strata_tape_begin(ctx);
    strata_tensor *y = strata_ops_square(x);
    strata_ops_exp(aside);
    strata_ops_multiply(y, aside);
    backward(ctx, y);
    assert_gradient(x, 0, 2);
    assert_all(strata_tensor_gradient(aside) == NULL);
    strata_scope_end(ctx);
}

/* Also where the next function works in place: a dense product with a relu. */
static void test_watched_intermediates_keep_their_gradient(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx);
    strata_tape_begin(ctx);
    strata_tensor *middle = strata_ops_activation(x, "relu");
    strata_tape_watch(middle);
    strata_tensor *unwatched = strata_ops_affine(middle, 2, 0);
    backward(ctx, strata_ops_affine(unwatched, 5, 0));
    assert_gradient(middle, 10, 0);
    assert_gradient(x, 10, 0);
    assert_all(strata_tensor_gradient(unwatched) == NULL);
    strata_scope_end(ctx);
}

static void test_a_second_recording_starts_anew(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx);
    for (int i = 0; i < 3; i++) {
        strata_tape_begin(ctx);
        backward(ctx, strata_ops_square(x));
        assert_gradient(x, 0, 2);
    }
    strata_scope_end(ctx);
}

static void test_nothing_is_recorded_while_paused_or_for_constants(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx);
    strata_tensor *constant = strata__tensor_like(x);
    strata_tape_begin(ctx);
    strata__tape *tape = strata__tape_pause(ctx);
    strata_ops_square(x);
    strata__tape_resume(ctx, tape);
    strata_ops_square(constant);
    assert_all(ctx->tape->last == NULL);
    strata__tape_free(ctx);
    strata_scope_end(ctx);
}

static void test_misuse_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_tape_begin(ctx);
    assert_all_error(ctx, STRATA_INVALID, "outside a scope");
    strata_tape_gradient(ctx, 0, NULL, NULL);
    assert_all_error(ctx, STRATA_INVALID, "without a tape");
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_tape_begin(ctx);
    assert_all_error(ctx, STRATA_INVALID, "recording already");
    strata_scope_end(ctx);
    assert_all(ctx->tape == NULL);
}

/* A scope that ends inside the recording, inputs that are released before it ends. */
static void test_recordings_hold_their_tensors(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx);
    strata_tape_begin(ctx);
    strata_scope_begin(ctx);
    strata_tensor *factor = strata_tensor_keep(input(ctx));
    strata_tensor *y =
        strata__tensor_share(strata_ops_multiply(x, strata_ops_affine(factor, 2, 0)));
    strata_scope_end(ctx);
    strata_tensor_release(factor);
    backward(ctx, y);
    assert_gradient(x, 0, 2);
    strata_tensor_release(y);
    strata_scope_end(ctx);
}

typedef struct completed {
    int count;
    strata_variable *last;
} completed;

static void complete(void *user, strata_variable *variable)
{
    completed *c = user;
    c->count++;
    c->last = variable;
}

static strata_variable *variable_of_ones(strata_context *ctx)
{
    strata__variable_spec spec = {.name = "w",
                                  .path = "layer",
                                  .shape = STRATA_SHAPE(2),
                                  .initializer = "ones",
                                  .trainable = true,
                                  .aggregation = STRATA_AGGREGATION_MEAN};
    return strata__variable_new(ctx, &spec);
}

/* Two uses fill one sink: the first overwrites, the second adds, then the variable is complete. */
static void test_sinks_add_and_complete(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *w = variable_of_ones(ctx);
    float sink[2] = {99, 99};
    completed c = {0};
    strata_tensor *value = strata_variable_value(w);
    value->sink = sink;
    strata_scope_begin(ctx);
    strata_tensor *x = input(ctx);
    strata__tape_begin(ctx, complete, &c);
    strata_tensor *y = strata_ops_add(strata_ops_multiply(x, value), value);
    strata__tape_backward(ctx, 1, &y, NULL);
    strata__tape_free(ctx);
    strata__sum(ctx, STRATA__BATCH, sink, 2, STRATA_FLOAT32);
    assert_all_near(sink[0], 1 + 3 + 5 + 7 + 9 + 11 + 6, 1e-4);
    assert_all_near(sink[1], 2 + 4 + 6 + 8 + 10 + 12 + 6, 1e-4);
    assert_all_int_equal(c.count, 1);
    assert_all(c.last == w);
    assert_all(strata_tensor_gradient(value) == NULL);
    value->sink = NULL;
    value->sink_filled = false;
    strata_scope_end(ctx);
    strata__variable_free(w);
}

/* The recording before was given up: the variable must not wait for its nodes. */
static void test_variables_forget_recordings_that_were_given_up(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *w = variable_of_ones(ctx);
    completed c = {0};
    strata_scope_begin(ctx);
    strata_tape_begin(ctx);
    strata_ops_multiply(input(ctx), strata_variable_value(w));
    strata_scope_end(ctx);
    strata_scope_begin(ctx);
    strata__tape_begin(ctx, complete, &c);
    strata_tensor *y = strata_ops_multiply(input(ctx), strata_variable_value(w));
    strata__tape_backward(ctx, 1, &y, NULL);
    assert_all_int_equal(c.count, 1);
    strata__tape_free(ctx);
    strata_scope_end(ctx);
    strata__variable_free(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_of_several_uses_add),
        cmocka_unit_test(test_shared_gradients_are_not_overwritten),
        cmocka_unit_test(test_upstream_stays_the_callers),
        cmocka_unit_test(test_upstream_is_cut_to_the_targets_piece),
        cmocka_unit_test(test_upstream_of_another_shape_is_refused),
        cmocka_unit_test(test_unused_branches_have_no_gradient),
        cmocka_unit_test(test_watched_intermediates_keep_their_gradient),
        cmocka_unit_test(test_a_second_recording_starts_anew),
        cmocka_unit_test(test_nothing_is_recorded_while_paused_or_for_constants),
        cmocka_unit_test(test_misuse_is_refused),
        cmocka_unit_test(test_recordings_hold_their_tensors),
        cmocka_unit_test(test_sinks_add_and_complete),
        cmocka_unit_test(test_variables_forget_recordings_that_were_given_up),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
