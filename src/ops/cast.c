/* Conversions between element types. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

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
    case STRATA_INT64:
        ((int64_t *)data)[i] = (int64_t)within(value, -0x1p62, 0x1p62);
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

static void convert(const strata_tensor *x, strata_tensor *y)
{
    int64_t count = strata__local_count(x);
    if (x->dtype == STRATA_UINT8 && y->dtype == STRATA_FLOAT32) {
        from_bytes(x->data, y->data, count);
        return;
    }
    if (x->dtype == STRATA_INT64 && y->dtype == STRATA_INT32) {
        for (int64_t i = 0; i < count; i++)
            ((int32_t *)y->data)[i] = (int32_t)((const int64_t *)x->data)[i];
        return;
    }
    for (int64_t i = 0; i < count; i++)
        write(y->data, y->dtype, i, read(x->data, x->dtype, i));
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
    y->mask = strata__tensor_share(x->mask);
    return y;
}
