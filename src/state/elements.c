/* Loops over elements of any type. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/elements.h"

#include <string.h>

bool strata__dtype_is_real(strata_dtype dtype)
{
    return dtype == STRATA_FLOAT32 || dtype == STRATA_FLOAT64;
}

static void set_one(strata_dtype dtype, void *elements, int64_t i, double value)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        ((float *)elements)[i] = (float)value;
        break;
    case STRATA_FLOAT64:
        ((double *)elements)[i] = value;
        break;
    case STRATA_INT32:
        ((int32_t *)elements)[i] = (int32_t)value;
        break;
    case STRATA_INT64:
        ((int64_t *)elements)[i] = (int64_t)value;
        break;
    case STRATA_UINT8:
        ((uint8_t *)elements)[i] = (uint8_t)value;
        break;
    case STRATA_BOOL:
        ((bool *)elements)[i] = value != 0;
        break;
    }
}

void strata__elements_set(strata_dtype dtype, void *elements, int64_t count, double value)
{
    for (int64_t i = 0; i < count; i++)
        set_one(dtype, elements, i, value);
}

void strata__elements_from_floats(strata_dtype dtype, void *elements, const float *from,
                                  int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        set_one(dtype, elements, i, from[i]);
}

static void add_floats(float *into, const float *from, int64_t count, float factor)
{
    for (int64_t i = 0; i < count; i++)
        into[i] += factor * from[i];
}

static void add_doubles(double *into, const double *from, int64_t count, double factor)
{
    for (int64_t i = 0; i < count; i++)
        into[i] += factor * from[i];
}

/* Unsigned arithmetic wraps around, as NumPy's does, where the signed one would be undefined. */
static void add_int32(uint32_t *into, const uint32_t *from, int64_t count, uint32_t factor)
{
    for (int64_t i = 0; i < count; i++)
        into[i] += factor * from[i];
}

static void add_int64(uint64_t *into, const uint64_t *from, int64_t count, uint64_t factor)
{
    for (int64_t i = 0; i < count; i++)
        into[i] += factor * from[i];
}

static void add_uint8(uint8_t *into, const uint8_t *from, int64_t count, uint8_t factor)
{
    for (int64_t i = 0; i < count; i++)
        into[i] = (uint8_t)(into[i] + factor * from[i]);
}

/* elements += factor · from, factor 1 or −1. */
static void add_times(strata_dtype dtype, void *elements, const void *from, int64_t count,
                      int factor)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        add_floats(elements, from, count, (float)factor);
        break;
    case STRATA_FLOAT64:
        add_doubles(elements, from, count, factor);
        break;
    case STRATA_INT32:
        add_int32(elements, from, count, (uint32_t)factor);
        break;
    case STRATA_INT64:
        add_int64(elements, from, count, (uint64_t)factor);
        break;
    case STRATA_UINT8:
        add_uint8(elements, from, count, (uint8_t)factor);
        break;
    case STRATA_BOOL:
        break;
    }
}

void strata__elements_add(strata_dtype dtype, void *elements, const void *from, int64_t count)
{
    add_times(dtype, elements, from, count, 1);
}

void strata__elements_subtract(strata_dtype dtype, void *elements, const void *from, int64_t count)
{
    add_times(dtype, elements, from, count, -1);
}

/* Quotient towards 0; the low `remainder` indices get one more (or less, below 0). */
static int64_t whole_part(int64_t x, int parts, int index)
{
    int64_t rest = x % parts, size = rest < 0 ? -rest : rest;
    int64_t extra = index >= 0 && index < size ? 1 : 0;
    return x / parts + (rest < 0 ? -extra : extra);
}

/* index −1: the plain quotient. */
static void divide(strata_dtype dtype, void *elements, int64_t count, int parts, int index)
{
    for (int64_t i = 0; i < count; i++) {
        switch (dtype) {
        case STRATA_FLOAT32:
            ((float *)elements)[i] /= (float)parts;
            break;
        case STRATA_FLOAT64:
            ((double *)elements)[i] /= parts;
            break;
        case STRATA_INT32:
            ((int32_t *)elements)[i] = (int32_t)whole_part(((int32_t *)elements)[i], parts, index);
            break;
        case STRATA_INT64:
            ((int64_t *)elements)[i] = whole_part(((int64_t *)elements)[i], parts, index);
            break;
        case STRATA_UINT8:
            ((uint8_t *)elements)[i] = (uint8_t)whole_part(((uint8_t *)elements)[i], parts, index);
            break;
        case STRATA_BOOL:
            break;
        }
    }
}

void strata__elements_divide(strata_dtype dtype, void *elements, int64_t count, int divisor)
{
    divide(dtype, elements, count, divisor, -1);
}

void strata__elements_share(strata_dtype dtype, void *elements, int64_t count, int replicas,
                            int index)
{
    divide(dtype, elements, count, replicas, index);
}

static double scatter_real(strata_scatter operation, double x, double by)
{
    switch (operation) {
    case STRATA_SCATTER_ADD:
        return x + by;
    case STRATA_SCATTER_SUB:
        return x - by;
    case STRATA_SCATTER_MUL:
        return x * by;
    case STRATA_SCATTER_DIV:
        return x / by;
    case STRATA_SCATTER_MIN:
        return by < x ? by : x;
    case STRATA_SCATTER_MAX:
        return by > x ? by : x;
    case STRATA_SCATTER_UPDATE:
        return by;
    }
    return x;
}

/* The quotient −(−2⁶³) does not fit and wraps around too. */
static int64_t divide_whole(int64_t x, int64_t by)
{
    if (by == 0)
        return 0;
    return by == -1 ? (int64_t)(0 - (uint64_t)x) : x / by;
}

static int64_t scatter_whole(strata_scatter operation, int64_t x, int64_t by)
{
    switch (operation) {
    case STRATA_SCATTER_ADD:
        return (int64_t)((uint64_t)x + (uint64_t)by);
    case STRATA_SCATTER_SUB:
        return (int64_t)((uint64_t)x - (uint64_t)by);
    case STRATA_SCATTER_MUL:
        return (int64_t)((uint64_t)x * (uint64_t)by);
    case STRATA_SCATTER_DIV:
        return divide_whole(x, by);
    case STRATA_SCATTER_MIN:
        return by < x ? by : x;
    case STRATA_SCATTER_MAX:
        return by > x ? by : x;
    case STRATA_SCATTER_UPDATE:
        return by;
    }
    return x;
}

void strata__element_scatter(strata_dtype dtype, strata_scatter operation, void *element,
                             const void *by)
{
    switch (dtype) {
    case STRATA_FLOAT32:
        *(float *)element = (float)scatter_real(operation, *(float *)element, *(const float *)by);
        break;
    case STRATA_FLOAT64:
        *(double *)element = scatter_real(operation, *(double *)element, *(const double *)by);
        break;
    case STRATA_INT32:
        *(int32_t *)element =
            (int32_t)scatter_whole(operation, *(int32_t *)element, *(const int32_t *)by);
        break;
    case STRATA_INT64:
        *(int64_t *)element = scatter_whole(operation, *(int64_t *)element, *(const int64_t *)by);
        break;
    case STRATA_UINT8:
        *(uint8_t *)element =
            (uint8_t)scatter_whole(operation, *(uint8_t *)element, *(const uint8_t *)by);
        break;
    case STRATA_BOOL:
        *(bool *)element = *(const bool *)by;
        break;
    }
}
