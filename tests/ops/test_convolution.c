/* Convolution against the plain loops of its definition, on every layout of the ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "numbers.h"
#include "ops/ops.h"

enum { CHANNELS_FIRST = 1, RELU = 2, NO_BIAS = 4 };

typedef struct convolution_case {
    const char *about;
    int rank;
    int64_t batch, channels, filters, groups;
    int64_t in[3], size[3], strides[3], dilation[3];
    const char *padding;
    int options; /* CHANNELS_FIRST | RELU | NO_BIAS */
} convolution_case;

static const convolution_case cases[] = {
    {"one channel, same, relu", 2, 5, 1, 8, 1, {6, 7}, {3, 3}, {1, 1}, {1, 1}, "same", RELU},
    {"vectors of channels", 2, 3, 16, 32, 1, {5, 5}, {3, 3}, {1, 1}, {1, 1}, "same", 0},
    {"valid, strides", 2, 4, 3, 5, 1, {9, 8}, {3, 2}, {2, 3}, {1, 1}, "valid", 0},
    {"dilation", 2, 2, 2, 3, 1, {9, 9}, {3, 2}, {1, 1}, {2, 3}, "valid", NO_BIAS},
    {"even kernel pads more behind", 2, 3, 2, 2, 1, {5, 4}, {4, 2}, {2, 1}, {1, 1}, "same", 0},
    {"groups", 2, 4, 6, 9, 3, {5, 4}, {2, 2}, {1, 1}, {1, 1}, "same", RELU},
    {"groups of vectors", 2, 2, 32, 32, 2, {4, 4}, {3, 3}, {1, 1}, {1, 1}, "valid", 0},
    {"channels first", 2, 3, 4, 5, 1, {6, 5}, {3, 3}, {1, 2}, {1, 1}, "same", CHANNELS_FIRST},
    {"one axis, causal", 1, 6, 3, 4, 1, {9}, {3}, {1}, {2}, "causal", RELU},
    {"three axes", 3, 3, 2, 4, 1, {4, 5, 3}, {2, 3, 2}, {1, 2, 1}, {1, 1, 1}, "same", 0},
    {"fewer samples than ranks", 2, 1, 3, 2, 1, {4, 4}, {2, 2}, {1, 1}, {1, 1}, "valid", 0},
};

/* Operands and results as every rank knows them: whole. */
typedef struct problem {
    const convolution_case *c;
    strata__window window;
    int64_t in[3], out[3]; /* unused axes have one cell */
    strata_shape x_shape, kernel_shape, y_shape;
    double *x, *kernel, *bias, *y, *upstream, *dx, *dkernel, *dbias;
    double *dz; /* upstream before the activation */
} problem;

static int64_t volume(const strata_shape *shape)
{
    return strata__product(shape, 0, shape->rank);
}

static strata_shape activations(const problem *p, const int64_t *sizes, int64_t channels)
{
    strata_shape shape = {.rank = p->c->rank + 2, .dims = {p->c->batch}};
    int first = (p->c->options & CHANNELS_FIRST) ? 2 : 1;
    for (int i = 0; i < p->c->rank; i++)
        shape.dims[first + i] = sizes[i];
    shape.dims[(p->c->options & CHANNELS_FIRST) ? 1 : p->c->rank + 1] = channels;
    return shape;
}

static void set_window(problem *p)
{
    const convolution_case *c = p->c;
    p->window.rank = c->rank;
    p->window.channels_first = (c->options & CHANNELS_FIRST) != 0;
    for (int i = 0; i < 3; i++) {
        bool used = i < c->rank;
        p->in[i] = p->out[i] = 1;
        p->window.size[i] = used ? c->size[i] : 1;
        p->window.strides[i] = used ? c->strides[i] : 1;
        p->window.dilation[i] = used ? c->dilation[i] : 1;
        if (!used)
            continue;
        p->in[i] = c->in[i];
        assert_true(strata__window_axis(c->in[i], c->size[i], c->strides[i], c->dilation[i],
                                        c->padding, &p->out[i], &p->window.before[i],
                                        &p->window.after[i]));
    }
}

static double *numbers(strata_context *ctx, const strata_shape *shape, unsigned seed)
{
    double *values = strata__calloc(ctx, (size_t)volume(shape), sizeof *values);
    if (seed)
        test_values(values, volume(shape), seed);
    return values;
}

static problem problem_new(strata_context *ctx, const convolution_case *c)
{
    problem p = {.c = c};
    set_window(&p);
    p.x_shape = activations(&p, p.in, c->channels);
    p.y_shape = activations(&p, p.out, c->filters);
    p.kernel_shape.rank = c->rank + 2;
    memcpy(p.kernel_shape.dims, c->size, (size_t)c->rank * sizeof *c->size);
    p.kernel_shape.dims[c->rank] = c->channels / c->groups;
    p.kernel_shape.dims[c->rank + 1] = c->filters;
    p.x = numbers(ctx, &p.x_shape, 1);
    p.kernel = numbers(ctx, &p.kernel_shape, 2);
    p.bias = numbers(ctx, &STRATA_SHAPE(c->filters), (c->options & NO_BIAS) ? 0 : 3);
    p.upstream = numbers(ctx, &p.y_shape, 4);
    p.dz = numbers(ctx, &p.y_shape, 4);
    p.y = numbers(ctx, &p.y_shape, 0);
    p.dx = numbers(ctx, &p.x_shape, 0);
    p.dkernel = numbers(ctx, &p.kernel_shape, 0);
    p.dbias = numbers(ctx, &STRATA_SHAPE(c->filters), 0);
    return p;
}

static void problem_free(strata_context *ctx, problem *p)
{
    double *arrays[] = {p->x,  p->kernel,  p->bias,  p->y, p->upstream,
                        p->dx, p->dkernel, p->dbias, p->dz};
    for (size_t i = 0; i < TEST_COUNT(arrays); i++)
        strata__free(ctx, arrays[i]);
}

/* --- the oracle --- */

static int64_t element(const problem *p, const int64_t *sizes, int64_t channels, int64_t sample,
                       const int64_t *at, int64_t channel)
{
    int64_t cells = sizes[0] * sizes[1] * sizes[2];
    int64_t cell = (at[0] * sizes[1] + at[1]) * sizes[2] + at[2];
    return (p->c->options & CHANNELS_FIRST) ? (sample * channels + channel) * cells + cell
                                            : (sample * cells + cell) * channels + channel;
}

typedef void visit_product(problem *p, int64_t x, int64_t kernel, int64_t y);

/* Products of one output cell and filter; false where the tap falls into the padding. */
static bool tap_cell(const problem *p, const int64_t *out, const int64_t *tap, int64_t *at)
{
    for (int i = 0; i < 3; i++) {
        at[i] =
            out[i] * p->window.strides[i] + tap[i] * p->window.dilation[i] - p->window.before[i];
        if (at[i] < 0 || at[i] >= p->in[i])
            return false;
    }
    return true;
}

static void next_cell(const int64_t *sizes, int64_t index, int64_t *at)
{
    at[2] = index % sizes[2];
    at[1] = index / sizes[2] % sizes[1];
    at[0] = index / sizes[2] / sizes[1];
}

static void visit_filter(problem *p, int64_t sample, const int64_t *out, int64_t filter,
                         visit_product *visit)
{
    const convolution_case *c = p->c;
    int64_t channels = c->channels / c->groups, group = filter / (c->filters / c->groups);
    int64_t taps = p->window.size[0] * p->window.size[1] * p->window.size[2];
    int64_t y = element(p, p->out, c->filters, sample, out, filter);
    for (int64_t t = 0; t < taps; t++) {
        int64_t tap[3], at[3];
        next_cell(p->window.size, t, tap);
        if (!tap_cell(p, out, tap, at))
            continue;
        for (int64_t k = 0; k < channels; k++)
            visit(p, element(p, p->in, c->channels, sample, at, group * channels + k),
                  (t * channels + k) * c->filters + filter, y);
    }
}

static void visit_all(problem *p, visit_product *visit)
{
    for (int64_t sample = 0; sample < p->c->batch; sample++) {
        for (int64_t o = 0; o < p->out[0] * p->out[1] * p->out[2]; o++) {
            int64_t out[3];
            next_cell(p->out, o, out);
            for (int64_t filter = 0; filter < p->c->filters; filter++)
                visit_filter(p, sample, out, filter, visit);
        }
    }
}

static void add_product(problem *p, int64_t x, int64_t kernel, int64_t y)
{
    p->y[y] += p->x[x] * p->kernel[kernel];
}

static void add_gradients(problem *p, int64_t x, int64_t kernel, int64_t y)
{
    p->dx[x] += p->dz[y] * p->kernel[kernel];
    p->dkernel[kernel] += p->dz[y] * p->x[x];
}

static int64_t filter_of(const problem *p, int64_t y)
{
    int64_t cells = p->out[0] * p->out[1] * p->out[2];
    return (p->c->options & CHANNELS_FIRST) ? y / cells % p->c->filters : y % p->c->filters;
}

/* The relu cuts the upstream gradient before it goes back. */
static void solve(problem *p)
{
    visit_all(p, add_product);
    for (int64_t i = 0; i < volume(&p->y_shape); i++) {
        p->y[i] += p->bias[filter_of(p, i)];
        if ((p->c->options & RELU) && p->y[i] <= 0.0)
            p->y[i] = p->dz[i] = 0.0;
        p->dbias[filter_of(p, i)] += p->dz[i];
    }
    visit_all(p, add_gradients);
}

/* --- tests --- */

static void test_windows_end_where_keras_ends_them(void **state)
{
    (void)state;
    static const struct {
        int64_t n, size, stride, dilation;
        const char *padding;
        int64_t out, before, after;
    } axes[] = {
        {7, 3, 1, 1, "valid", 5, 0, 0},  {7, 3, 2, 1, "valid", 3, 0, 0},
        {8, 3, 2, 1, "valid", 3, 0, 0},  {7, 3, 1, 1, "same", 7, 1, 1},
        {7, 4, 1, 1, "same", 7, 1, 2},   {7, 2, 3, 1, "SAME", 3, 0, 1},
        {9, 1, 3, 1, "same", 3, 0, 0},   {7, 3, 1, 2, "same", 7, 2, 2},
        {7, 3, 1, 3, "valid", 1, 0, 0},  {7, 3, 1, 2, "causal", 7, 4, 0},
        {7, 3, 2, 1, "causal", 4, 2, 0},
    };
    for (size_t i = 0; i < TEST_COUNT(axes); i++) {
        int64_t out, before, after;
        assert_true(strata__window_axis(axes[i].n, axes[i].size, axes[i].stride, axes[i].dilation,
                                        axes[i].padding, &out, &before, &after));
        assert_int_equal(out, axes[i].out);
        assert_int_equal(before, axes[i].before);
        assert_int_equal(after, axes[i].after);
    }
    int64_t out, before, after;
    assert_false(strata__window_axis(4, 5, 1, 1, "valid", &out, &before, &after));
    assert_false(strata__window_axis(4, 3, 1, 2, "valid", &out, &before, &after));
}

static strata_tensor *convolve(problem *p, strata_tensor *x, strata_tensor *kernel,
                               strata_tensor *bias)
{
    strata__object activation;
    strata__object_parse(x->ctx, &strata__activation_family, (p->c->options & RELU) ? "relu" : NULL,
                         &activation);
    strata_tensor *y =
        strata__convolution("conv", x, kernel, (p->c->options & NO_BIAS) ? NULL : bias, &p->window,
                            p->c->groups, &activation);
    strata__object_free(x->ctx, &activation);
    return y;
}

static void check_whole_kernel(strata_context *ctx, problem *p)
{
    strata_tensor *x = test_batch(ctx, &p->x_shape, p->x);
    strata_tensor *kernel = test_parameter(ctx, &p->kernel_shape, p->kernel);
    strata_tensor *bias = test_parameter(ctx, &STRATA_SHAPE(p->c->filters), p->bias);
    strata_tape_begin(ctx);
    strata_tensor *y = convolve(p, x, kernel, bias);
    assert_all_tensor(y, p->y, 1e-5);
    test_backward(y, p->upstream);
    assert_all_gradient(x, p->dx, 1e-5);
    assert_all_gradient(kernel, p->dkernel, 4e-5);
    if (!(p->c->options & NO_BIAS))
        assert_all_gradient(bias, p->dbias, 4e-5);
}

typedef void check_problem(strata_context *ctx, problem *p);

static void check_on_all_meshes(check_problem *check, bool sharded)
{
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(cases); k++) {
            if (sharded && cases[k].groups > 1)
                continue;
            problem p = problem_new(ctx, &cases[k]);
            solve(&p);
            strata_scope_begin(ctx);
            check(ctx, &p);
            strata_scope_end(ctx);
            problem_free(ctx, &p);
        }
    }
}

static void test_convolution_by_definition(void **state)
{
    (void)state;
    check_on_all_meshes(check_whole_kernel, false);
}

/* Rows of the kernel's matrix over `rows`, filters over `cols`. */
typedef struct shards {
    strata__matrix matrix;
    strata_tensor *kernel, *bias;
    float *dkernel; /* (local_m, local_n) */
    float *expected;
} shards;

static void cut_kernel(const problem *p, const strata__matrix *m, const double *whole, float *piece)
{
    for (int64_t i = 0; i < m->local_m; i++) {
        for (int64_t j = 0; j < m->local_n; j++)
            piece[i * m->local_n + j] =
                (float)whole[(m->first_m + i) * p->c->filters + m->first_n + j];
    }
}

static shards shards_new(strata_context *ctx, const problem *p)
{
    shards s = {0};
    int64_t filters = p->c->filters, rows = volume(&p->kernel_shape) / filters;
    strata__matrix_describe(ctx, "kernel", rows, filters, 0, 0, &s.matrix);
    assert_all_ok(ctx);
    s.kernel = test_parameter(ctx, &p->kernel_shape, p->kernel);
    cut_kernel(p, &s.matrix, p->kernel, s.kernel->data);
    s.bias = strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(filters),
                                (strata__layout){.split = true});
    for (int64_t j = 0; j < s.matrix.local_n; j++)
        ((float *)s.bias->data)[j] = (float)p->bias[s.matrix.first_n + j];
    strata_tape_watch(s.bias);
    size_t bytes = (size_t)(s.matrix.local_m * s.matrix.local_n) * sizeof(float);
    s.dkernel = strata__alloc(ctx, bytes);
    s.expected = strata__alloc(ctx, bytes);
    s.kernel->sink = s.dkernel;
    return s;
}

/* Sums over rows are in already; those over data are the arenas'. */
static void check_shard_gradients(strata_context *ctx, const problem *p, const shards *s)
{
    int64_t count = s->matrix.local_m * s->matrix.local_n;
    cut_kernel(p, &s->matrix, p->dkernel, s->expected);
    strata__sum(ctx, STRATA__DATA, s->dkernel, count, STRATA_FLOAT32);
    assert_all_floats_near(s->dkernel, s->expected, count, 4e-5);
    if (p->c->options & NO_BIAS)
        return;
    float *dbias = s->bias->gradient->data;
    strata__sum(ctx, STRATA__BATCH, dbias, s->matrix.local_n, STRATA_FLOAT32);
    for (int64_t j = 0; j < s->matrix.local_n; j++)
        s->expected[j] = (float)p->dbias[s->matrix.first_n + j];
    assert_all_floats_near(dbias, s->expected, s->matrix.local_m > 0 ? s->matrix.local_n : 0, 4e-5);
}

static void check_sharded_kernel(strata_context *ctx, problem *p)
{
    shards s = shards_new(ctx, p);
    s.kernel->matrix = &s.matrix;
    strata_tensor *x = test_batch(ctx, &p->x_shape, p->x);
    strata_tape_begin(ctx);
    strata_tensor *y = convolve(p, x, s.kernel, s.bias);
    assert_all_tensor(y, p->y, 1e-5);
    test_backward(y, p->upstream);
    assert_all_gradient(x, p->dx, 1e-5);
    check_shard_gradients(ctx, p, &s);
    strata__free(ctx, s.dkernel);
    strata__free(ctx, s.expected);
}

static void test_convolution_sharded_by_filters(void **state)
{
    (void)state;
    check_on_all_meshes(check_sharded_kernel, true);
}

/* A kernel that is used twice: the second gradient is added to the first. */
static void test_convolution_gradients_add_up(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    problem p = problem_new(ctx, &cases[1]);
    solve(&p);
    strata_scope_begin(ctx);
    strata_tensor *x = test_batch(ctx, &p.x_shape, p.x);
    strata_tensor *kernel = test_parameter(ctx, &p.kernel_shape, p.kernel);
    strata_tensor *bias = test_parameter(ctx, &STRATA_SHAPE(p.c->filters), p.bias);
    strata_tape_begin(ctx);
    strata_tensor *first = convolve(&p, x, kernel, bias), *second = convolve(&p, x, kernel, bias);
    test_backward(strata_ops_add(first, second), p.upstream);
    double *doubled[] = {p.dx, p.dkernel, p.dbias};
    int64_t counts[] = {volume(&p.x_shape), volume(&p.kernel_shape), p.c->filters};
    for (int i = 0; i < 3; i++) {
        for (int64_t j = 0; j < counts[i]; j++)
            doubled[i][j] *= 2.0;
    }
    assert_all_gradient(x, p.dx, 2e-5);
    assert_all_gradient(kernel, p.dkernel, 8e-5);
    assert_all_gradient(bias, p.dbias, 8e-5);
    strata_scope_end(ctx);
    problem_free(ctx, &p);
}

/* (k…, c, m) is the convolution with c groups whose filter c·m + j belongs to channel c. */
static void test_depthwise_convolution_by_definition(void **state)
{
    (void)state;
    static const convolution_case depthwise[] = {
        {"multiplier 1", 2, 4, 16, 16, 16, {5, 6}, {3, 3}, {1, 1}, {1, 1}, "same", RELU},
        {"multiplier 3", 2, 3, 5, 15, 5, {5, 5}, {2, 3}, {2, 2}, {1, 1}, "valid", 0},
        {"channels first", 1, 3, 4, 8, 4, {7}, {3}, {1}, {2}, "same", CHANNELS_FIRST},
    };
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t k = 0; k < TEST_COUNT(depthwise); k++) {
        const convolution_case *c = &depthwise[k];
        problem p = problem_new(ctx, c);
        solve(&p);
        strata_shape shape = p.kernel_shape;
        shape.dims[c->rank] = c->channels;
        shape.dims[c->rank + 1] = c->filters / c->channels;
        strata_scope_begin(ctx);
        strata_tensor *x = test_batch(ctx, &p.x_shape, p.x);
        strata_tensor *kernel = test_parameter(ctx, &shape, p.kernel);
        strata_tensor *bias = test_parameter(ctx, &STRATA_SHAPE(c->filters), p.bias);
        strata_tape_begin(ctx);
        strata__object relu;
        strata__object_parse(ctx, &strata__activation_family, (c->options & RELU) ? "relu" : NULL,
                             &relu);
        strata_tensor *y = strata__depthwise_convolution("conv", x, kernel, bias, &p.window, &relu);
        strata__object_free(ctx, &relu);
        assert_all_tensor(y, p.y, 1e-5);
        test_backward(y, p.upstream);
        assert_all_gradient(x, p.dx, 1e-5);
        assert_all_gradient(kernel, p.dkernel, 4e-5);
        assert_all_gradient(bias, p.dbias, 4e-5);
        strata_scope_end(ctx);
        problem_free(ctx, &p);
    }
}

static void test_convolution_infers_shapes(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata__window window = {
        .rank = 2, .size = {3, 3}, .strides = {2, 1}, .dilation = {1, 1}, .before = {1}};
    strata_tensor *x =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(STRATA_NONE, 8, STRATA_NONE, 3),
                           (strata__layout){.batch = true});
    double zeros[3 * 3 * 3 * 4] = {0};
    strata_tensor *kernel = test_parameter(ctx, &STRATA_SHAPE(3, 3, 3, 4), zeros);
    strata_tensor *y = strata__convolution("conv", x, kernel, NULL, &window, 1, NULL);
    assert_all_ok(ctx);
    assert_true(y->symbolic && y->layout.batch);
    assert_true(strata__shape_equal(&y->shape, &STRATA_SHAPE(STRATA_NONE, 4, STRATA_NONE, 4)));
    strata_scope_end(ctx);
}

static void test_convolution_refuses_what_does_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata__window window = {.rank = 2, .size = {3, 3}, .strides = {1, 1}, .dilation = {1, 1}};
    double zeros[3 * 3 * 3 * 4] = {0};
    strata_tensor *kernel = test_parameter(ctx, &STRATA_SHAPE(3, 3, 3, 4), zeros);
    assert_null(strata__convolution("conv", NULL, kernel, NULL, &window, 1, NULL));
    assert_all_ok(ctx);
    strata_tensor *flat = test_batch(ctx, &STRATA_SHAPE(1, 6, 3), zeros);
    assert_null(strata__convolution("conv", flat, kernel, NULL, &window, 1, NULL));
    assert_all_error(ctx, STRATA_INVALID, "conv: expected ndim=4, found ndim=3");
    strata_tensor *small = test_batch(ctx, &STRATA_SHAPE(1, 6, 2, 3), zeros);
    assert_null(strata__convolution("conv", small, kernel, NULL, &window, 1, NULL));
    assert_all_error(ctx, STRATA_INVALID, "output size would be zero or negative");
    strata_tensor *narrow = test_batch(ctx, &STRATA_SHAPE(1, 6, 4, 2), zeros);
    assert_null(strata__convolution("conv", narrow, kernel, NULL, &window, 1, NULL));
    assert_all_error(ctx, STRATA_INVALID, "takes 3 channels, but the input (1, 6, 4, 2) has 2");
    assert_null(strata__convolution("conv", small, kernel, NULL, &window, 3, NULL));
    assert_all_error(ctx, STRATA_INVALID, "evenly divisible by the number of groups");
    strata_scope_end(ctx);
}

/* Whatever a step needs is there after the first one. */
static void test_convolution_asks_the_system_for_nothing_in_a_steady_step(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* the pool keeps nothing then */
#endif
    strata_context *ctx = test_context(test_mesh(0));
    problem p = problem_new(ctx, &cases[0]);
    int64_t after_first = 0;
    for (int step = 0; step < 3; step++) {
        strata_scope_begin(ctx);
        strata_tensor *x = test_batch(ctx, &p.x_shape, p.x);
        strata_tensor *kernel = test_parameter(ctx, &p.kernel_shape, p.kernel);
        strata_tape_begin(ctx);
        test_backward(convolve(&p, x, kernel, NULL), p.upstream);
        strata_scope_end(ctx);
        if (step == 0)
            after_first = ctx->memory.system_allocations;
    }
    assert_all_int_equal(ctx->memory.system_allocations, after_first);
    problem_free(ctx, &p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_end_where_keras_ends_them),
        cmocka_unit_test(test_convolution_by_definition),
        cmocka_unit_test(test_convolution_sharded_by_filters),
        cmocka_unit_test(test_convolution_gradients_add_up),
        cmocka_unit_test(test_depthwise_convolution_by_definition),
        cmocka_unit_test(test_convolution_infers_shapes),
        cmocka_unit_test(test_convolution_refuses_what_does_not_fit),
        cmocka_unit_test(test_convolution_asks_the_system_for_nothing_in_a_steady_step),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
