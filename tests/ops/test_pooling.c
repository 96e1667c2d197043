/* Pooling against the plain loops of its definition, on every layout of the ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "numbers.h"
#include "ops/ops.h"

typedef struct pooling_case {
    const char *about;
    int rank;
    int64_t batch, channels;
    int64_t in[3], size[3], strides[3];
    const char *padding;
    bool channels_first;
} pooling_case;

static const pooling_case cases[] = {
    {"halves", 2, 5, 16, {6, 8}, {2, 2}, {2, 2}, "valid", false},
    {"overlap and padding", 2, 3, 3, {7, 6}, {3, 2}, {2, 1}, "same", false},
    {"strides beyond the window", 2, 2, 2, {7, 7}, {2, 1}, {3, 2}, "same", false},
    {"channels first", 2, 4, 3, {5, 6}, {3, 3}, {2, 2}, "same", true},
    {"one axis", 1, 6, 5, {9}, {3}, {2}, "same", false},
    {"three axes", 3, 3, 2, {4, 5, 3}, {2, 2, 3}, {2, 1, 1}, "valid", false},
    {"one sample, one channel", 2, 1, 1, {4, 4}, {2, 2}, {1, 1}, "valid", false},
};

typedef struct problem {
    const pooling_case *c;
    strata__window window;
    int64_t in[3], out[3]; /* unused axes have one cell */
    strata_shape x_shape, y_shape;
    double *x, *y, *upstream, *dx;
} problem;

static int64_t volume(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

static strata_shape activations(const pooling_case *c, const int64_t *sizes)
{
    strata_shape shape = {.rank = c->rank + 2, .dims = {c->batch}};
    int first = c->channels_first ? 2 : 1;
    for (int i = 0; i < c->rank; i++)
        shape.dims[first + i] = sizes[i];
    shape.dims[c->channels_first ? 1 : c->rank + 1] = c->channels;
    return shape;
}

/* Many equal values, so that windows have several maxima. */
static void make_ties(double *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = round(x[i] * 2.0) / 2.0;
}

static problem problem_new(strata_context *ctx, const pooling_case *c)
{
    problem p = {.c = c, .window = {.rank = c->rank, .channels_first = c->channels_first}};
    for (int i = 0; i < 3; i++) {
        p.in[i] = i < c->rank ? c->in[i] : 1;
        p.out[i] = p.window.size[i] = p.window.strides[i] = p.window.dilation[i] = 1;
        if (i >= c->rank)
            continue;
        p.window.size[i] = c->size[i];
        p.window.strides[i] = c->strides[i];
        assert_true(strata__window_axis(c->in[i], c->size[i], c->strides[i], 1, c->padding,
                                        &p.out[i], &p.window.before[i], &p.window.after[i]));
    }
    p.x_shape = activations(c, p.in);
    p.y_shape = activations(c, p.out);
    p.x = strata__calloc(ctx, (size_t)volume(&p.x_shape), sizeof(double));
    p.dx = strata__calloc(ctx, (size_t)volume(&p.x_shape), sizeof(double));
    p.y = strata__calloc(ctx, (size_t)volume(&p.y_shape), sizeof(double));
    p.upstream = strata__calloc(ctx, (size_t)volume(&p.y_shape), sizeof(double));
    test_values(p.x, volume(&p.x_shape), 1);
    make_ties(p.x, volume(&p.x_shape));
    test_values(p.upstream, volume(&p.y_shape), 2);
    return p;
}

static void problem_free(strata_context *ctx, problem *p)
{
    strata__free(ctx, p->x);
    strata__free(ctx, p->dx);
    strata__free(ctx, p->y);
    strata__free(ctx, p->upstream);
}

/* --- the oracle --- */

static int64_t element(const problem *p, const int64_t *sizes, int64_t sample, int64_t cell,
                       int64_t channel)
{
    int64_t cells = sizes[0] * sizes[1] * sizes[2], channels = p->c->channels;
    return p->c->channels_first ? (sample * channels + channel) * cells + cell
                                : (sample * cells + cell) * channels + channel;
}

/* Real cells of the window of output cell `out`, in order. */
static int64_t window_cells(const problem *p, int64_t out, int64_t *cells)
{
    const int64_t *n = p->in, *size = p->window.size;
    int64_t at[3] = {out / p->out[2] / p->out[1], out / p->out[2] % p->out[1], out % p->out[2]};
    int64_t first[3], count = 0;
    for (int i = 0; i < 3; i++)
        first[i] = at[i] * p->window.strides[i] - p->window.before[i];
    for (int64_t a = first[0]; a < first[0] + size[0]; a++)
        for (int64_t b = first[1]; b < first[1] + size[1]; b++)
            for (int64_t c = first[2]; c < first[2] + size[2]; c++)
                if (a >= 0 && b >= 0 && c >= 0 && a < n[0] && b < n[1] && c < n[2])
                    cells[count++] = (a * n[1] + b) * n[2] + c;
    return count;
}

static void solve_max(problem *p, int64_t y, const int64_t *x, int64_t count)
{
    int64_t first = x[0];
    for (int64_t i = 1; i < count; i++) {
        if (p->x[x[i]] > p->x[first])
            first = x[i];
    }
    p->y[y] = p->x[first];
    p->dx[first] += p->upstream[y];
}

static void solve_average(problem *p, int64_t y, const int64_t *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        p->y[y] += p->x[x[i]] / (double)count;
        p->dx[x[i]] += p->upstream[y] / (double)count;
    }
}

typedef void solve_window(problem *p, int64_t y, const int64_t *x, int64_t count);

static void solve(problem *p, solve_window *window)
{
    for (int64_t sample = 0; sample < p->c->batch; sample++) {
        for (int64_t out = 0; out < p->out[0] * p->out[1] * p->out[2]; out++) {
            int64_t cells[27], count = window_cells(p, out, cells);
            for (int64_t channel = 0; channel < p->c->channels; channel++) {
                int64_t x[27] = {0};
                for (int64_t i = 0; i < count; i++)
                    x[i] = element(p, p->in, sample, cells[i], channel);
                window(p, element(p, p->out, sample, out, channel), x, count);
            }
        }
    }
}

/* --- tests --- */

typedef strata_tensor *pool(const char *who, strata_tensor *x, const strata__window *window);

static void check(strata_context *ctx, problem *p, pool *function, bool split)
{
    strata_tensor *x = test_batch(ctx, &p->x_shape, p->x);
    strata_tape_begin(ctx);
    strata_tensor *y = function("pool", split ? strata__split(x) : x, &p->window);
    assert_true(y == NULL || y->layout.split == (split && ctx->mesh->cols > 1));
    assert_all_tensor(y, p->y, 1e-6);
    test_backward(y, p->upstream);
    assert_all_gradient(x, p->dx, 1e-6);
}

static void check_all(solve_window *window, pool *function, bool split)
{
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(cases); k++) {
            if (split && cases[k].channels_first)
                continue;
            problem p = problem_new(ctx, &cases[k]);
            solve(&p, window);
            strata_scope_begin(ctx);
            check(ctx, &p, function, split);
            strata_scope_end(ctx);
            problem_free(ctx, &p);
        }
    }
}

static void test_max_pooling_by_definition(void **state)
{
    (void)state;
    check_all(solve_max, strata__max_pooling, false);
}

static void test_average_pooling_by_definition(void **state)
{
    (void)state;
    check_all(solve_average, strata__average_pooling, false);
}

static void test_max_pooling_of_split_channels(void **state)
{
    (void)state;
    check_all(solve_max, strata__max_pooling, true);
}

static void test_average_pooling_of_split_channels(void **state)
{
    (void)state;
    check_all(solve_average, strata__average_pooling, true);
}

static void check_global(strata_context *ctx, const pooling_case *c, bool keepdims)
{
    /* One window over everything. */
    pooling_case whole = *c;
    for (int i = 0; i < c->rank; i++)
        whole.in[i] = whole.size[i] = whole.strides[i] = 3;
    problem p = problem_new(ctx, &whole);
    solve(&p, solve_average);
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch(ctx, &p.x_shape, p.x);
    strata_tape_begin(ctx);
    strata_tensor *y =
        strata__global_average_pooling("mean", x, c->rank, c->channels_first, keepdims);
    assert_true(strata__shape_equal(&y->shape,
                                    keepdims ? &p.y_shape : &STRATA_SHAPE(c->batch, c->channels)));
    assert_all_tensor(y, p.y, 1e-6);
    test_backward(y, p.upstream);
    assert_all_gradient(x, p.dx, 1e-6);
    strata_scope_end(ctx);
    problem_free(ctx, &p);
}

static void test_global_average_pooling_by_definition(void **state)
{
    (void)state;
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(cases); k++) {
            check_global(ctx, &cases[k], false);
            check_global(ctx, &cases[k], true);
        }
    }
}

static void test_pooling_infers_shapes(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata__window window = {
        .rank = 2, .size = {2, 3}, .strides = {2, 3}, .dilation = {1, 1}, .channels_first = true};
    strata_tensor *x =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(STRATA_NONE, 3, 8, STRATA_NONE),
                           (strata__layout){.batch = true});
    strata_tensor *y = strata__max_pooling("pool", x, &window);
    assert_all_ok(ctx);
    assert_true(y->symbolic);
    assert_true(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 3, 4, STRATA_NONE)));
    y = strata__global_average_pooling("mean", x, 2, true, true);
    assert_true(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 3, 1, 1)));
    strata_scope_end(ctx);
}

static void test_pooling_refuses_what_does_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata__window window = {.rank = 2, .size = {3, 3}, .strides = {1, 1}, .dilation = {1, 1}};
    double zeros[16] = {0};
    assert_null(strata__max_pooling("pool", NULL, &window));
    assert_all_ok(ctx);
    assert_null(
        strata__max_pooling("pool", test_batch(ctx, &STRATA_SHAPE(1, 2, 4, 2), zeros), &window));
    assert_all_error(ctx, STRATA_INVALID,
                     "pool: computed output size would be zero or negative: axis 1");
    assert_null(
        strata__average_pooling("pool", test_batch(ctx, &STRATA_SHAPE(1, 8, 2), zeros), &window));
    assert_all_error(ctx, STRATA_INVALID, "expected ndim=4, found ndim=3");
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_max_pooling_by_definition),
        cmocka_unit_test(test_average_pooling_by_definition),
        cmocka_unit_test(test_max_pooling_of_split_channels),
        cmocka_unit_test(test_average_pooling_of_split_channels),
        cmocka_unit_test(test_global_average_pooling_by_definition),
        cmocka_unit_test(test_pooling_infers_shapes),
        cmocka_unit_test(test_pooling_refuses_what_does_not_fit),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
