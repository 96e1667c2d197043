/* Sample weights, class weights and masks, brought to the shape of the values they weigh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/sample_weight.h"

#include <math.h>

#include "training/pair.h"

static double element(const strata_tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case STRATA_FLOAT32:
        return ((const float *)tensor->data)[i];
    case STRATA_FLOAT64:
        return ((const double *)tensor->data)[i];
    case STRATA_INT32:
        return ((const int32_t *)tensor->data)[i];
    case STRATA_INT64:
        return (double)((const int64_t *)tensor->data)[i];
    case STRATA_UINT8:
        return ((const uint8_t *)tensor->data)[i];
    case STRATA_BOOL:
        return ((const bool *)tensor->data)[i];
    }
    return 0;
}

/* Whether each axis of the weights has the size of the values' axis, or size 1. */
static bool spreads(const strata_tensor *weight, const strata_tensor *values, int rank)
{
    if (rank > values->shape.rank)
        return false;
    for (int i = 0; i < rank; i++) {
        if (weight->shape.dims[i] != values->shape.dims[i] && weight->shape.dims[i] != 1)
            return false;
    }
    return true;
}

/* Place in the weights of local value i: axes that are repeated have stride 0. */
static int64_t place_of(const strata_tensor *weight, const strata_tensor *values, int rank,
                        int64_t i)
{
    int64_t place = 0, stride = 1;
    i /= strata__product(&values->local, rank, values->local.rank);
    for (int axis = rank - 1; axis >= 0; axis--) {
        int64_t size = values->local.dims[axis], coordinate = size ? i % size : 0;
        i = size ? i / size : 0;
        if (weight->local.dims[axis] != 1 || weight->shape.dims[axis] != 1)
            place += coordinate * stride;
        stride *= weight->local.dims[axis];
    }
    return place;
}

strata_status strata__spread_weights(const strata_tensor *weight, const strata_tensor *values,
                                     const char *what, float *out)
{
    int rank = weight->shape.rank;
    if (rank > values->shape.rank && weight->shape.dims[rank - 1] == 1)
        rank--;
    bool whole = !weight->layout.batch && rank > 0 && weight->shape.dims[0] != 1;
    if (!spreads(weight, values, rank) || (whole && values->layout.batch)) {
        char a[STRATA__SHAPE_TEXT], b[STRATA__SHAPE_TEXT];
        return strata__fail(values->ctx, STRATA_INVALID,
                            "%s of shape %s does not weigh values of shape %s: give one a sample, "
                            "or one a value",
                            what, strata__shape_text(&weight->shape, a),
                            strata__shape_text(&values->shape, b));
    }
    int64_t count = strata__local_count(values);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)element(weight, place_of(weight, values, rank, i));
    return STRATA_OK;
}

/* --- class weights --- */

static double weight_of(int64_t label, int count, const strata__class_weight *weights)
{
    for (int i = 0; i < count; i++) {
        if (weights[i].label == label)
            return weights[i].weight;
    }
    return 1;
}

static int64_t label_of(const strata_tensor *y_true, int64_t sample, int64_t n)
{
    if (n == 1)
        return strata__whole_number(nearbyint(element(y_true, sample)));
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++) {
        if (element(y_true, sample * n + j) > element(y_true, sample * n + best))
            best = j;
    }
    return best;
}

strata_tensor *strata__class_sample_weight(strata_tensor *y_true, int count,
                                           const strata__class_weight *weights)
{
    if (!y_true)
        return NULL;
    if (y_true->shape.rank < 1 || y_true->shape.rank > 2) {
        char text[STRATA__SHAPE_TEXT];
        strata__fail(y_true->ctx, STRATA_INVALID,
                     "class_weight needs targets of shape (samples) or (samples, classes), not %s; "
                     "give sample_weight",
                     strata__shape_text(&y_true->shape, text));
        return NULL;
    }
    int64_t n = y_true->shape.rank == 2 ? y_true->shape.dims[1] : 1;
    strata_tensor *result =
        strata__tensor_shaped(y_true, STRATA_FLOAT32, &STRATA_SHAPE(y_true->shape.dims[0]));
    if (!result || result->symbolic)
        return result;
    float *out = result->data;
    for (int64_t i = 0; i < y_true->local.dims[0]; i++)
        out[i] = (float)weight_of(label_of(y_true, i, n), count, weights);
    return result;
}
