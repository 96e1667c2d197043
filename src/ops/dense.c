/* Dense products: y = activation(x · kernel + bias) over the last axis, and their gradients. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/activation.h"
#include "ops/batch.h"
#include "ops/gemm.h"
#include "ops/matmul.h"
#include "ops/threads.h"

/* --- activation --- */

/* Floats at a time: the activation finds them in the nearest cache. */
enum { TILE = 4096 };

/* An activation that follows a product, while its rows are in the cache. */
typedef struct activated {
    const strata__pointwise *function;
    const void *arguments;
    int64_t n;
    float *z, *y; /* (rows × n): the product, and the result, which may be the same memory */
} activated;

static void activate_rows(const void *user, int64_t first, int64_t count)
{
    const activated *f = user;
    int64_t height = TILE / (f->n + 1) + 1, end = first + count;
    for (int64_t row = first; row < end; row += height) {
        int64_t rows = end - row < height ? end - row : height;
        f->function->value(f->arguments, rows * f->n, f->z + row * f->n, f->y + row * f->n);
    }
}

static void activate_on_threads(const void *user, int64_t first, int64_t rows)
{
    const activated *all = user;
    activated part = *all;
    part.z += first * all->n;
    part.y += first * all->n;
    strata__on_threads(rows, all->n, activate_rows, &part);
}

/* --- a product --- */

/*
 * x (rows × k)·kernel (k × n). A kernel is whole and the product local, or it lies on the model
 * grid with k over rows and n over cols, and then so do x and y.
 */
typedef struct saved {
    int64_t rows, k, n;  /* of this rank's y, and all of k */
    strata__matrix x, y; /* on the grid */
    const strata__pointwise *function;
    strata_tensor *z; /* what it was applied to; the result itself where that will do */
    _Alignas(16) char arguments[]; /* of the function */
} saved;

/*
 * (samples…) × features as a matrix on this model grid, which has the samples of its rows. What is
 * no batch is on every row of the mesh, and counts as so many rows of samples.
 */
static strata_status describe(const char *who, const strata_tensor *x, strata__matrix *matrix)
{
    const strata__mesh *mesh = x->ctx->mesh;
    int64_t block = strata__local_rows(x), m = block * mesh->rows;
    if (x->layout.batch) {
        int64_t inner = strata__product(&x->shape, 1, x->shape.rank - 1);
        int64_t own = strata__piece_of(x->shape.dims[0], mesh->data * mesh->rows, 0).count;
        int64_t rest = x->shape.dims[0] - own * mesh->rows * mesh->data_index;
        int64_t samples = rest < own * mesh->rows ? rest : own * mesh->rows;
        block = own * inner;
        m = samples > 0 ? samples * inner : 0;
    }
    return strata__matrix_describe(x->ctx, who, m, strata__last(&x->shape), block, 0, matrix);
}

static strata__grid_matrix on_grid(const strata__matrix *matrix, const strata_tensor *tensor,
                                   const float *piece)
{
    return (strata__grid_matrix){.matrix = matrix,
                                 .piece = (float *)(uintptr_t)piece,
                                 .whole = !tensor->matrix && !tensor->layout.split};
}

/* y = activation(x·kernel + bias), x·kernel + bias in z */
static void multiply(const saved *s, const strata_tensor *x, const strata_tensor *kernel,
                     const strata_tensor *bias, const activated *activation)
{
    strata__gemm_call product = {.m = s->rows,
                                 .n = s->n,
                                 .k = s->k,
                                 .a = x->data,
                                 .lda = s->k,
                                 .b = kernel->data,
                                 .ldb = s->n,
                                 .c = s->z->data,
                                 .ldc = s->n,
                                 .bias = bias ? bias->data : NULL,
                                 .finish = activation->function ? activate_on_threads : NULL,
                                 .user = activation};
    if (!kernel->matrix) {
        strata__gemm_call_run(x->ctx, &product);
        return;
    }
    strata__matmul(x->ctx, STRATA__PLAIN, on_grid(&s->x, x, x->data),
                   on_grid(kernel->matrix, kernel, kernel->data), 0.0f,
                   on_grid(&s->y, s->z, s->z->data));
    strata__gemm_finish(&product, 0, s->rows);
}

/* dx = dz·Wᵀ */
static void input_gradient(const saved *s, strata_tensor *x, const strata_tensor *kernel,
                           const strata_tensor *y, const float *dz)
{
    float beta, *dx = strata__gradient_into(x, &beta);
    if (dx && kernel->matrix)
        strata__matmul(x->ctx, STRATA__B_TRANSPOSED, on_grid(&s->y, y, dz),
                       on_grid(kernel->matrix, kernel, kernel->data), beta, on_grid(&s->x, x, dx));
    else if (dx)
        strata__gemm(x->ctx, false, true, s->rows, s->k, s->n, dz, s->n, kernel->data, s->n, beta,
                     dx, s->k);
}

/* dW = xᵀ·dz and db = Σ_rows dz. Parts; on the grid the rows of dW are summed along the columns of
 * the mesh. */
static void parameter_gradients(const saved *s, const strata_tensor *x, strata_tensor *kernel,
                                strata_tensor *bias, const strata_tensor *y, const float *dz)
{
    float beta, bias_beta;
    float *dw = strata__gradient_into(kernel, &beta), *db = strata__gradient_into(bias, &bias_beta);
    if (dw && !kernel->matrix) {
        strata__batch_product_part(x->ctx, x->data, dz, s->rows, s->k, s->n, beta, dw, bias_beta,
                                   db);
        return;
    }
    if (db)
        strata__batch_sum_part(dz, s->rows, s->n, bias_beta, db);
    if (dw)
        strata__matmul(x->ctx, STRATA__A_TRANSPOSED, on_grid(&s->x, x, x->data),
                       on_grid(&s->y, y, dz), beta, on_grid(kernel->matrix, kernel, dw));
}

/* dz, the gradient before a fused activation: in dy's own memory if nobody else reads it, else in
 * `own`, to be freed. */
static const float *before_activation(const saved *s, const strata_tensor *y, float **own)
{
    const strata_tensor *dy = y->gradient;
    int64_t count = s->rows * s->n;
    *own = NULL;
    if (!s->function)
        return dy->data;
    if (dy->buffer->references > 1)
        *own = strata__alloc(y->ctx, (size_t)count * sizeof **own);
    float *dz = dy->buffer->references > 1 ? *own : dy->data;
    if (!dz)
        strata__abort(y->ctx, "gradient of a dense product");
    strata__pointwise_gradient(s->function, s->arguments, count, s->z->data, y->data, dy->data,
                               0.0f, dz);
    return dz;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0], *kernel = node->inputs[1], *bias = node->inputs[2];
    const strata_tensor *y = node->outputs[0];
    float *own;
    const float *dz = before_activation(s, y, &own);
    parameter_gradients(s, x, kernel, bias, y, dz);
    input_gradient(s, x, kernel, y, dz);
    strata__free(ctx, own);
}

/* --- the operation --- */

static strata_tensor *result_for(const strata_tensor *x, const strata_tensor *kernel)
{
    strata_shape shape = x->shape;
    strata__layout layout = {.batch = x->layout.batch};
    shape.dims[shape.rank - 1] = strata__last(&kernel->shape);
    if (x->symbolic)
        return strata__tensor_symbolic(x->ctx, STRATA_FLOAT32, &shape, layout);
    layout.split = kernel->matrix && x->ctx->mesh->cols > 1;
    return strata__tensor_new(x->ctx, STRATA_FLOAT32, &shape, layout);
}

static void record(const saved *s, const strata__object *activation, strata_tensor *const *inputs,
                   strata_tensor *y)
{
    size_t size = s->function ? activation->class->config_size : 0;
    strata__node *node =
        strata__record(y->ctx, "dense", gradient, 3, inputs, 1, &y, sizeof *s + size);
    if (!node)
        return;
    saved *kept = node->saved;
    *kept = *s;
    if (size)
        memcpy(kept->arguments, activation->config, size);
}

/* Memory of the product before the activation: of its own where gradients will ask for it. */
static strata_tensor *product_for(strata_tensor *y, const strata__object *activation)
{
    bool keeps = y->ctx->tape && strata__activation_fused(activation) &&
                 !strata__activation_in_place(activation);
    return keeps ? strata__tensor_like(y) : y;
}

/* x whole or split, kernel whole or on the grid. */
static strata_tensor *product(const char *who, strata_tensor *x, strata_tensor *kernel,
                              strata_tensor *bias, const strata__object *activation)
{
    const strata__pointwise *function = strata__activation_fused(activation);
    strata_tensor *y = x ? result_for(x, kernel) : NULL;
    if (!y || y->symbolic)
        return y;
    bias = y->layout.split ? strata__split(bias) : strata__whole(bias);
    saved s = {.rows = strata__local_rows(x),
               .k = strata__last(&x->shape),
               .n = strata__last(&y->local),
               .function = function,
               .z = product_for(y, activation)};
    if (!s.z || (kernel->matrix &&
                 (describe(who, x, &s.x) != STRATA_OK || describe(who, y, &s.y) != STRATA_OK)))
        return NULL;
    activated f = {.function = function,
                   .arguments = function ? activation->config : NULL,
                   .n = s.n,
                   .z = s.z->data,
                   .y = y->data};
    multiply(&s, x, kernel, bias, &f);
    record(&s, activation, (strata_tensor *[]){x, kernel, bias}, y);
    return y;
}

static bool operands_fit(const char *who, const strata_tensor *x, const strata_tensor *kernel)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    if (!strata__is_float(who, x) || !strata__is_float(who, kernel))
        return false;
    if (x->shape.rank >= 1 && kernel->shape.rank == 2 &&
        strata__last(&x->shape) == kernel->shape.dims[0])
        return true;
    strata__fail(x->ctx, STRATA_INVALID,
                 "%s: an input of shape %s cannot be multiplied by a kernel of shape %s", who,
                 strata__shape_text(&x->shape, ours), strata__shape_text(&kernel->shape, theirs));
    return false;
}

strata_tensor *strata__dense(const char *who, strata_tensor *x, strata_tensor *kernel,
                             strata_tensor *bias, const strata__object *activation)
{
    if (!x || !kernel || !operands_fit(who, x, kernel))
        return NULL;
    if (!kernel->matrix)
        x = strata__whole(x);
    strata_tensor *y = product(who, x, kernel, bias, activation);
    if (!y || strata__activation_fused(activation))
        return y;
    return strata__activate(y, activation);
}

strata_tensor *strata_ops_matmul(strata_tensor *x, strata_tensor *w)
{
    static const strata__object linear = {0};
    return strata__dense("matmul", x, w, NULL, &linear);
}
