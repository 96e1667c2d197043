/* Functions of one tensor, element by element, and conversions of type. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "ops/math.h"
#include "ops/ops.h"

/* y = f(x) and dx = dy·f'(x), where the slope may use x or y, whichever is cheaper. */
typedef struct kernel {
    const char *op;
    void (*forward)(const float *x, float *y, int64_t count);
    void (*gradient)(const float *x, const float *y, const float *dy, float *dx, int64_t count);
} kernel;

typedef struct saved {
    const kernel *kernel;
} saved;

STRATA__VECTOR static void square(const float *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * x[i];
}

STRATA__VECTOR static void square_gradient(const float *x, const float *y, const float *dy,
                                           float *dx, int64_t count)
{
    (void)y;
    for (int64_t i = 0; i < count; i++)
        dx[i] = 2.0f * x[i] * dy[i];
}

STRATA__VECTOR static void square_root(const float *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = sqrtf(x[i]);
}

STRATA__VECTOR static void square_root_gradient(const float *x, const float *y, const float *dy,
                                                float *dx, int64_t count)
{
    (void)x;
    for (int64_t i = 0; i < count; i++)
        dx[i] = 0.5f * dy[i] / y[i];
}

STRATA__VECTOR static void exponential(const float *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = strata__exp(x[i]);
}

STRATA__VECTOR static void exponential_gradient(const float *x, const float *y, const float *dy,
                                                float *dx, int64_t count)
{
    (void)x;
    for (int64_t i = 0; i < count; i++)
        dx[i] = y[i] * dy[i];
}

static void logarithm(const float *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = logf(x[i]);
}

STRATA__VECTOR static void logarithm_gradient(const float *x, const float *y, const float *dy,
                                              float *dx, int64_t count)
{
    (void)y;
    for (int64_t i = 0; i < count; i++)
        dx[i] = dy[i] / x[i];
}

STRATA__VECTOR static void absolute(const float *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = fabsf(x[i]);
}

STRATA__VECTOR static void absolute_gradient(const float *x, const float *y, const float *dy,
                                             float *dx, int64_t count)
{
    (void)y;
    for (int64_t i = 0; i < count; i++)
        dx[i] = x[i] > 0.0f ? dy[i] : x[i] < 0.0f ? -dy[i] : 0.0f;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const kernel *k = ((const saved *)node->saved)->kernel;
    strata_tensor *x = node->inputs[0], *dx = strata__tensor_like(x);
    if (!dx)
        return;
    k->gradient(x->data, node->outputs[0]->data, strata__gradient_at(node, 0)->data, dx->data,
                strata__local_count(x));
    strata__gradient_give(x, dx);
}

static bool is_float(const strata_tensor *x, const char *op)
{
    if (x->dtype == STRATA_FLOAT32)
        return true;
    strata__fail(x->ctx, STRATA_INVALID, "%s of a %s tensor; convert it with strata_ops_cast()", op,
                 strata_dtype_name(x->dtype));
    return false;
}

static strata_tensor *apply(strata_tensor *x, const kernel *k)
{
    if (!x || !is_float(x, k->op))
        return NULL;
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    k->forward(x->data, y->data, strata__local_count(x));
    strata__node *node = strata__record(x->ctx, k->op, gradient, 1, &x, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){k};
    return y;
}

strata_tensor *strata_ops_square(strata_tensor *x)
{
    static const kernel k = {"square", square, square_gradient};
    return apply(x, &k);
}

strata_tensor *strata_ops_sqrt(strata_tensor *x)
{
    static const kernel k = {"sqrt", square_root, square_root_gradient};
    return apply(x, &k);
}

strata_tensor *strata_ops_exp(strata_tensor *x)
{
    static const kernel k = {"exp", exponential, exponential_gradient};
    return apply(x, &k);
}

strata_tensor *strata_ops_log(strata_tensor *x)
{
    static const kernel k = {"log", logarithm, logarithm_gradient};
    return apply(x, &k);
}

strata_tensor *strata_ops_abs(strata_tensor *x)
{
    static const kernel k = {"abs", absolute, absolute_gradient};
    return apply(x, &k);
}

strata_tensor *strata_ops_negative(strata_tensor *x)
{
    return strata_ops_affine(x, -1, 0);
}

/* --- scale · x + offset --- */

STRATA__VECTOR static void affine(const float *x, float scale, float offset, float *y,
                                  int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = scale * x[i] + offset;
}

static void affine_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    strata_tensor *x = node->inputs[0], *dx = strata__tensor_like(x);
    if (!dx)
        return;
    affine(strata__gradient_at(node, 0)->data, *(const float *)node->saved, 0, dx->data,
           strata__local_count(x));
    strata__gradient_give(x, dx);
}

strata_tensor *strata_ops_affine(strata_tensor *x, double scale, double offset)
{
    if (!x || !is_float(x, "affine"))
        return NULL;
    strata_tensor *y = strata__tensor_like(x);
    if (!y || y->symbolic)
        return y;
    affine(x->data, (float)scale, (float)offset, y->data, strata__local_count(x));
    strata__node *node =
        strata__record(x->ctx, "affine", affine_gradient, 1, &x, 1, &y, sizeof(float));
    if (node)
        *(float *)node->saved = (float)scale;
    return y;
}
