/* Pairs of targets and predictions, brought to matching shapes by Keras's rules. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/pair.h"

#include "ops/ops.h"

static bool ends_in_one(const strata_shape *shape)
{
    return shape->rank > 0 && shape->dims[shape->rank - 1] == 1;
}

static strata_shape shortened(strata_shape shape)
{
    shape.rank--;
    return shape;
}

static strata_shape lengthened(strata_shape shape)
{
    shape.dims[shape.rank++] = 1;
    return shape;
}

/* Keras's squeeze_or_expand_to_same_rank. */
static void same_rank(strata_shape *a, strata_shape *b)
{
    strata_shape *longer = a->rank > b->rank ? a : b, *shorter = a->rank > b->rank ? b : a;
    if (longer->rank != shorter->rank + 1 || !ends_in_one(longer))
        return;
    if (shorter->rank == 1)
        *shorter = lengthened(*shorter);
    else
        *longer = shortened(*longer);
}

static strata_status refuse_shapes(const char *who, const strata_tensor *y_true,
                                   const strata_tensor *y_pred, const char *rule)
{
    char a[STRATA__SHAPE_TEXT], b[STRATA__SHAPE_TEXT];
    return strata__fail(y_pred->ctx, STRATA_INVALID,
                        "%s: Arguments `target` and `output` must have the same shape%s. Received: "
                        "target.shape=%s, output.shape=%s",
                        who, rule, strata__shape_text(&y_true->shape, a),
                        strata__shape_text(&y_pred->shape, b));
}

static strata_tensor *moved_to_end(strata_tensor *x, int axis)
{
    int order[STRATA_MAX_RANK], count = 0;
    if (!x || axis == x->shape.rank - 1)
        return x;
    for (int i = 0; i < x->shape.rank; i++) {
        if (i != axis)
            order[count++] = i;
    }
    order[count] = axis;
    return strata__transpose(x, order);
}

/* Checks what both kinds of pairs need; *place is the axis, counted from the front. */
static strata_status check(const char *who, const strata_tensor *y_true,
                           const strata_tensor *y_pred, int64_t axis, int *place)
{
    strata_context *ctx = y_pred->ctx;
    int rank = y_pred->shape.rank;
    int64_t wanted = axis < 0 ? axis + rank : axis;
    *place = (int)wanted;
    if (rank < 1 || wanted < 0 || wanted >= rank || (wanted == 0 && rank > 1))
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: axis %lld of predictions with %d axes: it is none, or the batch's",
                            who, (long long)axis, rank);
    if (y_true->layout.batch != y_pred->layout.batch)
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: targets and predictions lie differently on the ranks: %s is a "
                            "batch, the other is whole",
                            who, y_true->layout.batch ? "one target" : "one prediction");
    return STRATA_OK;
}

/* The prediction, in pieces only where its last axis is that of the rows. */
static strata_tensor *prediction_of(strata_tensor *y_pred, int place, bool pieces)
{
    strata_tensor *prediction = strata_ops_cast(y_pred, STRATA_FLOAT32);
    bool last = y_pred->shape.rank > 1 && place == y_pred->shape.rank - 1;
    return pieces && last ? prediction : strata__whole(prediction);
}

static strata__piece own_numbers(const strata__pair *pair)
{
    const strata_tensor *prediction = pair->prediction;
    if (!prediction->layout.split)
        return (strata__piece){0, pair->n};
    return (strata__piece){prediction->first_feature, strata__last(&prediction->local)};
}

strata_status strata__pair_dense(const char *who, strata_tensor *y_true, strata_tensor *y_pred,
                                 int64_t axis, bool pieces, strata__pair *pair)
{
    int place = 0;
    STRATA_TRY(check(who, y_true, y_pred, axis, &place));
    strata_shape target = y_true->shape, shape = y_pred->shape;
    bool alike = strata__shape_equal(&target, &shape);
    same_rank(&target, &shape);
    if (!strata__shape_equal(&target, &shape))
        return refuse_shapes(who, y_true, y_pred, "");
    pair->prediction = prediction_of(y_pred, place, pieces && alike);
    if (!pair->prediction)
        return y_pred->ctx->status;
    pair->truth = strata_ops_cast(y_true, STRATA_FLOAT32);
    pair->truth =
        pair->prediction->layout.split ? strata__split(pair->truth) : strata__whole(pair->truth);
    if (shape.rank == y_pred->shape.rank && place < shape.rank - 1) {
        pair->prediction = moved_to_end(pair->prediction, place);
        pair->truth = moved_to_end(pair->truth, place);
        shape = pair->prediction ? pair->prediction->shape : shape;
    }
    if (!pair->prediction || !pair->truth)
        return y_pred->ctx->status;
    pair->scalar = shape.rank == 1;
    if (pair->scalar)
        shape = lengthened(shape);
    pair->n = strata__last(&shape);
    pair->own = own_numbers(pair);
    pair->values = shortened(shape);
    return STRATA_OK;
}

strata_status strata__pair_sparse(const char *who, strata_tensor *y_true, strata_tensor *y_pred,
                                  int64_t axis, bool pieces, strata__pair *pair)
{
    int place = 0;
    STRATA_TRY(check(who, y_true, y_pred, axis, &place));
    strata_shape target = y_true->shape;
    if (target.rank == y_pred->shape.rank && ends_in_one(&target))
        target = shortened(target);
    pair->prediction = moved_to_end(prediction_of(y_pred, place, pieces), place);
    if (!pair->prediction)
        return y_pred->ctx->status;
    pair->values = shortened(pair->prediction->shape);
    if (y_pred->shape.rank < 2 || !strata__shape_equal(&target, &pair->values))
        return refuse_shapes(who, y_true, y_pred, " up until the last dimension");
    pair->truth = strata__whole(y_true);
    pair->n = strata__last(&pair->prediction->shape);
    pair->own = own_numbers(pair);
    return pair->truth ? STRATA_OK : y_pred->ctx->status;
}

strata_tensor *strata__pair_values(const strata__pair *pair, strata_dtype dtype)
{
    const strata_tensor *prediction = pair->prediction;
    return strata__tensor_new(prediction->ctx, dtype, &pair->values,
                              (strata__layout){.batch = prediction->layout.batch});
}

const strata__class *strata__by_shape(const strata_shape *y_true, const strata_shape *y_pred,
                                      const strata__class *binary, const strata__class *sparse,
                                      const strata__class *categorical)
{
    if (ends_in_one(y_pred))
        return binary;
    return y_true->rank < y_pred->rank || ends_in_one(y_true) ? sparse : categorical;
}

/* --- labels --- */

void strata__labels(const strata_tensor *truth, int64_t *labels)
{
    int64_t count = strata__local_count(truth);
    const void *data = truth->data;
    for (int64_t i = 0; i < count; i++) {
        switch (truth->dtype) {
        case STRATA_FLOAT32:
            labels[i] = strata__whole_number(((const float *)data)[i]);
            break;
        case STRATA_FLOAT64:
            labels[i] = strata__whole_number(((const double *)data)[i]);
            break;
        case STRATA_INT32:
            labels[i] = ((const int32_t *)data)[i];
            break;
        case STRATA_INT64:
            labels[i] = ((const int64_t *)data)[i];
            break;
        case STRATA_UINT8:
        case STRATA_BOOL:
            labels[i] = ((const uint8_t *)data)[i];
            break;
        }
    }
}

void strata__labels_check(const char *who, const strata_tensor *truth, int64_t n, int64_t ignored,
                          int64_t count, int64_t *labels)
{
    int64_t inner = count && truth->local.dims[0] ? count / truth->local.dims[0] : 1;
    for (int64_t i = 0; i < count; i++) {
        if (labels[i] >= 0 && labels[i] < n)
            continue;
        if (ignored == STRATA_NONE || labels[i] != ignored)
            strata__defer(truth->ctx, STRATA_BAD_DATA,
                          "%s: the label %lld of sample %lld of the batch is not a class number in "
                          "0 … %lld",
                          who, (long long)labels[i], (long long)(truth->first_sample + i / inner),
                          (long long)(n - 1));
        labels[i] = 0;
    }
}
