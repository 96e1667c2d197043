/* What the tests of the layers room share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/support.h"

#include <stdlib.h>
#include <string.h>

#include <strata/layer.h>

strata_tensor *batch_of_numbers(strata_context *ctx, strata_shape shape)
{
    int64_t count = strata__product(&shape, 0, shape.rank);
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)i;
    strata_tensor *tensor = test_batch_of(ctx, STRATA_FLOAT32, shape, values);
    free(values);
    return tensor;
}

strata_tensor *masked_batch(strata_context *ctx, strata_shape shape)
{
    strata_tensor *x = batch_of_numbers(ctx, shape);
    strata_shape without = shape;
    without.rank--;
    uint8_t values[64] = {1, 0, 1, 1};
    strata_tensor_set_mask(x, test_batch_of(ctx, STRATA_BOOL, without, values));
    return x;
}

void whole_weight_gradient(const strata_variable *variable, float *whole)
{
    const strata_tensor *gradient = strata_tensor_gradient(variable->value);
    float *piece = calloc((size_t)variable->count + 1, sizeof *piece);
    if (gradient)
        memcpy(piece, gradient->data, (size_t)variable->count * sizeof *piece);
    strata__sum(variable->ctx, variable->replicas, piece, variable->count, STRATA_FLOAT32);
    strata__variable_collect(variable, piece, whole);
    free(piece);
}
