/* Functions of two tensors, element by element with broadcasting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "ops/batch.h"
#include "ops/binary.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/threads.h"

/* --- broadcasting --- */

/*
 * The local result as few axes as will do, and how far each operand moves along them: 0 where it
 * repeats. Operands begin at `start`: a whole operand beside a batch has all samples, of which only
 * the own ones take part.
 */
typedef struct plan {
    int rank;
    int64_t dims[STRATA_MAX_RANK];
    int64_t strides[2][STRATA_MAX_RANK];
    int64_t start[2];
} plan;

/* Element strides of an operand along the axes of the result, by global sizes. */
static void operand_strides(const strata_tensor *x, const strata_tensor *c, int64_t *strides)
{
    int64_t stride = 1;
    int offset = c->shape.rank - x->shape.rank;
    for (int i = c->shape.rank - 1; i >= 0; i--) {
        bool repeats = i < offset || (x->shape.dims[i - offset] == 1 && c->shape.dims[i] != 1);
        strides[i] = repeats ? 0 : stride;
        stride *= i < offset ? 1 : x->local.dims[i - offset];
    }
}

/* Appends an axis, or makes the last one longer where both operands go on in the same step. */
static void add_axis(plan *p, int64_t size, int64_t stride_a, int64_t stride_b)
{
    int last = p->rank - 1;
    if (size == 1)
        return;
    if (last >= 0 && p->strides[0][last] == stride_a * size &&
        p->strides[1][last] == stride_b * size) {
        p->dims[last] *= size;
    } else {
        last = p->rank++;
        p->dims[last] = size;
    }
    p->strides[0][last] = stride_a;
    p->strides[1][last] = stride_b;
}

static plan make_plan(const strata_tensor *a, const strata_tensor *b, const strata_tensor *c)
{
    const strata_tensor *operands[2] = {a, b};
    int64_t strides[2][STRATA_MAX_RANK];
    plan p = {0};
    for (int k = 0; k < 2; k++) {
        operand_strides(operands[k], c, strides[k]);
        if (c->layout.batch && !operands[k]->layout.batch)
            p.start[k] = c->first_sample * strides[k][0];
    }
    for (int i = 0; i < c->local.rank; i++)
        add_axis(&p, c->local.dims[i], strides[0][i], strides[1][i]);
    if (p.rank == 0) {
        p.rank = 1;
        p.dims[0] = 1;
    }
    return p;
}

/* A run over the last axis: `row` counts the others. */
static int64_t row_start(const plan *p, int operand, int64_t row)
{
    int64_t at = p->start[operand];
    for (int i = p->rank - 2; i >= 0; i--) {
        at += row % p->dims[i] * p->strides[operand][i];
        row /= p->dims[i];
    }
    return at;
}

static int64_t run_length(const plan *p)
{
    return p->dims[p->rank - 1];
}

static int64_t run_count(const plan *p)
{
    int64_t count = 1;
    for (int i = 0; i < p->rank - 1; i++)
        count *= p->dims[i];
    return count;
}

/* --- over all runs, by threads --- */

typedef struct job {
    strata__binary_function function;
    int slope_of; /* −1: values; 0, 1: gradients with respect to that operand */
    const plan *plan;
    const float *a, *b, *dc;
    float beta;
    float *out; /* as the result */
} job;

/* Elements first … first+count−1 of the run `row`. */
static void do_run(const job *j, int64_t row, int64_t first, int64_t count)
{
    const plan *p = j->plan;
    int64_t step_a = p->strides[0][p->rank - 1], step_b = p->strides[1][p->rank - 1];
    int64_t at = row * run_length(p) + first;
    strata__binary_run run = {.n = count,
                              .a = j->a + row_start(p, 0, row) + first * step_a,
                              .b = j->b + row_start(p, 1, row) + first * step_b,
                              .step_a = step_a,
                              .step_b = step_b,
                              .dc = j->dc ? j->dc + at : NULL,
                              .beta = j->beta,
                              .out = j->out + at};
    if (j->slope_of < 0)
        strata__binary_values(j->function, &run);
    else
        strata__binary_slopes(j->function, j->slope_of, &run);
}

static void do_rows(const void *user, int64_t first, int64_t count)
{
    const job *j = user;
    for (int64_t row = first; row < first + count; row++)
        do_run(j, row, 0, run_length(j->plan));
}

static void do_part(const void *user, int64_t first, int64_t count)
{
    do_run(user, 0, first, count);
}

static void do_all(const job *j)
{
    int64_t rows = run_count(j->plan), n = run_length(j->plan);
    if (rows == 1)
        strata__on_threads(n, 1, do_part, j);
    else
        strata__on_threads(rows, n, do_rows, j);
}

/* --- gradients --- */

typedef struct saved {
    strata__binary_function function;
    plan plan;
} saved;

/* Whether the operand has the result's elements one by one. */
static bool is_plain(const strata_tensor *x, const strata_tensor *c)
{
    return strata__shape_equal(&x->shape, &c->shape) && x->layout.batch == c->layout.batch;
}

static void plain_gradient(job *j, strata_tensor *x, strata_tensor *dc)
{
    if (j->function == STRATA__ADD || (j->function == STRATA__SUBTRACT && j->slope_of == 0)) {
        strata__gradient_give(x, dc);
        return;
    }
    j->out = strata__gradient_into(x, &j->beta);
    if (j->out)
        do_all(j);
}

/* Sums g, which is as the local result c, in place over the axes along which x repeats; not over
 * the batch. Returns the number of elements that are left for each sample. */
static int64_t sum_repeats(const strata_tensor *x, const strata_tensor *c, float *g)
{
    int rank = c->local.rank, offset = rank - x->local.rank;
    strata_shape left = c->local;
    for (int i = rank - 1; i >= (c->layout.batch ? 1 : 0); i--) {
        if (i >= offset && (x->shape.dims[i - offset] != 1 || c->shape.dims[i] == 1))
            continue;
        strata__sum_axis(g, strata__product(&left, 0, i), left.dims[i],
                         strata__product(&left, i + 1, rank), 0.0f, g);
        left.dims[i] = 1;
    }
    return strata__product(&left, 1, rank);
}

/* dx (x whole) from g (own samples, inner): their sum where x repeats along the batch, else their
 * place among all samples. A part. */
static void sum_samples(const strata_tensor *x, const strata_tensor *c, const float *g,
                        int64_t inner, float *dx)
{
    if (x->shape.rank < c->shape.rank || (x->shape.dims[0] == 1 && c->shape.dims[0] != 1)) {
        strata__batch_sum_part(g, c->local.dims[0], inner, 0.0f, dx);
        return;
    }
    memset(dx, 0, (size_t)strata__local_count(x) * sizeof *dx);
    memcpy(dx + c->first_sample * inner, g, (size_t)(c->local.dims[0] * inner) * sizeof *dx);
}

/* Of an operand that repeats: formed as the result, then summed. */
static void repeated_gradient(job *j, strata_tensor *x, const strata_tensor *c)
{
    strata_context *ctx = x->ctx;
    strata_tensor *dx = strata__tensor_like(x);
    float *g = strata__alloc(ctx, (size_t)strata__local_count(c) * sizeof *g);
    if (!dx || !g)
        strata__abort(ctx, "gradient of a broadcast operand");
    strata_tensor_keep(dx);
    int64_t own = strata__local_count(x);
    j->out = g;
    do_all(j);
    int64_t inner = sum_repeats(x, c, g);
    if (c->layout.batch && !x->layout.batch)
        sum_samples(x, c, g, inner, dx->data);
    else
        memcpy(dx->data, g, (size_t)own * sizeof *g);
    if (c->layout.split && !x->layout.split)
        strata__sum(ctx, STRATA__COLS, dx->data, own, STRATA_FLOAT32);
    strata__gradient_give(x, dx);
    strata_tensor_release(dx);
    strata__free(ctx, g);
}

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    const strata_tensor *c = node->outputs[0];
    for (int operand = 0; operand < 2; operand++) {
        strata_tensor *x = node->inputs[operand];
        job j = {.function = s->function,
                 .slope_of = operand,
                 .plan = &s->plan,
                 .a = node->inputs[0]->data,
                 .b = node->inputs[1]->data,
                 .dc = c->gradient->data};
        if (strata__wants(x) && is_plain(x, c))
            plain_gradient(&j, x, c->gradient);
        else if (strata__wants(x))
            repeated_gradient(&j, x, c);
    }
}

/* --- shapes --- */

static bool merge_sizes(int64_t a, int64_t b, int64_t *out)
{
    bool fits = a == b || a == 1 || b == 1 || a == STRATA_NONE || b == STRATA_NONE;
    *out = a == 1 || (a == STRATA_NONE && b != 1) ? b : a;
    return fits;
}

static bool merge_shapes(const strata_shape *a, const strata_shape *b, strata_shape *out)
{
    out->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= out->rank; i++) {
        int64_t size_a = i <= a->rank ? a->dims[a->rank - i] : 1;
        int64_t size_b = i <= b->rank ? b->dims[b->rank - i] : 1;
        if (!merge_sizes(size_a, size_b, &out->dims[out->rank - i]))
            return false;
    }
    return true;
}

/* A batch must be the first axis of the result, or it would lie on other ranks. */
static bool batch_stays(const strata_tensor *x, const strata_shape *shape)
{
    return !x->layout.batch || x->symbolic ||
           (x->shape.rank == shape->rank && x->shape.dims[0] == shape->dims[0]);
}

static bool accepts(const char *who, const strata_tensor *a, const strata_tensor *b,
                    strata_shape *shape)
{
    char left[STRATA__SHAPE_TEXT], right[STRATA__SHAPE_TEXT];
    if (!strata__is_float(who, a) || !strata__is_float(who, b))
        return false;
    strata__shape_text(&a->shape, left);
    strata__shape_text(&b->shape, right);
    if (!merge_shapes(&a->shape, &b->shape, shape))
        strata__fail(a->ctx, STRATA_INVALID,
                     "%s: Inputs have incompatible shapes. Received shapes %s and %s", who, left,
                     right);
    else if (!batch_stays(a, shape) || !batch_stays(b, shape))
        strata__fail(a->ctx, STRATA_INVALID,
                     "%s: the batch axis of shapes %s and %s would not be the first of the result; "
                     "reshape one of them",
                     who, left, right);
    else
        return true;
    return false;
}

/* Brings the last axis to the layout of the other operand: pieces beside pieces. One feature is the
 * same for all. */
static strata_tensor *match_split(strata_tensor *x, const strata_tensor *other)
{
    if (strata__last(&x->shape) == 1)
        return strata__whole(x);
    return other->layout.split && strata__last(&other->shape) != 1 ? strata__split(x) : x;
}

static strata_tensor *compute(const char *who, strata__binary_function function, strata_tensor *a,
                              strata_tensor *b, const strata_shape *shape)
{
    strata__layout layout = {a->layout.batch || b->layout.batch,
                             a->layout.split || b->layout.split};
    strata_tensor *c = strata__tensor_new(a->ctx, STRATA_FLOAT32, shape, layout);
    if (!c)
        return NULL;
    plan p = make_plan(a, b, c);
    do_all(&(job){.function = function,
                  .slope_of = -1,
                  .plan = &p,
                  .a = a->data,
                  .b = b->data,
                  .out = c->data});
    strata__node *node =
        strata__record(a->ctx, who, gradient, 2, (strata_tensor *[]){a, b}, 1, &c, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){function, p};
    return c;
}

static strata_tensor *binary(const char *who, strata__binary_function function, strata_tensor *a,
                             strata_tensor *b)
{
    strata_shape shape = {0};
    if (!a || !b || !accepts(who, a, b, &shape))
        return NULL;
    if (a->symbolic || b->symbolic)
        return strata__tensor_symbolic(a->ctx, STRATA_FLOAT32, &shape,
                                       (strata__layout){a->layout.batch || b->layout.batch, false});
    strata_tensor *left = match_split(a, b), *right = match_split(b, a);
    return left && right ? compute(who, function, left, right, &shape) : NULL;
}

strata_tensor *strata_ops_add(strata_tensor *a, strata_tensor *b)
{
    return binary("add", STRATA__ADD, a, b);
}

strata_tensor *strata_ops_subtract(strata_tensor *a, strata_tensor *b)
{
    return binary("subtract", STRATA__SUBTRACT, a, b);
}

strata_tensor *strata_ops_multiply(strata_tensor *a, strata_tensor *b)
{
    return binary("multiply", STRATA__MULTIPLY, a, b);
}

strata_tensor *strata_ops_divide(strata_tensor *a, strata_tensor *b)
{
    return binary("divide", STRATA__DIVIDE, a, b);
}

strata_tensor *strata_ops_maximum(strata_tensor *a, strata_tensor *b)
{
    return binary("maximum", STRATA__MAXIMUM, a, b);
}

strata_tensor *strata_ops_minimum(strata_tensor *a, strata_tensor *b)
{
    return binary("minimum", STRATA__MINIMUM, a, b);
}
