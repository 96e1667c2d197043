/* Convolution: y[n, o, f] = activation(Σ x[n, o·stride + j·dilation − before, c] · kernel[j, c, f]
 * + bias[f]). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "ops/activation_kernels.h"
#include "ops/batch.h"
#include "ops/threads.h"
#include "ops/window.h"

/* What the gradient needs besides the operands. */
typedef struct saved {
    strata__primitive_key key; /* of the forward primitive */
} saved;

/* --- primitives; operands in the order of the lists --- */

typedef struct layouts {
    dnnl_memory_desc_t x, y, bias;
    dnnl_memory_desc_t
        kernel; /* as we hold it: (k…, channels/groups, filters), filters of a group together */
    dnnl_memory_desc_t picked_kernel; /* the primitive chooses */
} layouts;

/* oneDNN's kernel axes are ([groups,] filters, channels, k…), groups left out when there is one. */
static void kernel_layouts(const strata__primitive_key *key, layouts *l)
{
    dnnl_dims_t dims, strides;
    int count = 0;
    int64_t filters = key->filters / key->groups, channels = key->channels / key->groups;
    if (key->groups > 1) {
        dims[count] = key->groups;
        strides[count++] = filters;
    }
    dims[count] = filters;
    strides[count++] = 1;
    dims[count] = channels;
    strides[count++] = key->filters;
    int64_t stride = channels * key->filters;
    for (int64_t i = key->rank; i-- > 0; stride *= key->size[i]) {
        dims[count + i] = key->size[i];
        strides[count + i] = stride;
    }
    count += (int)key->rank;
    dnnl_memory_desc_init_by_strides(&l->kernel, count, dims, dnnl_f32, strides);
    dnnl_memory_desc_init_by_tag(&l->picked_kernel, count, dims, dnnl_f32, dnnl_format_tag_any);
}

static layouts layouts_of(const strata__primitive_key *key)
{
    layouts l = {.x = strata__channels_last(key->rank, key->batch, key->channels, key->input),
                 .y = strata__channels_last(key->rank, key->batch, key->filters, key->output)};
    dnnl_memory_desc_init_by_tag(&l.bias, 1, (dnnl_dims_t){key->filters}, dnnl_f32, dnnl_a);
    kernel_layouts(key, &l);
    return l;
}

static dnnl_status_t describe_forward(dnnl_engine_t engine, const strata__primitive_key *key,
                                      const layouts *l, dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *descriptor)
{
    strata__onednn_window w = strata__window_for_onednn(key);
    dnnl_convolution_desc_t convolution;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &convolution, dnnl_forward_training, dnnl_convolution_direct, &l->x, &l->picked_kernel,
        key->bias ? &l->bias : NULL, &l->y, w.strides, w.dilation, w.before, w.after);
    if (status != dnnl_success)
        return status;
    return dnnl_primitive_desc_create(descriptor, &convolution, attributes, engine, NULL);
}

/* x, kernel, y [, bias] */
static dnnl_status_t make_forward(dnnl_engine_t engine, const strata__primitive_key *key,
                                  dnnl_primitive_attr_t attributes, strata__primitive_plan *plan)
{
    layouts l = layouts_of(key);
    plan->count = key->bias ? 4 : 3;
    plan->operands[0] = (strata__operand){DNNL_ARG_SRC, false, l.x};
    plan->operands[1] = (strata__operand){DNNL_ARG_WEIGHTS, false, l.kernel};
    plan->operands[2] = (strata__operand){DNNL_ARG_DST, true, l.y};
    plan->operands[3] = (strata__operand){DNNL_ARG_BIAS, false, l.bias};
    return describe_forward(engine, key, &l, attributes, &plan->descriptor);
}

/* Gradients are described with the forward primitive as a hint. */
static dnnl_status_t describe_gradient(dnnl_engine_t engine, const strata__primitive_key *key,
                                       const layouts *l, const dnnl_convolution_desc_t *gradient,
                                       dnnl_primitive_attr_t attributes,
                                       dnnl_primitive_desc_t *descriptor)
{
    dnnl_primitive_desc_t hint;
    dnnl_status_t status = describe_forward(engine, key, l, NULL, &hint);
    if (status != dnnl_success)
        return status;
    status = dnnl_primitive_desc_create(descriptor, gradient, attributes, engine, hint);
    dnnl_primitive_desc_destroy(hint);
    return status;
}

/* dy, kernel, dx */
static dnnl_status_t make_data(dnnl_engine_t engine, const strata__primitive_key *key,
                               dnnl_primitive_attr_t attributes, strata__primitive_plan *plan)
{
    layouts l = layouts_of(key);
    strata__onednn_window w = strata__window_for_onednn(key);
    plan->count = 3;
    plan->operands[0] = (strata__operand){DNNL_ARG_DIFF_DST, false, l.y};
    plan->operands[1] = (strata__operand){DNNL_ARG_WEIGHTS, false, l.kernel};
    plan->operands[2] = (strata__operand){DNNL_ARG_DIFF_SRC, true, l.x};
    dnnl_convolution_desc_t gradient;
    dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &gradient, dnnl_convolution_direct, &l.x, &l.picked_kernel, &l.y, w.strides, w.dilation,
        w.before, w.after);
    if (status != dnnl_success)
        return status;
    return describe_gradient(engine, key, &l, &gradient, attributes, &plan->descriptor);
}

/* x, dy, dkernel [, dbias] */
static dnnl_status_t make_weights(dnnl_engine_t engine, const strata__primitive_key *key,
                                  dnnl_primitive_attr_t attributes, strata__primitive_plan *plan)
{
    layouts l = layouts_of(key);
    strata__onednn_window w = strata__window_for_onednn(key);
    plan->count = key->bias ? 4 : 3;
    plan->operands[0] = (strata__operand){DNNL_ARG_SRC, false, l.x};
    plan->operands[1] = (strata__operand){DNNL_ARG_DIFF_DST, false, l.y};
    plan->operands[2] = (strata__operand){DNNL_ARG_DIFF_WEIGHTS, true, l.kernel};
    plan->operands[3] = (strata__operand){DNNL_ARG_DIFF_BIAS, true, l.bias};
    dnnl_convolution_desc_t gradient;
    dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &gradient, dnnl_convolution_direct, &l.x, &l.picked_kernel, key->bias ? &l.bias : NULL,
        &l.y, w.strides, w.dilation, w.before, w.after);
    if (status != dnnl_success)
        return status;
    return describe_gradient(engine, key, &l, &gradient, attributes, &plan->descriptor);
}

static void execute(strata_context *ctx, const strata__primitive_key *key,
                    strata__primitive_make *make, void *const *data)
{
    strata__primitive *primitive = strata__primitive_for(ctx, key, make);
    if (primitive)
        strata__primitive_run(ctx, primitive, data);
}

/* A rank may have no samples, or none of the filters. */
static bool is_empty(const strata__primitive_key *key)
{
    return key->batch == 0 || key->filters == 0;
}

/* --- the kernel on the mesh --- */

/* Kernel rows (k…, channels) × own filters. */
static int64_t kernel_count(const strata_tensor *kernel)
{
    return kernel->matrix ? kernel->matrix->m * kernel->matrix->local_n
                          : strata__local_count(kernel);
}

static bool has_row_pieces(const strata_tensor *kernel)
{
    return kernel->matrix && kernel->ctx->mesh->rows > 1;
}

/* All rows of the own filters; `own` is memory to free afterwards, or NULL. */
static const float *kernel_rows(const strata_tensor *kernel, float **own)
{
    *own = NULL;
    if (!has_row_pieces(kernel))
        return kernel->data;
    *own = strata__alloc(kernel->ctx, (size_t)kernel_count(kernel) * sizeof(float));
    if (*own)
        strata__gather_rows(kernel->ctx, STRATA__ROWS, kernel->data, *own, kernel->matrix->m,
                            kernel->matrix->local_n);
    return *own;
}

/* --- gradients --- */

typedef struct relu_work {
    const float *y, *dy;
    float *dz;
} relu_work;

static void pass_relu(const void *user, int64_t first, int64_t count)
{
    const relu_work *w = user;
    strata__relu_gradient_from_result(w->y + first, w->dy + first, w->dz + first, count);
}

/*
 * Gradient before the activation: the one that arrived, or with a relu what it let through; in the
 * same memory if nobody else reads it. `own` is memory to free afterwards, or NULL.
 */
static float *before_relu(const strata__node *node, bool relu, float **own)
{
    const strata_tensor *y = node->outputs[0], *dy = y->gradient;
    *own = NULL;
    if (!relu)
        return dy->data;
    int64_t count = strata__local_count(y);
    if (dy->buffer->references > 1)
        *own = strata__alloc(y->ctx, (size_t)count * sizeof(float));
    float *dz = dy->buffer->references > 1 ? *own : dy->data;
    if (dz)
        strata__on_threads(count, 1, pass_relu, &(relu_work){y->data, dy->data, dz});
    return dz;
}

/* Every column holds some filters and so has a part of dx only. */
static void input_gradient(strata_context *ctx, const saved *s, strata_tensor *x,
                           const strata_tensor *kernel, float *dy)
{
    strata_tensor *dx = strata_tensor_keep(strata__tensor_like(x));
    float *own;
    const float *rows = kernel_rows(kernel, &own);
    if (!dx || !rows) {
        strata_tensor_release(dx);
        strata__free(ctx, own);
        return;
    }
    int64_t count = strata__local_count(dx);
    strata__primitive_key key = s->key;
    key.kind = STRATA__CONVOLUTION_DATA;
    key.bias = key.relu = 0;
    if (is_empty(&key))
        memset(dx->data, 0, (size_t)count * sizeof(float));
    else
        execute(ctx, &key, make_data, (void *[]){dy, (void *)(uintptr_t)rows, dx->data});
    if (kernel->matrix)
        strata__sum(ctx, STRATA__COLS, dx->data, count, STRATA_FLOAT32);
    strata__gradient_give(x, dx);
    strata_tensor_release(dx);
    strata__free(ctx, own);
}

static void add(const float *from, int64_t count, float *into)
{
    for (int64_t i = 0; i < count; i++)
        into[i] += from[i];
}

/* Where a parameter's gradient is computed: in place, or in memory of its own when it is to be
 * added or summed over rows. */
typedef struct target {
    float *into;
    float beta;
    float *computed;
    int64_t count;
} target;

static bool open_target(strata_tensor *parameter, int64_t count, bool in_pieces, target *t)
{
    *t = (target){.count = count};
    t->into = strata__gradient_into(parameter, &t->beta);
    if (!t->into)
        return false;
    bool in_place = t->beta == 0.0f && !in_pieces;
    t->computed = in_place ? t->into : strata__alloc(parameter->ctx, (size_t)count * sizeof(float));
    return t->computed != NULL;
}

static void close_target(strata_context *ctx, target *t)
{
    if (!t->computed || t->computed == t->into)
        return;
    if (t->beta == 0.0f)
        memcpy(t->into, t->computed, (size_t)t->count * sizeof(float));
    else
        add(t->computed, t->count, t->into);
    strata__free(ctx, t->computed);
}

/* Leaves the own rows of the sum over all rows of the mesh in `t`. */
static void keep_own_rows(strata_context *ctx, const strata__matrix *matrix, target *t)
{
    int64_t count = matrix->local_m * matrix->local_n;
    float *piece = strata__alloc(ctx, (size_t)count * sizeof *piece);
    if (!piece)
        return;
    strata__scatter_sum_rows(ctx, STRATA__ROWS, t->computed, piece, matrix->m, matrix->local_n);
    strata__free(ctx, t->computed);
    t->computed = piece;
    t->count = count;
}

/*
 * Contractions over the local samples that do not pass through ops/batch.h: the sums are oneDNN's
 * own. bias NULL: none, or no gradient wanted.
 */
static void parameter_gradients(strata_context *ctx, const saved *s, const strata_tensor *x,
                                float *dy, strata_tensor *kernel, strata_tensor *bias)
{
    strata__primitive_key key = s->key;
    key.kind = STRATA__CONVOLUTION_WEIGHTS;
    key.bias = bias != NULL;
    key.relu = 0;
    target dkernel, dbias = {0};
    bool open = open_target(kernel, kernel_count(kernel), has_row_pieces(kernel), &dkernel) &&
                (!bias || open_target(bias, key.filters, false, &dbias));
    if (open && is_empty(&key)) {
        memset(dkernel.computed, 0, (size_t)dkernel.count * sizeof(float));
        if (bias)
            memset(dbias.computed, 0, (size_t)dbias.count * sizeof(float));
    } else if (open) {
        execute(ctx, &key, make_weights, (void *[]){x->data, dy, dkernel.computed, dbias.computed});
    }
    if (open && has_row_pieces(kernel))
        keep_own_rows(ctx, kernel->matrix, &dkernel);
    close_target(ctx, &dkernel);
    close_target(ctx, &dbias);
}

static void bias_gradient(const saved *s, const strata_tensor *y, const float *dy,
                          strata_tensor *bias)
{
    float beta;
    float *into = strata__gradient_into(bias, &beta);
    if (into)
        strata__batch_sum_part(dy, strata__local_rows(y), s->key.filters, beta, into);
}

static void convolution_gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0], *kernel = node->inputs[1], *bias = node->inputs[2];
    float *own, *dy = before_relu(node, s->key.relu, &own);
    if (!dy)
        return;
    if (strata__wants(kernel))
        parameter_gradients(ctx, s, x, dy, kernel, strata__wants(bias) ? bias : NULL);
    else if (strata__wants(bias))
        bias_gradient(s, node->outputs[0], dy, bias);
    if (strata__wants(x))
        input_gradient(ctx, s, x, kernel, dy);
    strata__free(ctx, own);
}

/* --- the operation --- */

static void compute(const strata__primitive_key *key, strata_tensor *x, const strata_tensor *kernel,
                    const strata_tensor *bias, strata_tensor *y)
{
    float *own;
    const float *rows = kernel_rows(kernel, &own);
    if (rows && !is_empty(key))
        execute(x->ctx, key, make_forward,
                (void *[]){x->data, (void *)(uintptr_t)rows, y->data, bias ? bias->data : NULL});
    strata__free(x->ctx, own);
}

/* x channels-last and whole. */
static strata_tensor *convolve(const char *who, strata_tensor *x, strata_tensor *kernel,
                               strata_tensor *bias, const strata__window *window, int64_t groups,
                               int64_t filters, bool relu)
{
    strata_shape shape;
    if (!x || !strata__window_shape(who, x, window, filters, &shape))
        return NULL;
    strata_context *ctx = x->ctx;
    strata__layout layout = {.batch = x->layout.batch,
                             .split = kernel->matrix && ctx->mesh->cols > 1};
    if (x->symbolic)
        return strata__tensor_symbolic(ctx, STRATA_FLOAT32, &shape, layout);
    strata_tensor *y = strata__tensor_new(ctx, STRATA_FLOAT32, &shape, layout);
    if (!y)
        return NULL;
    strata__primitive_key key = strata__window_key(STRATA__CONVOLUTION, window, x, y);
    key.groups = groups;
    key.bias = bias != NULL;
    key.relu = relu;
    compute(&key, x, kernel, bias, y);
    strata__node *node = strata__record(ctx, "convolution", convolution_gradient, 3,
                                        (strata_tensor *[]){x, kernel, bias}, 1, &y, sizeof(saved));
    if (node)
        *(saved *)node->saved = (saved){.key = key};
    return ctx->status == STRATA_OK ? y : NULL;
}

static strata_tensor *convolution(const char *who, strata_tensor *x, strata_tensor *kernel,
                                  strata_tensor *bias, const strata__window *window, int64_t groups,
                                  int64_t filters, const strata__object *activation)
{
    bool relu = activation && strata__activation_is_relu(activation);
    x = window->channels_first ? strata__channels_to_last(x) : strata__whole(x);
    strata_tensor *y = convolve(who, x, kernel, bias, window, groups, filters, relu);
    if (y && window->channels_first)
        y = strata__channels_to_first(y);
    return relu || !activation ? y : strata__activate(y, activation);
}

static int64_t channels_of(const strata_tensor *x, const strata__window *window)
{
    return window->channels_first ? x->shape.dims[1] : strata__last(&x->shape);
}

static bool channels_fit(const char *who, const strata_tensor *x, const strata__window *window,
                         int64_t expected)
{
    int64_t channels = channels_of(x, window);
    char text[STRATA__SHAPE_TEXT];
    if (channels != expected)
        strata__fail(x->ctx, STRATA_INVALID,
                     "%s: the kernel takes %lld channels, but the input %s has %lld", who,
                     (long long)expected, strata__shape_text(&x->shape, text), (long long)channels);
    return channels == expected;
}

static bool filters_fit(const char *who, const strata_tensor *kernel, int64_t groups)
{
    int64_t filters = strata__last(&kernel->shape);
    if (filters % groups != 0)
        strata__fail(
            kernel->ctx, STRATA_INVALID,
            "%s: the number of filters must be evenly divisible by the number of groups. Received: "
            "groups=%lld, filters=%lld",
            who, (long long)groups, (long long)filters);
    else if (groups > 1 && kernel->matrix && kernel->matrix->local_n != filters)
        strata__fail(kernel->ctx, STRATA_UNSUPPORTED,
                     "%s: a kernel with groups cannot be split by filters; keep it whole", who);
    else
        return true;
    return false;
}

strata_tensor *strata__convolution(const char *who, strata_tensor *x, strata_tensor *kernel,
                                   strata_tensor *bias, const strata__window *window,
                                   int64_t groups, const strata__object *activation)
{
    if (!kernel || !strata__window_accepts(who, x, window) || !filters_fit(who, kernel, groups))
        return NULL;
    if (!channels_fit(who, x, window, kernel->shape.dims[window->rank] * groups))
        return NULL;
    return convolution(who, x, kernel, bias, window, groups, strata__last(&kernel->shape),
                       activation);
}

/* (k…, c, multiplier) lies in memory as the kernel (k…, 1, c·multiplier) of a convolution with c
 * groups. */
strata_tensor *strata__depthwise_convolution(const char *who, strata_tensor *x,
                                             strata_tensor *kernel, strata_tensor *bias,
                                             const strata__window *window,
                                             const strata__object *activation)
{
    if (!kernel || !strata__window_accepts(who, x, window))
        return NULL;
    int64_t channels = kernel->shape.dims[window->rank];
    if (!channels_fit(who, x, window, channels))
        return NULL;
    return convolution(who, x, kernel, bias, window, channels,
                       channels * strata__last(&kernel->shape), activation);
}
