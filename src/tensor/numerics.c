/* --check-numerics: the first NaN or infinity of a step, by rank, layer, tensor and index. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/numerics.h"

#include <math.h>
#include <string.h>

/* --- finding --- */

/* Elements at a time: without a way out in between the compiler makes vectors of it. */
enum { BLOCK = 4096, NAME_SIZE = 256 };

static bool block_is_finite(const float *values, int64_t count)
{
    uint32_t worst = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits &= 0x7f800000;
        worst = bits > worst ? bits : worst;
    }
    return worst < 0x7f800000;
}

static int64_t find_float(const float *values, int64_t count)
{
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t end = count - first < BLOCK ? count : first + BLOCK;
        if (block_is_finite(values + first, end - first))
            continue;
        for (int64_t i = first; i < end; i++) {
            if (!isfinite(values[i]))
                return i;
        }
    }
    return -1;
}

static int64_t find_double(const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return i;
    }
    return -1;
}

int64_t strata__find_not_finite(const strata_tensor *tensor, const void *data)
{
    int64_t count = strata__local_count(tensor);
    if (tensor->dtype == STRATA_FLOAT32)
        return find_float(data, count);
    return tensor->dtype == STRATA_FLOAT64 ? find_double(data, count) : -1;
}

/* --- naming --- */

/* Number of a local element in the whole tensor, row by row. */
static int64_t global_element(const strata_tensor *tensor, int64_t element)
{
    const strata__matrix *matrix = tensor->matrix;
    if (matrix)
        return (matrix->first_m + element / matrix->local_n) * matrix->n + matrix->first_n +
               element % matrix->local_n;
    int64_t own = strata__last(&tensor->local);
    return strata__first_element(tensor) + element / own * strata__last(&tensor->shape) +
           tensor->first_feature + element % own;
}

static double value_at(const strata_tensor *tensor, const void *data, int64_t element)
{
    return tensor->dtype == STRATA_FLOAT32 ? (double)((const float *)data)[element]
                                           : ((const double *)data)[element];
}

/* "(3, 0, 17)" */
static const char *index_text(const strata_shape *shape, int64_t element,
                              char text[STRATA__SHAPE_TEXT])
{
    strata_shape index = {.rank = shape->rank};
    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        index.dims[axis] = element % shape->dims[axis];
        element /= shape->dims[axis];
    }
    return strata__shape_text(&index, text);
}

static void report(const strata_tensor *tensor, const void *data, int64_t at,
                   const strata_shape *shape, const char *layer, const char *what)
{
    strata_context *ctx = tensor->ctx;
    char index[STRATA__SHAPE_TEXT];
    strata__defer(ctx, STRATA_NOT_FINITE, "step %llu, rank %d%s%s%s: %s is %g at %s",
                  (unsigned long long)ctx->step + 1, ctx->rank, layer ? ", layer '" : "",
                  layer ? layer : "", layer ? "'" : "", what, value_at(tensor, data, at),
                  index_text(shape, global_element(tensor, at), index));
}

void strata__look(const strata_tensor *tensor, const void *data, const strata_shape *shape,
                  const char *layer, const char *format, ...)
{
    strata_context *ctx = tensor->ctx;
    if (!ctx->settings.check_numerics || !data || ctx->numerics.found ||
        ctx->deferred_status != STRATA_OK)
        return;
    ctx->numerics.looks++;
    int64_t at = strata__find_not_finite(tensor, data);
    if (at < 0)
        return;
    char what[NAME_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    ctx->numerics.found = ctx->numerics.looks;
    report(tensor, data, at, shape, layer, what);
}

void strata__looks_settle(strata_context *ctx)
{
    if (!ctx->settings.check_numerics)
        return;
    bool found = ctx->numerics.found > 0;
    int64_t own = found ? ctx->numerics.found : INT64_MAX, first = own;
    strata__min(ctx, STRATA__WORLD, &first, 1, STRATA_INT64);
    if (found && own != first)
        ctx->deferred_status = STRATA_OK;
    ctx->numerics.looks = ctx->numerics.found = 0;
}
