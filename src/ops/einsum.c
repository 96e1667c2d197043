/* Einstein's summation convention for a batch and a kernel, as transposes and one product each. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/einsum.h"

#include <string.h>

#include "base/memory.h"
#include "ops/batch.h"
#include "ops/gemm.h"
#include "ops/permute.h"
#include "ops/pointwise.h"

/*
 * Letters are of four kinds: shared by x, kernel and y; free, in x and y; contracted, in x and
 * kernel; columns, in kernel and y. With the kinds brought together,
 *
 *     y (shared, free, columns) = x (shared, free, contracted) · kernel (shared, contracted,
 * columns)
 *
 * is one matrix product for each index of the shared letters.
 */
typedef struct plan {
    int64_t shared, free, contracted, columns; /* local sizes */
    int x_axes[STRATA_MAX_RANK];               /* axis of x that stands at each place above */
    int kernel_axes[STRATA_MAX_RANK];
    int product_axes[STRATA_MAX_RANK]; /* axis of y */
} plan;

/* --- the plan --- */

typedef struct kinds {
    char shared[STRATA__LETTERS], free[STRATA__LETTERS];
    char contracted[STRATA__LETTERS], columns[STRATA__LETTERS];
} kinds;

static void append(char *letters, char letter)
{
    letters[strlen(letters)] = letter;
}

static kinds sort(const strata__equation *e)
{
    kinds k = {.shared = ""};
    for (const char *x = e->x; *x; x++) {
        if (!strchr(e->kernel, *x))
            append(k.free, *x);
    }
    for (const char *letter = e->kernel; *letter; letter++) {
        bool in_x = strchr(e->x, *letter), in_y = strchr(e->y, *letter);
        append(in_x && in_y ? k.shared : in_x ? k.contracted : k.columns, *letter);
    }
    return k;
}

/* The axes of an operand that have these letters, one kind after the other. */
static void locate(const char *operand, const char *first, const char *second, const char *third,
                   int *axes)
{
    const char *const groups[] = {first, second, third};
    for (int i = 0; i < 3; i++) {
        for (const char *letter = groups[i]; *letter; letter++)
            *axes++ = (int)(strchr(operand, *letter) - operand);
    }
}

static int64_t product(const char *letters, const char *operand, const strata_shape *sizes)
{
    int64_t size = 1;
    for (; *letters; letters++)
        size *= sizes->dims[strchr(operand, *letters) - operand];
    return size;
}

static plan make_plan(const strata__equation *e, const strata_shape *x, const strata_shape *kernel)
{
    kinds k = sort(e);
    plan p = {.shared = product(k.shared, e->kernel, kernel),
              .free = product(k.free, e->x, x),
              .contracted = product(k.contracted, e->kernel, kernel),
              .columns = product(k.columns, e->kernel, kernel)};
    locate(e->x, k.shared, k.free, k.contracted, p.x_axes);
    locate(e->kernel, k.shared, k.contracted, k.columns, p.kernel_axes);
    locate(e->y, k.shared, k.free, k.columns, p.product_axes);
    return p;
}

/* --- arrangement of operands --- */

static bool in_order(const int *axes, int rank)
{
    for (int i = 0; i < rank; i++) {
        if (axes[i] != i)
            return false;
    }
    return true;
}

/* The data of a tensor with its axes in that order: its own, or a copy in `own`, to be freed. */
static const float *arranged(const strata_tensor *tensor, const int *axes, float **own)
{
    *own = NULL;
    if (in_order(axes, tensor->local.rank))
        return tensor->data;
    *own = strata__scratch(tensor->ctx, strata__local_count(tensor), sizeof(float));
    strata__permute_axes(tensor->data, &tensor->local, axes, sizeof(float), *own);
    return *own;
}

/* Where to write what lies in that order: the tensor's own memory, or `own`. */
static float *room_for(strata_tensor *tensor, const int *axes, float **own)
{
    *own = in_order(axes, tensor->local.rank)
               ? NULL
               : strata__scratch(tensor->ctx, strata__local_count(tensor), sizeof(float));
    return *own ? *own : tensor->data;
}

/* Brings what was written to `own` back to the tensor's order, and frees it. */
static void put_back(strata_tensor *tensor, const int *axes, float *own)
{
    strata_shape sizes = {.rank = tensor->local.rank};
    int inverse[STRATA_MAX_RANK];
    if (!own)
        return;
    for (int i = 0; i < sizes.rank; i++) {
        sizes.dims[i] = tensor->local.dims[axes[i]];
        inverse[axes[i]] = i;
    }
    strata__permute_axes(own, &sizes, inverse, sizeof(float), tensor->data);
    strata__free(tensor->ctx, own);
}

/* --- the products --- */

static void multiply(const plan *p, const strata_tensor *x, const strata_tensor *kernel,
                     strata_tensor *y)
{
    strata_context *ctx = x->ctx;
    int64_t m = p->free, n = p->columns, k = p->contracted;
    float *own_x, *own_kernel, *own_y;
    const float *a = arranged(x, p->x_axes, &own_x);
    const float *b = arranged(kernel, p->kernel_axes, &own_kernel);
    float *c = room_for(y, p->product_axes, &own_y);
    for (int64_t i = 0; i < p->shared; i++)
        strata__gemm(ctx, false, false, m, n, k, a + i * m * k, k, b + i * k * n, n, 0.0f,
                     c + i * m * n, n);
    put_back(y, p->product_axes, own_y);
    strata__free(ctx, own_x);
    strata__free(ctx, own_kernel);
}

/* The gradient of an operand, written with its axes in the order of the products. */
typedef struct target {
    strata_tensor *gradient;
    const int *axes;
    float *data, *own;
} target;

/* False: nobody wants it. */
static bool target_begin(const strata_tensor *operand, const int *axes, target *t)
{
    if (!strata__wants(operand))
        return false;
    *t = (target){.gradient = strata__tensor_like(operand), .axes = axes};
    if (!t->gradient)
        strata__abort(operand->ctx, "gradient of einsum");
    strata_tensor_keep(t->gradient);
    t->data = room_for(t->gradient, axes, &t->own);
    return true;
}

static void target_give(strata_tensor *operand, const target *t)
{
    put_back(t->gradient, t->axes, t->own);
    strata__gradient_give(operand, t->gradient);
    strata_tensor_release(t->gradient);
}

/* dx = dy · kernelᵀ; dy (shared, free, columns) */
static void input_gradient(const plan *p, strata_tensor *x, const strata_tensor *kernel,
                           const float *dy)
{
    int64_t m = p->free, n = p->columns, k = p->contracted;
    target dx;
    float *own;
    if (!target_begin(x, p->x_axes, &dx))
        return;
    const float *b = arranged(kernel, p->kernel_axes, &own);
    for (int64_t i = 0; i < p->shared; i++)
        strata__gemm(x->ctx, false, true, m, k, n, dy + i * m * n, n, b + i * k * n, n, 0.0f,
                     dx.data + i * m * k, k);
    strata__free(x->ctx, own);
    target_give(x, &dx);
}

/* dkernel = xᵀ · dy; a part */
static void kernel_gradient(const plan *p, const strata_tensor *x, strata_tensor *kernel,
                            const float *dy)
{
    int64_t m = p->free, n = p->columns, k = p->contracted;
    target dkernel;
    float *own;
    if (!target_begin(kernel, p->kernel_axes, &dkernel))
        return;
    const float *a = arranged(x, p->x_axes, &own);
    for (int64_t i = 0; i < p->shared; i++)
        strata__batch_product_part(x->ctx, a + i * m * k, dy + i * m * n, m, k, n, 0.0f,
                                   dkernel.data + i * k * n, 0.0f, NULL);
    strata__free(x->ctx, own);
    target_give(kernel, &dkernel);
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const plan *p = node->saved;
    strata_tensor *x = node->inputs[0], *kernel = node->inputs[1];
    float *own;
    const float *dy = arranged(strata__gradient_at(node, 0), p->product_axes, &own);
    kernel_gradient(p, x, kernel, dy);
    input_gradient(p, x, kernel, dy);
    strata__free(ctx, own);
}

/* --- the operation --- */

/* Sizes of y's axes, each from the operand that has the letter; false: two sizes for one letter. */
static bool infer(const strata__equation *e, const strata_shape *x, const strata_shape *kernel,
                  strata_shape *y)
{
    y->rank = (int)strlen(e->y);
    for (const char *k = e->kernel; *k; k++) {
        const char *at = strchr(e->x, *k);
        int64_t size = at ? x->dims[at - e->x] : STRATA_NONE;
        if (size != STRATA_NONE && size != kernel->dims[k - e->kernel])
            return false;
    }
    for (int i = 0; i < y->rank; i++) {
        const char *in_kernel = strchr(e->kernel, e->y[i]);
        y->dims[i] =
            in_kernel ? kernel->dims[in_kernel - e->kernel] : x->dims[strchr(e->x, e->y[i]) - e->x];
    }
    return true;
}

/* Sums over the letters that only x has, and leaves them out of the equation. */
static strata_tensor *sum_lonely(strata_tensor *x, strata__equation *e)
{
    for (int i = (int)strlen(e->x) - 1; i > 0 && x; i--) {
        if (strchr(e->kernel, e->x[i]) || strchr(e->y, e->x[i]))
            continue;
        x = strata_ops_sum(x, i, false);
        memmove(e->x + i, e->x + i + 1, strlen(e->x + i));
    }
    return x;
}

static strata_tensor *compute(strata_tensor *x, strata_tensor *kernel, const strata__equation *e,
                              const strata_shape *shape)
{
    strata__layout layout = {.batch = x->layout.batch};
    if (x->symbolic)
        return strata__tensor_symbolic(x->ctx, STRATA_FLOAT32, shape, layout);
    strata_tensor *y = strata__tensor_new(x->ctx, STRATA_FLOAT32, shape, layout);
    if (!y)
        return NULL;
    plan p = make_plan(e, &x->local, &kernel->local);
    multiply(&p, x, kernel, y);
    strata__node *node = strata__record(x->ctx, "einsum", gradient, 2,
                                        (strata_tensor *[]){x, kernel}, 1, &y, sizeof p);
    if (node)
        memcpy(node->saved, &p, sizeof p);
    return y;
}

strata_tensor *strata__einsum(const char *who, strata_tensor *x, strata_tensor *kernel,
                              const strata__equation *equation)
{
    strata__equation e = *equation;
    strata_shape shape;
    if (!x || !kernel || !strata__is_float(who, x) || !strata__is_float(who, kernel))
        return NULL;
    if (!infer(&e, &x->shape, &kernel->shape, &shape)) {
        char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
        strata__fail(x->ctx, STRATA_INVALID,
                     "%s: einsum of %s,%s->%s: sizes do not fit in shapes %s and %s", who, e.x,
                     e.kernel, e.y, strata__shape_text(&x->shape, ours),
                     strata__shape_text(&kernel->shape, theirs));
        return NULL;
    }
    x = sum_lonely(strata__whole(x), &e);
    return x ? compute(x, kernel, &e, &shape) : NULL;
}
