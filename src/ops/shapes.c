/* Shapes: reshape, transpose, concatenate. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ops/permute.h"
#include "ops/pointwise.h"

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

/* Product of the sizes after the batch; STRATA_NONE when one is unknown. */
static int64_t size_of_sample(const strata_shape *shape)
{
    for (int i = 1; i < shape->rank; i++) {
        if (shape->dims[i] == STRATA_NONE)
            return STRATA_NONE;
    }
    return strata__product(shape, 1, shape->rank);
}

/* Fills in a −1, with STRATA_NONE where the size is unknown; false when sizes do not fit. */
static bool complete(strata_shape *target, int64_t size)
{
    int64_t product = 1;
    int free_axis = -1;
    for (int i = 0; i < target->rank; i++) {
        if (target->dims[i] == -1 && free_axis < 0)
            free_axis = i;
        else if (target->dims[i] < 0 || __builtin_mul_overflow(product, target->dims[i], &product))
            return false;
    }
    if (free_axis < 0)
        return size == STRATA_NONE || product == size;
    if (size != STRATA_NONE && (product == 0 || size % product != 0))
        return false;
    target->dims[free_axis] = size == STRATA_NONE ? STRATA_NONE : size / product;
    return true;
}

strata_tensor *strata_ops_reshape(strata_tensor *x, strata_shape target)
{
    x = strata__whole(x);
    if (!x)
        return NULL;
    if (x->shape.rank == 0 || target.rank < 0 || target.rank >= STRATA_MAX_RANK ||
        !complete(&target, size_of_sample(&x->shape)))
        return refuse_reshape(x, &target);
    strata_shape shape = {.rank = target.rank + 1, .dims = {x->shape.dims[0]}};
    memcpy(shape.dims + 1, target.dims, (size_t)target.rank * sizeof *target.dims);
    return view(x, &shape);
}

strata_tensor *strata__insert_axes(strata_tensor *x, int at, int count)
{
    if (!x || count < 1)
        return x;
    strata_shape shape = {.rank = x->shape.rank + count};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = i < at ? x->shape.dims[i] : i < at + count ? 1 : x->shape.dims[i - count];
    return view(x, &shape);
}

strata_tensor *strata__expand_like(strata_tensor *x, int rank)
{
    return x ? strata__insert_axes(x, 1, rank - x->shape.rank) : NULL;
}

/* Features that are split stay so while they are an axis of their own. */
static strata_tensor *view_of_axes(strata_tensor *x, const strata_shape *shape, bool features)
{
    if (features)
        x = strata__whole(x);
    return x ? view(x, shape) : NULL;
}

strata_tensor *strata__fold(strata_tensor *x, int first, int count)
{
    if (!x || count < 2)
        return x;
    strata_shape shape = x->shape;
    int last = first + count;
    shape.dims[first] = strata__product(&x->shape, first, last);
    shape.rank -= count - 1;
    for (int i = last; i < x->shape.rank; i++)
        shape.dims[i - count + 1] = x->shape.dims[i];
    return view_of_axes(x, &shape, last == x->shape.rank);
}

strata_tensor *strata__unfold(strata_tensor *x, int axis, int count, const int64_t *sizes)
{
    if (!x || count < 2)
        return x;
    strata_shape shape = x->shape;
    shape.rank += count - 1;
    for (int i = axis + 1; i < x->shape.rank; i++)
        shape.dims[i + count - 1] = x->shape.dims[i];
    memcpy(shape.dims + axis, sizes, (size_t)count * sizeof *sizes);
    return view_of_axes(x, &shape, axis == x->shape.rank - 1);
}

/* --- transpose --- */

typedef struct saved_permutation {
    int axes[STRATA_MAX_RANK];
} saved_permutation;

static void transpose_gradient(strata_context *ctx, strata__node *node)
{
    const saved_permutation *s = node->saved;
    strata_tensor *x = node->inputs[0], *dx = strata__tensor_like(x);
    int inverse[STRATA_MAX_RANK];
    if (!dx)
        strata__abort(ctx, "gradient of transpose");
    strata_tensor_keep(dx);
    for (int i = 0; i < x->shape.rank; i++)
        inverse[s->axes[i]] = i;
    strata__permute_axes(strata__gradient_at(node, 0)->data, &node->outputs[0]->local, inverse,
                         sizeof(float), dx->data);
    strata__gradient_give(x, dx);
    strata_tensor_release(dx);
}

strata_tensor *strata__transpose(strata_tensor *x, const int *permutation)
{
    x = strata__whole(x);
    if (!x)
        return NULL;
    if (x->layout.batch && permutation[0] != 0) {
        strata__fail(x->ctx, STRATA_UNSUPPORTED,
                     "transpose: the batch axis, which is spread over the ranks, cannot be moved");
        return NULL;
    }
    strata_shape shape = {.rank = x->shape.rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = x->shape.dims[permutation[i]];
    strata_tensor *y = strata__tensor_shaped(x, x->dtype, &shape);
    if (!y || y->symbolic)
        return y;
    strata__permute_axes(x->data, &x->local, permutation, strata_dtype_size(x->dtype), y->data);
    strata__node *node = strata__record(x->ctx, "transpose", transpose_gradient, 1, &x, 1, &y,
                                        sizeof(saved_permutation));
    if (node)
        memcpy(((saved_permutation *)node->saved)->axes, permutation,
               (size_t)shape.rank * sizeof *permutation);
    return y;
}

/* --- concatenate --- */

/* A stripe of rows: `columns` of `from_stride` to or from `columns` of `to_stride`. */
static void copy_stripe(const float *from, int64_t from_stride, float *to, int64_t to_stride,
                        int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        memcpy(to + i * to_stride, from + i * from_stride, (size_t)columns * sizeof *to);
}

typedef struct saved_axis {
    int axis;
} saved_axis;

/* What one of the operands brings to each of the `rows` before the axis. */
static int64_t stripe(const strata_tensor *x, int axis)
{
    return strata__product(&x->local, axis, x->local.rank);
}

static void concatenate_gradient(strata_context *ctx, strata__node *node)
{
    int axis = ((const saved_axis *)node->saved)->axis;
    const strata_tensor *y = node->outputs[0];
    const float *dy = y->gradient->data;
    int64_t rows = strata__product(&y->local, 0, axis), at = 0;
    for (int i = 0; i < node->input_count; i++) {
        strata_tensor *x = node->inputs[i];
        int64_t own = stripe(x, axis);
        if (strata__wants(x)) {
            strata_tensor *dx = strata__tensor_like(x);
            if (!dx)
                strata__abort(ctx, "gradient of concatenate");
            strata_tensor_keep(dx);
            copy_stripe(dy + at, stripe(y, axis), dx->data, own, rows, own);
            strata__gradient_give(x, dx);
            strata_tensor_release(dx);
        }
        at += own;
    }
}

static bool same_but(const strata_shape *a, const strata_shape *b, int axis)
{
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = i == axis || a->dims[i] == b->dims[i] || a->dims[i] == STRATA_NONE ||
               b->dims[i] == STRATA_NONE;
    return same;
}

static bool can_join(const strata_tensor *first, const strata_tensor *x, int axis)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    if (!strata__is_float("concatenate", x))
        return false;
    if (!same_but(&first->shape, &x->shape, axis))
        strata__fail(x->ctx, STRATA_INVALID,
                     "A `Concatenate` layer requires inputs with matching shapes except for the "
                     "concatenation axis. Received shapes %s and %s",
                     strata__shape_text(&first->shape, ours),
                     strata__shape_text(&x->shape, theirs));
    else if (first->layout.batch != x->layout.batch && !first->symbolic && !x->symbolic)
        strata__fail(x->ctx, STRATA_INVALID,
                     "concatenate: one operand is a batch, another is whole; add it to zeros of "
                     "the batch's shape first");
    else
        return true;
    return false;
}

static strata_tensor *joined(int count, strata_tensor *const *x, int axis)
{
    strata_shape shape = x[0]->shape;
    bool symbolic = false;
    shape.dims[axis] = 0;
    for (int i = 0; i < count; i++) {
        if (!can_join(x[0], x[i], axis))
            return NULL;
        bool unknown = x[i]->shape.dims[axis] == STRATA_NONE || shape.dims[axis] == STRATA_NONE;
        shape.dims[axis] = unknown ? STRATA_NONE : shape.dims[axis] + x[i]->shape.dims[axis];
        symbolic |= x[i]->symbolic;
    }
    strata__layout layout = {.batch = x[0]->layout.batch};
    return symbolic ? strata__tensor_symbolic(x[0]->ctx, STRATA_FLOAT32, &shape, layout)
                    : strata__tensor_new(x[0]->ctx, STRATA_FLOAT32, &shape, layout);
}

static strata_tensor *concatenate(int count, strata_tensor **x, int axis)
{
    strata_tensor *y = joined(count, x, axis);
    if (!y || y->symbolic)
        return y;
    int64_t rows = strata__product(&y->local, 0, axis), at = 0;
    for (int i = 0; i < count; i++) {
        int64_t own = stripe(x[i], axis);
        copy_stripe(x[i]->data, own, (float *)y->data + at, stripe(y, axis), rows, own);
        at += own;
    }
    strata__node *node = strata__record(y->ctx, "concatenate", concatenate_gradient, count, x, 1,
                                        &y, sizeof(saved_axis));
    if (node)
        ((saved_axis *)node->saved)->axis = axis;
    return y;
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
    if (axis >= -rank && axis < rank && (at > 0 || !x[0]->layout.batch))
        return concatenate(count, x, at);
    strata__fail(x[0]->ctx, STRATA_INVALID,
                 "concatenate along axis %lld of tensors with %d axes; not the batch axis",
                 (long long)axis, rank);
    return NULL;
}
