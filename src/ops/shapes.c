/* Shapes: reshape, transpose, concatenate. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ops/ops.h"

/* --- reshape: the same memory under another shape --- */

static void view_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    strata__gradient_give(node->inputs[0], node->outputs[0]->gradient);
}

static strata_tensor *view(strata_tensor *x, const strata_shape *shape)
{
    strata_tensor *y = strata__tensor_view(x, shape);
    if (y && !y->symbolic)
        strata__record(x->ctx, "reshape", view_gradient, 1, &x, 1, &y, 0);
    return y;
}

static strata_tensor *refuse_reshape(const strata_tensor *x, const strata_shape *target)
{
    char from[STRATA__SHAPE_TEXT], to[STRATA__SHAPE_TEXT];
    strata__fail(
        x->ctx, STRATA_INVALID,
        "The total size of the tensor must be unchanged. Received: input_shape=%s, target_shape=%s",
        strata__shape_text(&x->shape, from), strata__shape_text(target, to));
    return NULL;
}

/* Fills in a −1; false when sizes do not fit. */
static bool complete(strata_shape *target, int64_t size)
{
    int64_t product = 1;
    int free_axis = -1;
    for (int i = 0; i < target->rank; i++) {
        if (target->dims[i] == -1) {
            if (free_axis >= 0)
                return false;
            free_axis = i;
        } else if (target->dims[i] < 0 ||
                   __builtin_mul_overflow(product, target->dims[i], &product)) {
            return false;
        }
    }
    if (free_axis < 0)
        return product == size;
    if (product == 0 || size % product != 0)
        return false;
    target->dims[free_axis] = size / product;
    return true;
}

strata_tensor *strata_ops_reshape(strata_tensor *x, strata_shape target)
{
    if (!x)
        return NULL;
    x = strata__whole(x);
    if (!x || x->shape.rank == 0 || target.rank < 0 || target.rank >= STRATA_MAX_RANK)
        return x ? refuse_reshape(x, &target) : NULL;
    if (!complete(&target, strata__product(&x->shape, 1, x->shape.rank)))
        return refuse_reshape(x, &target);
    strata_shape shape = {.rank = target.rank + 1, .dims = {x->shape.dims[0]}};
    memcpy(shape.dims + 1, target.dims, (size_t)target.rank * sizeof *target.dims);
    return view(x, &shape);
}

strata_tensor *strata__expand_like(strata_tensor *x, int rank)
{
    if (!x || x->shape.rank >= rank)
        return x;
    strata_shape shape = {.rank = rank};
    int missing = rank - x->shape.rank;
    for (int i = 0; i < rank; i++)
        shape.dims[i] = i == 0 ? x->shape.dims[0] : i <= missing ? 1 : x->shape.dims[i - missing];
    return view(x, &shape);
}

/* --- transpose --- */

/* Copies x, of local sizes dims, so that axis i of the result is axis permutation[i] of x. */
static void permute(const char *x, const strata_shape *dims, const int *permutation, size_t size,
                    char *y)
{
    int rank = dims->rank;
    int64_t strides[STRATA_MAX_RANK], index[STRATA_MAX_RANK] = {0}, out[STRATA_MAX_RANK], count = 1;
    for (int i = rank - 1; i >= 0; i--) {
        strides[i] = count;
        count *= dims->dims[i];
    }
    for (int i = 0; i < rank; i++)
        out[i] = dims->dims[permutation[i]];
    for (int64_t k = 0; k < count; k++) {
        int64_t from = 0;
        for (int i = 0; i < rank; i++)
            from += index[i] * strides[permutation[i]];
        memcpy(y + (size_t)k * size, x + (size_t)from * size, size);
        for (int i = rank - 1; i >= 0 && ++index[i] == out[i]; i--)
            index[i] = 0;
    }
}

typedef struct saved_permutation {
    int axes[STRATA_MAX_RANK];
} saved_permutation;

static void transpose_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved_permutation *s = node->saved;
    strata_tensor *x = node->inputs[0], *dx = strata__tensor_like(x);
    int inverse[STRATA_MAX_RANK];
    if (!dx)
        return;
    for (int i = 0; i < x->shape.rank; i++)
        inverse[s->axes[i]] = i;
    permute(strata__gradient_at(node, 0)->data, &node->outputs[0]->local, inverse, sizeof(float),
            dx->data);
    strata__gradient_give(x, dx);
}

strata_tensor *strata__transpose(strata_tensor *x, const int *permutation)
{
    x = strata__whole(x);
    if (!x)
        return NULL;
    strata_shape shape = {.rank = x->shape.rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = x->shape.dims[permutation[i]];
    if (x->layout.batch && permutation[0] != 0) {
        strata__fail(x->ctx, STRATA_UNSUPPORTED, "transpose cannot move the batch axis");
        return NULL;
    }
    strata_tensor *y = strata__tensor_shaped(x, x->dtype, &shape);
    if (!y || y->symbolic)
        return y;
    permute(x->data, &x->local, permutation, strata_dtype_size(x->dtype), y->data);
    strata__node *node = strata__record(x->ctx, "transpose", transpose_gradient, 1, &x, 1, &y,
                                        sizeof(saved_permutation));
    if (node)
        memcpy(((saved_permutation *)node->saved)->axes, permutation,
               (size_t)shape.rank * sizeof *permutation);
    return y;
}

/* --- concatenate --- */

/* Rows of `from_columns` numbers to or from a stripe of rows of `to_columns`. */
static void copy_stripe(const float *from, int64_t from_columns, float *to, int64_t to_columns,
                        int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * to_columns, from + i * from_columns, (size_t)columns * sizeof *to);
}

typedef struct saved_axis {
    int axis;
} saved_axis;

static void concatenate_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    int axis = ((const saved_axis *)node->saved)->axis;
    const strata_tensor *y = node->outputs[0];
    int64_t rows = strata__product(&y->local, 0, axis),
            columns = strata__product(&y->local, axis, y->local.rank), at = 0;
    for (int i = 0; i < node->input_count; i++) {
        strata_tensor *x = node->inputs[i];
        int64_t own = strata__product(&x->local, axis, x->local.rank);
        strata_tensor *dx = strata__wants(x) ? strata__tensor_like(x) : NULL;
        if (dx) {
            copy_stripe((const float *)y->gradient->data + at, columns, dx->data, own, rows, own);
            strata__gradient_give(x, dx);
        }
        at += own;
    }
}

static bool fits(const strata_tensor *x, const strata_shape *shape, int axis)
{
    bool same = x->shape.rank == shape->rank && x->dtype == STRATA_FLOAT32;
    for (int i = 0; same && i < shape->rank; i++)
        same = i == axis || x->shape.dims[i] == shape->dims[i] || x->shape.dims[i] == STRATA_NONE ||
               shape->dims[i] == STRATA_NONE;
    return same;
}

static strata_tensor *joined(int count, strata_tensor *const *x, int axis)
{
    strata_shape shape = x[0]->shape;
    bool symbolic = false;
    shape.dims[axis] = 0;
    for (int i = 0; i < count; i++) {
        if (!fits(x[i], &shape, axis)) {
            char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
            strata__fail(x[i]->ctx, STRATA_INVALID,
                         "A `Concatenate` layer requires inputs with matching shapes except for "
                         "the concatenation axis. "
                         "Received shapes %s and %s",
                         strata__shape_text(&x[0]->shape, ours),
                         strata__shape_text(&x[i]->shape, theirs));
            return NULL;
        }
        shape.dims[axis] += x[i]->shape.dims[axis];
        symbolic |= x[i]->symbolic;
    }
    strata__layout layout = {.batch = x[0]->layout.batch};
    return symbolic ? strata__tensor_symbolic(x[0]->ctx, STRATA_FLOAT32, &shape, layout)
                    : strata__tensor_new(x[0]->ctx, STRATA_FLOAT32, &shape, layout);
}

strata_tensor *strata_ops_concatenate(int count, strata_tensor *const *given, int64_t axis)
{
    strata_tensor *x[count > 0 ? count : 1];
    for (int i = 0; i < count; i++) {
        x[i] = strata__whole(given[i]);
        if (!x[i])
            return NULL;
    }
    if (count < 1)
        return NULL;
    int rank = x[0]->shape.rank, at = (int)(axis < 0 ? axis + rank : axis);
    if (axis < -rank || axis >= rank || (at == 0 && x[0]->layout.batch)) {
        strata__fail(x[0]->ctx, STRATA_INVALID,
                     "concatenate along axis %lld of tensors with %d axes; not the batch axis",
                     (long long)axis, rank);
        return NULL;
    }
    strata_tensor *y = joined(count, x, at);
    if (!y || y->symbolic)
        return y;
    int64_t rows = strata__product(&y->local, 0, at),
            columns = strata__product(&y->local, at, rank), offset = 0;
    for (int i = 0; i < count; i++) {
        int64_t own = strata__product(&x[i]->local, at, rank);
        copy_stripe(x[i]->data, own, (float *)y->data + offset, columns, rows, own);
        offset += own;
    }
    strata__node *node = strata__record(y->ctx, "concatenate", concatenate_gradient, count, x, 1,
                                        &y, sizeof(saved_axis));
    if (node)
        ((saved_axis *)node->saved)->axis = at;
    return y;
}
