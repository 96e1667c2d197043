/* Conversions between element types. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"

static double read(const void *data, strata_dtype dtype, int64_t i)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        return (double)((const float *)data)[i];
    case STRATA_FLOAT64:
        return ((const double *)data)[i];
    case STRATA_INT32:
        return ((const int32_t *)data)[i];
    case STRATA_INT64:
        return (double)((const int64_t *)data)[i];
    case STRATA_UINT8:
        return ((const uint8_t *)data)[i];
    case STRATA_BOOL:
        return ((const uint8_t *)data)[i] != 0;
    }
    return 0;
}

/* Whole numbers saturate instead of overflowing; not-a-number becomes 0. */
static double within(double value, double least, double most)
{
    return value != value ? 0 : value < least ? least : value > most ? most : value;
}

static void write(void *data, strata_dtype dtype, int64_t i, double value)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        ((float *)data)[i] = (float)value;
        break;
    case STRATA_FLOAT64:
        ((double *)data)[i] = value;
        break;
    case STRATA_INT32:
        ((int32_t *)data)[i] = (int32_t)within(value, INT32_MIN, INT32_MAX);
        break;
    case STRATA_INT64: /* the largest double that fits */
        ((int64_t *)data)[i] = (int64_t)within(value, -0x1p63, 0x1.fffffffffffffp62);
        break;
    case STRATA_UINT8:
        ((uint8_t *)data)[i] = (uint8_t)within(value, 0, 255);
        break;
    case STRATA_BOOL:
        ((uint8_t *)data)[i] = value != 0;
        break;
    }
}

static void from_bytes(const uint8_t *x, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i];
}

/* Through double, which is exact but for int64 beyond 2⁵³. Images are the case that must be fast.
 */
static void convert(const strata_tensor *x, strata_tensor *y)
{
    int64_t count = strata__local_count(x);
    if (x->dtype == STRATA_UINT8 && y->dtype == STRATA_FLOAT32) {
        from_bytes(x->data, y->data, count);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        write(y->data, y->dtype, i, read(x->data, x->dtype, i));
}

/* Gradients are float32 whatever the tensor is. */
static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    strata__gradient_give(node->inputs[0], node->outputs[0]->gradient);
}

static bool is_real(strata_dtype dtype)
{
    return dtype == STRATA_FLOAT32 || dtype == STRATA_FLOAT64;
}

strata_tensor *strata_ops_cast(strata_tensor *x, strata_dtype dtype)
{
    if (!x || x->dtype == dtype)
        return x;
    strata_tensor *y = strata__tensor_shaped(x, dtype, &x->shape);
    if (!y)
        return NULL;
    if (!y->symbolic)
        convert(x, y);
    if (is_real(x->dtype) && is_real(dtype))
        strata__record(x->ctx, "cast", gradient, 1, &x, 1, &y, 0);
    y->mask = strata__tensor_share(x->mask);
    return y;
}
