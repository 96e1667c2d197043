/* Dense products: y = activation(x · kernel + bias) over the last axis, and their gradients. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/activation.h"
#include "ops/batch.h"
#include "ops/gemm.h"

/* --- kernels on rows --- */

STRATA__VECTOR static void add_bias(float *y, const float *bias, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++) {
        float *row = y + i * n;
        for (int64_t j = 0; j < n; j++)
            row[j] += bias[j];
    }
}

STRATA__VECTOR static void add_bias_relu(float *y, const float *bias, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++) {
        float *row = y + i * n;
        for (int64_t j = 0; j < n; j++) {
            float value = row[j] + bias[j];
            row[j] = value > 0.0f ? value : 0.0f;
        }
    }
}

STRATA__VECTOR static void relu_rows(float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = y[i] > 0.0f ? y[i] : 0.0f;
}

/* dz = dy where y > 0, and db += Σ dz, in one pass; a part, as everything that sums over the batch
 * (ops/batch.h). dz may be dy. */
STRATA__VECTOR static void relu_gradient(const float *y, const float *dy, float *dz, int64_t rows,
                                         int64_t n, float *db)
{
    for (int64_t i = 0; i < rows; i++) {
        const float *y_row = y + i * n, *dy_row = dy + i * n;
        float *dz_row = dz + i * n;
        for (int64_t j = 0; j < n; j++) {
            float value = y_row[j] > 0.0f ? dy_row[j] : 0.0f;
            dz_row[j] = value;
            db[j] += value;
        }
    }
}

/* --- a product --- */

/* What the gradient needs besides the tensors. */
typedef struct saved {
    bool relu;     /* fused into y */
    bool gathered; /* x was split over cols and gathered: the gradient wants it whole again */
} saved;

/* The kernel's rows from all ranks of the grid's column: (k × own n), in the pool; the kernel's own
 * memory when it is not cut. */
static float *gather_kernel(strata_tensor *kernel, int64_t k, int64_t n, bool *owned)
{
    strata_context *ctx = kernel->ctx;
    *owned = kernel->matrix && ctx->mesh->rows > 1;
    if (!*owned)
        return kernel->data;
    float *whole = strata__alloc(ctx, (size_t)(k * n) * sizeof *whole);
    if (whole)
        strata__gather_rows(ctx, STRATA__ROWS, kernel->data, whole, k, n);
    return whole;
}

/* dW = xᵀ·dz. A cut kernel's part goes to the ranks of the column: each keeps the sum of its rows.
 */
static void kernel_gradient(strata_tensor *kernel, const float *x, const float *dz, int64_t rows,
                            int64_t k, int64_t n)
{
    strata_context *ctx = kernel->ctx;
    float beta;
    float *into = strata__gradient_into(kernel, &beta);
    if (!into)
        return;
    if (!kernel->matrix || ctx->mesh->rows == 1) {
        strata__batch_product_part(ctx, x, dz, rows, k, n, beta, into);
        return;
    }
    int64_t own = kernel->matrix->local_m * n;
    float *whole = strata__alloc(ctx, (size_t)(k * n + own) * sizeof *whole);
    if (!whole)
        return;
    strata__batch_product_part(ctx, x, dz, rows, k, n, 0.0f, whole);
    float *piece = beta == 0.0f ? into : whole + k * n;
    strata__scatter_sum_rows(ctx, STRATA__ROWS, whole, piece, k, n);
    for (int64_t i = 0; beta != 0.0f && i < own; i++)
        into[i] += piece[i];
    strata__free(ctx, whole);
}

/* dx = dz·Wᵀ: with columns of W on several ranks a sum over them, of which a split x wants its own
 * columns. */
static void input_gradient(strata_tensor *x, strata_tensor *kernel, const float *dz, int64_t rows,
                           int64_t k, int64_t n)
{
    strata_context *ctx = x->ctx;
    if (!strata__wants(x))
        return;
    bool owned;
    float *w = gather_kernel(kernel, k, n, &owned);
    if (!w)
        return;
    float beta;
    bool partial = kernel->matrix && ctx->mesh->cols > 1;
    if (!partial) {
        float *into = strata__gradient_into(x, &beta);
        if (into)
            strata__gemm(ctx, false, true, rows, k, n, dz, n, w, n, beta, into, k);
    } else {
        strata_tensor *dx = strata__tensor_like(x);
        float *sum = x->layout.split ? strata__alloc(ctx, (size_t)(rows * k) * sizeof *sum)
                     : dx            ? dx->data
                                     : NULL;
        if (dx && sum) {
            strata__gemm(ctx, false, true, rows, k, n, dz, n, w, n, 0.0f, sum, k);
            if (x->layout.split)
                strata__scatter_sum_columns(ctx, STRATA__COLS, sum, dx->data, rows, k);
            else
                strata__sum(ctx, STRATA__COLS, sum, rows * k, STRATA_FLOAT32);
            strata__gradient_give(x, dx);
        }
        if (x->layout.split)
            strata__free(ctx, sum);
    }
    if (owned)
        strata__free(ctx, w);
}

/* db = Σ dz, and through a fused relu dz = dy where y > 0: then in dy's own memory if nobody else
 * reads it. */
static const float *through_activation(strata__node *node, int64_t rows, int64_t n,
                                       strata_tensor **scratch)
{
    const saved *s = node->saved;
    strata_tensor *dy = node->outputs[0]->gradient, *bias = node->inputs[2];
    strata_context *ctx = dy->ctx;
    float beta = 0;
    float *db = strata__gradient_into(bias, &beta);
    if (!s->relu) {
        if (db)
            strata__batch_sum_part(dy->data, rows, n, beta, db);
        return dy->data;
    }
    float *unused = db ? NULL : strata__alloc(ctx, (size_t)n * sizeof *unused);
    *scratch = dy->buffer->references == 1 ? dy : strata__tensor_like(node->outputs[0]);
    if (db && beta == 0.0f)
        memset(db, 0, (size_t)n * sizeof *db);
    if (unused)
        memset(unused, 0, (size_t)n * sizeof *unused);
    if (*scratch && (db || unused))
        relu_gradient(node->outputs[0]->data, dy->data, (*scratch)->data, rows, n,
                      db ? db : unused);
    strata__free(ctx, unused);
    return *scratch ? (*scratch)->data : NULL;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0], *kernel = node->inputs[1], *scratch = NULL;
    int64_t rows = strata__local_rows(node->outputs[0]);
    int64_t n = strata__last(&node->outputs[0]->local), k = strata__last(&x->shape);
    const float *dz = through_activation(node, rows, n, &scratch);
    if (!dz)
        return;
    const float *whole = x->data;
    float *again = NULL;
    if (s->gathered) {
        again = strata__alloc(ctx, (size_t)(rows * k) * sizeof *again);
        if (!again)
            return;
        strata__gather_columns(ctx, STRATA__COLS, x->data, again, rows, k);
        whole = again;
    }
    kernel_gradient(kernel, whole, dz, rows, k, n);
    strata__free(ctx, again);
    input_gradient(x, kernel, dz, rows, k, n);
}

static void finish_rows(float *y, const strata_tensor *bias, bool relu, int64_t rows, int64_t n)
{
    if (bias && relu)
        add_bias_relu(y, bias->data, rows, n);
    else if (bias)
        add_bias(y, bias->data, rows, n);
    else if (relu)
        relu_rows(y, rows * n);
}

/* y (rows × own n) = x (rows × k)·W (k × own n); x whole. */
static bool multiply(strata_tensor *y, const float *x, strata_tensor *kernel, int64_t rows,
                     int64_t k)
{
    int64_t n = strata__last(&y->local);
    bool owned;
    float *w = gather_kernel(kernel, k, n, &owned);
    if (!w)
        return false;
    strata__gemm(y->ctx, false, false, rows, n, k, x, k, w, n, 0.0f, y->data, n);
    if (owned)
        strata__free(y->ctx, w);
    return true;
}

static strata_tensor *product(strata_tensor *x, strata_tensor *kernel, strata_tensor *bias,
                              bool relu)
{
    strata_context *ctx = x->ctx;
    strata_shape shape = x->shape;
    shape.dims[shape.rank - 1] = strata__last(&kernel->shape);
    bool cut = kernel->matrix != NULL;
    strata__layout layout = {.batch = x->layout.batch, .split = cut && ctx->mesh->cols > 1};
    strata_tensor *y = x->symbolic ? strata__tensor_shaped(x, STRATA_FLOAT32, &shape)
                                   : strata__tensor_new(ctx, STRATA_FLOAT32, &shape, layout);
    if (!y || y->symbolic)
        return y;
    strata_tensor *whole = x;
    if (x->layout.split) { /* gathered for this product only: the tape keeps the piece */
        strata__tape *tape = strata__tape_pause(ctx);
        whole = strata__whole(x);
        strata__tape_resume(ctx, tape);
    }
    int64_t rows = strata__local_rows(x), k = strata__last(&x->shape);
    if (!whole || !multiply(y, whole->data, kernel, rows, k))
        return NULL;
    finish_rows(y->data, bias, relu, rows, strata__last(&y->local));
    strata_tensor *inputs[] = {x, kernel, bias};
    strata__node *node = strata__record(ctx, "dense", gradient, 3, inputs, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){.relu = relu, .gathered = x->layout.split};
    return y;
}

static bool operands_fit(const char *who, const strata_tensor *x, const strata_tensor *kernel)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    if (x->shape.rank >= 1 && kernel->shape.rank == 2 &&
        strata__last(&x->shape) == kernel->shape.dims[0] && x->dtype == STRATA_FLOAT32)
        return true;
    strata__fail(x->ctx, STRATA_INVALID,
                 "%s: %s input of shape %s cannot be multiplied by a kernel of shape %s", who,
                 strata_dtype_name(x->dtype), strata__shape_text(&x->shape, ours),
                 strata__shape_text(&kernel->shape, theirs));
    return false;
}

strata_tensor *strata__dense(const char *who, strata_tensor *x, strata_tensor *kernel,
                             strata_tensor *bias, const strata__object *activation)
{
    if (!x || !kernel || !operands_fit(who, x, kernel))
        return NULL;
    if (!kernel->matrix)
        x = strata__whole(x);
    bool relu = strata__activation_is_relu(activation);
    strata_tensor *y = product(x, kernel, bias, relu);
    if (relu || !y)
        return y;
    if (!strata__activation_local(activation, y->shape.rank))
        y = strata__whole(y);
    return strata__activate(y, activation);
}

strata_tensor *strata_ops_matmul(strata_tensor *x, strata_tensor *w)
{
    static const strata__object linear = {0};
    if (!x || !w)
        return NULL;
    return strata__dense("matmul", x, w, NULL, &linear);
}
