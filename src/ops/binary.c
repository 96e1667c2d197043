/* Functions of two tensors, element by element with broadcasting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/ops.h"

/*
 * c = f(a, b); gradients da = dc·∂f/∂a and db = dc·∂f/∂b. One loop over the last axis, with steps
 * of 0 or 1 for operands that repeat along it.
 */
typedef float value(float a, float b);

typedef struct kind {
    const char *op;
    value *f, *slope_a, *slope_b;
} kind;

static inline float add(float a, float b)
{
    return a + b;
}

static inline float subtract(float a, float b)
{
    return a - b;
}

static inline float multiply(float a, float b)
{
    return a * b;
}

static inline float divide(float a, float b)
{
    return a / b;
}

static inline float maximum(float a, float b)
{
    return a > b || a != a ? a : b;
}

static inline float minimum(float a, float b)
{
    return a < b || a != a ? a : b;
}

static inline float one(float a, float b)
{
    (void)a;
    (void)b;
    return 1.0f;
}

static inline float minus_one(float a, float b)
{
    (void)a;
    (void)b;
    return -1.0f;
}

static inline float first(float a, float b)
{
    (void)b;
    return a;
}

static inline float second(float a, float b)
{
    (void)a;
    return b;
}

static inline float over_second(float a, float b)
{
    (void)a;
    return 1.0f / b;
}

static inline float quotient_slope(float a, float b)
{
    return -a / (b * b);
}

/* Equal operands share the gradient. */
static inline float where_greater(float a, float b)
{
    return a > b ? 1.0f : a == b ? 0.5f : 0.0f;
}

static inline float where_less(float a, float b)
{
    return a < b ? 1.0f : a == b ? 0.5f : 0.0f;
}

static const kind kinds[] = {
    {"add", add, one, one},
    {"subtract", subtract, one, minus_one},
    {"multiply", multiply, second, first},
    {"divide", divide, over_second, quotient_slope},
    {"maximum", maximum, where_greater, where_less},
    {"minimum", minimum, where_less, where_greater},
};
enum { ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM };

/* --- broadcasting --- */

/* Local sizes of the result and element strides of the operands along each axis; 0 where an operand
 * repeats. */
typedef struct plan {
    int rank;
    int64_t dims[STRATA_MAX_RANK], a[STRATA_MAX_RANK], b[STRATA_MAX_RANK];
    int64_t count;
    bool same; /* both operands have the result's elements one by one */
} plan;

static void strides_of(const strata_tensor *x, const plan *p, int64_t *strides)
{
    int64_t stride = 1;
    int offset = p->rank - x->local.rank;
    for (int i = p->rank - 1; i >= 0; i--) {
        int64_t size = i >= offset ? x->local.dims[i - offset] : 1;
        bool repeats = size == 1 && (i < offset || x->shape.dims[i - offset] == 1);
        strides[i] = repeats ? 0 : stride;
        stride *= size;
    }
}

static plan make_plan(const strata_tensor *a, const strata_tensor *b, const strata_tensor *c)
{
    plan p = {.rank = c->local.rank, .count = strata__local_count(c)};
    memcpy(p.dims, c->local.dims, sizeof p.dims);
    strides_of(a, &p, p.a);
    strides_of(b, &p, p.b);
    p.same = strata__local_count(a) == p.count && strata__local_count(b) == p.count;
    return p;
}

/* Offsets of the operands at the start of row `row` (all axes but the last). */
static void row_offsets(const plan *p, int64_t row, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    for (int i = p->rank - 2; i >= 0; i--) {
        int64_t index = row % p->dims[i];
        row /= p->dims[i];
        *a += index * p->a[i];
        *b += index * p->b[i];
    }
}

/* --- loops: `f` is a constant where they are inlined --- */

static inline __attribute__((always_inline)) void row_loop(value *f, const float *a, int64_t step_a,
                                                           const float *b, int64_t step_b, float *c,
                                                           int64_t n)
{
    if (step_a && step_b) {
        for (int64_t j = 0; j < n; j++)
            c[j] = f(a[j], b[j]);
    } else if (step_a) {
        for (int64_t j = 0; j < n; j++)
            c[j] = f(a[j], *b);
    } else {
        for (int64_t j = 0; j < n; j++)
            c[j] = f(*a, b[j * step_b]);
    }
}

STRATA__VECTOR static void row_by_kind(int op, const float *a, int64_t step_a, const float *b,
                                       int64_t step_b, float *c, int64_t n)
{
    switch (op) {
    case ADD:
        row_loop(add, a, step_a, b, step_b, c, n);
        break;
    case SUBTRACT:
        row_loop(subtract, a, step_a, b, step_b, c, n);
        break;
    case MULTIPLY:
        row_loop(multiply, a, step_a, b, step_b, c, n);
        break;
    case DIVIDE:
        row_loop(divide, a, step_a, b, step_b, c, n);
        break;
    case MAXIMUM:
        row_loop(maximum, a, step_a, b, step_b, c, n);
        break;
    default:
        row_loop(minimum, a, step_a, b, step_b, c, n);
    }
}

static void compute(int op, const plan *p, const float *a, const float *b, float *c)
{
    if (p->same || p->rank == 0) {
        row_by_kind(op, a, 1, b, 1, c, p->count);
        return;
    }
    int last = p->rank - 1;
    int64_t n = p->dims[last], rows = n ? p->count / n : 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t at_a, at_b;
        row_offsets(p, row, &at_a, &at_b);
        row_by_kind(op, a + at_a, p->a[last], b + at_b, p->b[last], c + row * n, n);
    }
}

/* into[stride…] += dc·slope(a, b): operands that repeat collect a sum. */
static void collect(const plan *p, value *slope, const float *a, const float *b, const float *dc,
                    const int64_t *strides, float *into)
{
    int last = p->rank - 1;
    int64_t n = p->rank ? p->dims[last] : 1, rows = n ? p->count / n : 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t at_a, at_b;
        row_offsets(p, row, &at_a, &at_b);
        int64_t step_a = p->rank ? p->a[last] : 0, step_b = p->rank ? p->b[last] : 0,
                step = p->rank ? strides[last] : 0;
        float *target = into + (strides == p->a ? at_a : at_b);
        for (int64_t j = 0; j < n; j++)
            target[j * step] += dc[row * n + j] * slope(a[at_a + j * step_a], b[at_b + j * step_b]);
    }
}

typedef struct saved {
    int op;
    plan plan;
} saved;

static void operand_gradient(strata__node *node, int operand)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[operand];
    const kind *k = &kinds[s->op];
    if (!strata__wants(x))
        return;
    value *slope = operand == 0 ? k->slope_a : k->slope_b;
    if (slope == one && strata__local_count(x) == s->plan.count) {
        strata__gradient_give(x, node->outputs[0]->gradient);
        return;
    }
    float beta;
    float *into = strata__gradient_into(x, &beta);
    if (!into)
        return;
    if (beta == 0.0f)
        memset(into, 0, (size_t)strata__local_count(x) * sizeof *into);
    collect(&s->plan, slope, node->inputs[0]->data, node->inputs[1]->data,
            node->outputs[0]->gradient->data, operand == 0 ? s->plan.a : s->plan.b, into);
}

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    operand_gradient(node, 0);
    operand_gradient(node, 1);
}

/* --- shapes --- */

static bool merge_dim(int64_t a, int64_t b, int64_t *out)
{
    if (a == b || b == 1)
        *out = a;
    else if (a == 1)
        *out = b;
    else if (a == STRATA_NONE || b == STRATA_NONE)
        *out = a == STRATA_NONE ? b : a;
    else
        return false;
    return true;
}

static bool merge_shapes(const strata_tensor *a, const strata_tensor *b, strata_shape *out)
{
    out->rank = a->shape.rank > b->shape.rank ? a->shape.rank : b->shape.rank;
    for (int i = 1; i <= out->rank; i++) {
        int64_t size_a = i <= a->shape.rank ? a->shape.dims[a->shape.rank - i] : 1;
        int64_t size_b = i <= b->shape.rank ? b->shape.dims[b->shape.rank - i] : 1;
        if (!merge_dim(size_a, size_b, &out->dims[out->rank - i]))
            return false;
    }
    return true;
}

/* A whole operand beside pieces: its own columns where the last axis is split. */
static strata_tensor *match_split(strata_tensor *x, const strata_tensor *other)
{
    bool repeats = strata__last(&x->shape) == 1;
    return other->layout.split && !x->layout.split && !repeats ? strata__split(x) : x;
}

static strata_tensor *binary(int op, strata_tensor *a, strata_tensor *b)
{
    char left[STRATA__SHAPE_TEXT], right[STRATA__SHAPE_TEXT];
    strata_shape shape = {0};
    if (!a || !b)
        return NULL;
    if (a->dtype != STRATA_FLOAT32 || b->dtype != STRATA_FLOAT32) {
        strata__fail(a->ctx, STRATA_INVALID,
                     "%s of %s and %s tensors; convert them with strata_ops_cast()", kinds[op].op,
                     strata_dtype_name(a->dtype), strata_dtype_name(b->dtype));
        return NULL;
    }
    a = match_split(a, b);
    b = a ? match_split(b, a) : NULL;
    if (!b)
        return NULL;
    bool batched = (!a->layout.batch || !b->layout.batch || a->shape.rank == b->shape.rank);
    if (!merge_shapes(a, b, &shape) || !batched) {
        strata__fail(a->ctx, STRATA_INVALID,
                     "Inputs have incompatible shapes. Received shapes %s and %s (%s)",
                     strata__shape_text(&a->shape, left), strata__shape_text(&b->shape, right),
                     kinds[op].op);
        return NULL;
    }
    strata__layout layout = {a->layout.batch || b->layout.batch,
                             a->layout.split || b->layout.split};
    strata_tensor *c = a->symbolic || b->symbolic
                           ? strata__tensor_symbolic(a->ctx, STRATA_FLOAT32, &shape, layout)
                           : strata__tensor_new(a->ctx, STRATA_FLOAT32, &shape, layout);
    if (!c || c->symbolic)
        return c;
    plan p = make_plan(a, b, c);
    compute(op, &p, a->data, b->data, c->data);
    strata__node *node = strata__record(a->ctx, kinds[op].op, gradient, 2,
                                        (strata_tensor *[]){a, b}, 1, &c, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){op, p};
    return c;
}

strata_tensor *strata_ops_add(strata_tensor *a, strata_tensor *b)
{
    return binary(ADD, a, b);
}

strata_tensor *strata_ops_subtract(strata_tensor *a, strata_tensor *b)
{
    return binary(SUBTRACT, a, b);
}

strata_tensor *strata_ops_multiply(strata_tensor *a, strata_tensor *b)
{
    return binary(MULTIPLY, a, b);
}

strata_tensor *strata_ops_divide(strata_tensor *a, strata_tensor *b)
{
    return binary(DIVIDE, a, b);
}

strata_tensor *strata_ops_maximum(strata_tensor *a, strata_tensor *b)
{
    return binary(MAXIMUM, a, b);
}

strata_tensor *strata_ops_minimum(strata_tensor *a, strata_tensor *b)
{
    return binary(MINIMUM, a, b);
}
