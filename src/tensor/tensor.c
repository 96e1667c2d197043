/* Tensors: making, viewing and releasing them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "tensor/tape.h"

struct strata__scope {
    struct strata__scope *outer;
    strata_tensor *tensors; /* newest first */
    bool no_way_back;       /* what was outside of it */
};

int64_t strata__product(const strata_shape *shape, int first, int last)
{
    int64_t product = 1;
    for (int i = first; i < last; i++)
        product *= shape->dims[i];
    return product;
}

int64_t strata__local_count(const strata_tensor *tensor)
{
    return strata__product(&tensor->local, 0, tensor->local.rank);
}

bool strata__shape_equal(const strata_shape *a, const strata_shape *b)
{
    return a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)(a->rank > 0 ? a->rank : 0) * sizeof *a->dims) == 0;
}

const char *strata__shape_text(const strata_shape *shape, char text[STRATA__SHAPE_TEXT])
{
    size_t n = (size_t)snprintf(text, STRATA__SHAPE_TEXT, "(");
    for (int i = 0; i < shape->rank; i++) {
        const char *comma = i + 1 < shape->rank ? ", " : shape->rank == 1 ? "," : "";
        if (shape->dims[i] == STRATA_NONE)
            n += (size_t)snprintf(text + n, STRATA__SHAPE_TEXT - n, "None%s", comma);
        else
            n += (size_t)snprintf(text + n, STRATA__SHAPE_TEXT - n, "%lld%s",
                                  (long long)shape->dims[i], comma);
    }
    snprintf(text + n, STRATA__SHAPE_TEXT - n, ")");
    return text;
}

/* --- buffers --- */

static strata__buffer *buffer_new(strata_context *ctx, size_t bytes, void *borrowed)
{
    strata__buffer *buffer = strata__alloc(ctx, sizeof *buffer);
    if (!buffer)
        return NULL;
    *buffer = (strata__buffer){.references = 1, .borrowed = borrowed != NULL, .data = borrowed};
    if (!borrowed)
        buffer->data = strata__alloc(ctx, bytes);
    if (!buffer->data) {
        strata__free(ctx, buffer);
        return NULL;
    }
    return buffer;
}

static void buffer_release(strata_context *ctx, strata__buffer *buffer)
{
    if (!buffer || --buffer->references > 0)
        return;
    if (!buffer->borrowed)
        strata__free(ctx, buffer->data);
    strata__free(ctx, buffer);
}

/* --- scopes --- */

static void scope_link(strata_tensor *tensor, struct strata__scope *scope)
{
    tensor->scope = scope;
    if (!scope)
        return;
    tensor->next = scope->tensors;
    if (scope->tensors)
        scope->tensors->previous = tensor;
    scope->tensors = tensor;
}

static void scope_unlink(strata_tensor *tensor)
{
    if (!tensor->scope)
        return;
    if (tensor->previous)
        tensor->previous->next = tensor->next;
    else
        tensor->scope->tensors = tensor->next;
    if (tensor->next)
        tensor->next->previous = tensor->previous;
    tensor->previous = tensor->next = NULL;
    tensor->scope = NULL;
}

bool strata__scope_open(strata_context *ctx)
{
    struct strata__scope *scope = strata__alloc(ctx, sizeof *scope);
    if (!scope)
        return false;
    *scope = (struct strata__scope){.outer = ctx->scope, .no_way_back = ctx->no_way_back != NULL};
    ctx->scope = scope;
    return true;
}

void strata_scope_begin(strata_context *ctx)
{
    if (!strata__scope_open(ctx))
        strata__abort(ctx, "beginning a step");
    strata__no_way_back(ctx, true);
}

/* The tape may have noted them. */
static void hand_over(struct strata__scope *scope)
{
    while (scope->tensors) {
        strata_tensor *tensor = scope->tensors;
        scope_unlink(tensor);
        scope_link(tensor, scope->outer);
    }
}

static void release_all(struct strata__scope *scope)
{
    while (scope->tensors) {
        strata_tensor *tensor = scope->tensors;
        scope_unlink(tensor);
        strata_tensor_release(tensor);
    }
}

void strata_scope_end(strata_context *ctx)
{
    struct strata__scope *scope = ctx->scope;
    if (!scope)
        return;
    if (ctx->tape && ctx->tape->scope == scope)
        strata__tape_free(ctx);
    if (ctx->tape && scope->outer)
        hand_over(scope);
    else
        release_all(scope);
    ctx->scope = scope->outer;
    strata__no_way_back(ctx, scope->no_way_back);
    strata__free(ctx, scope);
}

strata_tensor *strata_tensor_keep(strata_tensor *tensor)
{
    if (tensor && tensor->scope)
        scope_unlink(tensor);
    else if (tensor)
        tensor->references++;
    return tensor;
}

strata_tensor *strata__tensor_share(strata_tensor *tensor)
{
    if (tensor)
        tensor->references++;
    return tensor;
}

void strata_tensor_release(strata_tensor *tensor)
{
    if (!tensor || --tensor->references > 0)
        return;
    scope_unlink(tensor);
    strata_tensor_release(tensor->gradient);
    strata_tensor_release(tensor->mask);
    strata_tensor_release(tensor->logits);
    buffer_release(tensor->ctx, tensor->buffer);
    strata__free(tensor->ctx, tensor);
}

/* --- making tensors --- */

/* Fills in local sizes and offsets from the global shape, the layout and this rank's place in the
 * mesh. */
static void place(strata_tensor *tensor)
{
    const strata__mesh *mesh = tensor->ctx->mesh;
    tensor->local = tensor->shape;
    int last = tensor->shape.rank - 1;
    if (tensor->symbolic || last < 0 || !mesh)
        return;
    if (tensor->layout.batch) {
        const strata__group *group = &mesh->groups[STRATA__BATCH];
        strata__piece piece = strata__piece_of(tensor->shape.dims[0], group->size, group->rank);
        tensor->local.dims[0] = piece.count;
        tensor->first_sample = piece.first;
    }
    if (tensor->layout.split) {
        strata__piece piece = strata__piece_of(tensor->shape.dims[last], mesh->cols, mesh->col);
        tensor->local.dims[last] = piece.count;
        tensor->first_feature = piece.first;
    }
}

static strata_tensor *tensor_new(strata_context *ctx, strata_dtype dtype, const strata_shape *shape,
                                 strata__layout layout)
{
    strata_tensor *tensor = strata__calloc(ctx, 1, sizeof *tensor);
    if (!tensor)
        return NULL;
    *tensor = (strata_tensor){
        .ctx = ctx, .references = 1, .dtype = dtype, .shape = *shape, .layout = layout};
    for (int i = 0; i < shape->rank; i++)
        tensor->symbolic |= shape->dims[i] == STRATA_NONE;
    place(tensor);
    scope_link(tensor, ctx->scope);
    return tensor;
}

static strata_tensor *with_memory(strata_tensor *tensor, void *borrowed)
{
    if (!tensor || tensor->symbolic)
        return tensor;
    size_t bytes = (size_t)strata__local_count(tensor) * strata_dtype_size(tensor->dtype);
    tensor->buffer = buffer_new(tensor->ctx, bytes, borrowed);
    if (!tensor->buffer) {
        strata_tensor_release(tensor);
        return NULL;
    }
    tensor->data = tensor->buffer->data;
    return tensor;
}

strata_tensor *strata__tensor_new(strata_context *ctx, strata_dtype dtype,
                                  const strata_shape *shape, strata__layout layout)
{
    return with_memory(tensor_new(ctx, dtype, shape, layout), NULL);
}

strata_tensor *strata__tensor_borrow(strata_context *ctx, strata_dtype dtype,
                                     const strata_shape *shape, strata__layout layout, void *data)
{
    return with_memory(tensor_new(ctx, dtype, shape, layout), data);
}

strata_tensor *strata__tensor_symbolic(strata_context *ctx, strata_dtype dtype,
                                       const strata_shape *shape, strata__layout layout)
{
    strata_tensor *tensor = tensor_new(ctx, dtype, shape, layout);
    if (tensor) {
        tensor->symbolic = true;
        tensor->local = tensor->shape;
    }
    return tensor;
}

/* A result of a symbolic operand is symbolic even where its own shape is fully known. */
static strata_tensor *derived(const strata_tensor *like, strata_dtype dtype,
                              const strata_shape *shape)
{
    strata_tensor *tensor = tensor_new(like->ctx, dtype, shape, like->layout);
    if (tensor)
        tensor->symbolic |= like->symbolic;
    return tensor;
}

strata_tensor *strata__tensor_shaped(const strata_tensor *like, strata_dtype dtype,
                                     const strata_shape *shape)
{
    return with_memory(derived(like, dtype, shape), NULL);
}

strata_tensor *strata__tensor_like(const strata_tensor *like)
{
    return strata__tensor_shaped(like, STRATA_FLOAT32, &like->shape);
}

strata_tensor *strata__tensor_view(strata_tensor *tensor, const strata_shape *shape)
{
    strata_tensor *view = derived(tensor, tensor->dtype, shape);
    if (!view || view->symbolic)
        return view;
    view->buffer = tensor->buffer;
    view->buffer->references++;
    view->data = tensor->data;
    return view;
}

int64_t strata__first_element(const strata_tensor *tensor)
{
    return tensor->first_sample * strata__product(&tensor->shape, 1, tensor->shape.rank);
}

/* The caller's: outside a scope a new tensor already is. */
static strata_tensor *owned(strata_tensor *tensor)
{
    return tensor->scope ? strata_tensor_keep(tensor) : tensor;
}

/* The sizes of what a caller hands in. */
static strata_status check_data(strata_context *ctx, strata_dtype dtype, const strata_shape *shape,
                                const void *data)
{
    char text[STRATA__SHAPE_TEXT];
    int64_t bytes = (int64_t)strata_dtype_size(dtype);
    if (shape->rank < 0 || shape->rank > STRATA_MAX_RANK)
        return strata__fail(ctx, STRATA_INVALID, "a tensor of %d axes; there may be 0 to %d",
                            shape->rank, STRATA_MAX_RANK);
    strata__shape_text(shape, text);
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0)
            return strata__fail(ctx, STRATA_INVALID,
                                "a tensor with values cannot have the shape %s", text);
        if (__builtin_mul_overflow(bytes, shape->dims[i], &bytes))
            return strata__fail(ctx, STRATA_INVALID, "a tensor of shape %s is too large", text);
    }
    if (!data && bytes > 0)
        return strata__fail(ctx, STRATA_INVALID, "a tensor of shape %s, but no data", text);
    return ctx->status;
}

strata_tensor *strata_tensor_from(strata_context *ctx, strata_dtype dtype, strata_shape shape,
                                  const void *data)
{
    if (check_data(ctx, dtype, &shape, data) != STRATA_OK)
        return NULL;
    strata_tensor *tensor = strata__tensor_new(ctx, dtype, &shape, (strata__layout){0});
    if (!tensor)
        return NULL;
    memcpy(tensor->data, data, (size_t)strata__local_count(tensor) * strata_dtype_size(dtype));
    return owned(tensor);
}

strata_tensor *strata_tensor_batch_from(strata_context *ctx, strata_dtype dtype, strata_shape shape,
                                        const void *data)
{
    if (check_data(ctx, dtype, &shape, data) != STRATA_OK)
        return NULL;
    if (shape.rank == 0) {
        strata__fail(ctx, STRATA_INVALID, "a scalar is no batch; use strata_tensor_from()");
        return NULL;
    }
    strata_tensor *tensor = strata__tensor_new(ctx, dtype, &shape, (strata__layout){.batch = true});
    if (!tensor)
        return NULL;
    size_t size = strata_dtype_size(dtype);
    memcpy(tensor->data, (const char *)data + (size_t)strata__first_element(tensor) * size,
           (size_t)strata__local_count(tensor) * size);
    return owned(tensor);
}

strata_shape strata_tensor_shape(const strata_tensor *tensor)
{
    return tensor->shape;
}

strata_shape strata_tensor_local_shape(const strata_tensor *tensor)
{
    return tensor->local;
}

strata_dtype strata_tensor_dtype(const strata_tensor *tensor)
{
    return tensor->dtype;
}

const void *strata_tensor_data(const strata_tensor *tensor)
{
    return tensor->data;
}
