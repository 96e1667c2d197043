/* Pooling: the largest value or the mean of each window; the mean over all spatial axes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/vector.h"
#include "ops/window.h"

typedef struct saved {
    strata__primitive_key key; /* of the forward primitive */
    strata_tensor *maxima;     /* oneDNN's notes on where the maxima were; NULL for the mean */
} saved;

/* --- primitives; operands in the order of the lists --- */

static bool is_max(const strata__primitive_key *key)
{
    return key->kind == STRATA__MAX_POOLING || key->kind == STRATA__MAX_POOLING_DATA;
}

static dnnl_alg_kind_t algorithm_of(const strata__primitive_key *key)
{
    return is_max(key) ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
}

static dnnl_status_t describe_forward(dnnl_engine_t engine, const strata__primitive_key *key,
                                      const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *y,
                                      dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *descriptor)
{
    strata__onednn_window w = strata__window_for_onednn(key);
    dnnl_pooling_desc_t pooling;
    dnnl_status_t status = dnnl_pooling_forward_desc_init(
        &pooling, key->workspace ? dnnl_forward_training : dnnl_forward_inference,
        algorithm_of(key), x, y, w.strides, w.size, w.before, w.after);
    if (status != dnnl_success)
        return status;
    return dnnl_primitive_desc_create(descriptor, &pooling, attributes, engine, NULL);
}

/* The maxima lie as oneDNN wants them: nobody else reads them. */
static void add_maxima(const_dnnl_primitive_desc_t forward, bool result,
                       strata__primitive_plan *plan)
{
    plan->operands[plan->count++] =
        (strata__operand){DNNL_ARG_WORKSPACE, result,
                          *dnnl_primitive_desc_query_md(forward, dnnl_query_workspace_md, 0)};
}

/* x, y [, maxima] */
static dnnl_status_t make_forward(dnnl_engine_t engine, const strata__primitive_key *key,
                                  dnnl_primitive_attr_t attributes, strata__primitive_plan *plan)
{
    dnnl_memory_desc_t x = strata__channels_last(key->rank, key->batch, key->channels, key->input);
    dnnl_memory_desc_t y = strata__channels_last(key->rank, key->batch, key->channels, key->output);
    plan->count = 2;
    plan->operands[0] = (strata__operand){DNNL_ARG_SRC, false, x};
    plan->operands[1] = (strata__operand){DNNL_ARG_DST, true, y};
    dnnl_status_t status = describe_forward(engine, key, &x, &y, attributes, &plan->descriptor);
    if (status == dnnl_success && key->workspace)
        add_maxima(plan->descriptor, true, plan);
    return status;
}

/* dy, dx [, maxima] */
static dnnl_status_t make_data(dnnl_engine_t engine, const strata__primitive_key *key,
                               dnnl_primitive_attr_t attributes, strata__primitive_plan *plan)
{
    dnnl_memory_desc_t x = strata__channels_last(key->rank, key->batch, key->channels, key->input);
    dnnl_memory_desc_t y = strata__channels_last(key->rank, key->batch, key->channels, key->output);
    plan->count = 2;
    plan->operands[0] = (strata__operand){DNNL_ARG_DIFF_DST, false, y};
    plan->operands[1] = (strata__operand){DNNL_ARG_DIFF_SRC, true, x};
    strata__onednn_window w = strata__window_for_onednn(key);
    dnnl_pooling_desc_t gradient;
    dnnl_status_t status = dnnl_pooling_backward_desc_init(&gradient, algorithm_of(key), &x, &y,
                                                           w.strides, w.size, w.before, w.after);
    dnnl_primitive_desc_t hint = NULL;
    if (status == dnnl_success)
        status = describe_forward(engine, key, &x, &y, NULL, &hint);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&plan->descriptor, &gradient, attributes, engine, hint);
    if (status == dnnl_success && key->workspace)
        add_maxima(hint, false, plan);
    dnnl_primitive_desc_destroy(hint);
    return status;
}

/* A rank may have no samples, or none of the channels. */
static bool is_empty(const strata__primitive_key *key)
{
    return key->batch == 0 || key->channels == 0;
}

/* --- windows --- */

static void pooling_gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0];
    strata_tensor *dx = strata_tensor_keep(strata__tensor_like(x));
    if (!dx)
        return;
    strata__primitive_key key = s->key;
    key.kind = is_max(&key) ? STRATA__MAX_POOLING_DATA : STRATA__AVERAGE_POOLING_DATA;
    strata__primitive *primitive =
        is_empty(&key) ? NULL : strata__primitive_for(ctx, &key, make_data);
    if (primitive)
        strata__primitive_run(ctx, primitive,
                              (void *[]){strata__gradient_at(node, 0)->data, dx->data,
                                         s->maxima ? s->maxima->data : NULL});
    strata__gradient_give(x, dx);
    strata_tensor_release(dx);
}

/* Room for the notes that the primitive makes on this rank; lives as long as the scope. */
static strata_tensor *maxima_for(strata_context *ctx, const strata__primitive *primitive)
{
    int64_t bytes = (int64_t)strata__primitive_bytes(primitive, 2);
    return strata__tensor_new(ctx, STRATA_UINT8, &STRATA_SHAPE(bytes), (strata__layout){0});
}

static void compute(strata_context *ctx, const strata_tensor *x, strata_tensor *y, saved *s)
{
    strata__primitive *primitive =
        is_empty(&s->key) ? NULL : strata__primitive_for(ctx, &s->key, make_forward);
    if (!primitive)
        return;
    if (s->key.workspace)
        s->maxima = maxima_for(ctx, primitive);
    if (!s->key.workspace || s->maxima)
        strata__primitive_run(ctx, primitive,
                              (void *[]){x->data, y->data, s->maxima ? s->maxima->data : NULL});
}

/* x channels-last; each rank pools the channels it has. */
static strata_tensor *pool_channels_last(const char *who, strata_tensor *x,
                                         const strata__window *window, strata__primitive_kind kind)
{
    strata_shape shape;
    if (!x || !strata__window_shape(who, x, window, strata__last(&x->shape), &shape))
        return NULL;
    strata_context *ctx = x->ctx;
    strata_tensor *y = strata__tensor_shaped(x, STRATA_FLOAT32, &shape);
    if (!y || y->symbolic)
        return y;
    saved s = {.key = strata__window_key(kind, window, x, y)};
    s.key.workspace = kind == STRATA__MAX_POOLING && ctx->tape && strata__wants(x);
    compute(ctx, x, y, &s);
    strata__node *node = strata__record(ctx, "pooling", pooling_gradient, 1, &x, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return ctx->status == STRATA_OK ? y : NULL;
}

static strata_tensor *pool(const char *who, strata_tensor *x, const strata__window *window,
                           strata__primitive_kind kind)
{
    if (!strata__window_accepts(who, x, window))
        return NULL;
    if (!window->channels_first)
        return pool_channels_last(who, x, window, kind);
    return strata__channels_to_first(
        pool_channels_last(who, strata__channels_to_last(x), window, kind));
}

strata_tensor *strata__max_pooling(const char *who, strata_tensor *x, const strata__window *window)
{
    return pool(who, x, window, STRATA__MAX_POOLING);
}

strata_tensor *strata__average_pooling(const char *who, strata_tensor *x,
                                       const strata__window *window)
{
    return pool(who, x, window, STRATA__AVERAGE_POOLING);
}

/* --- all cells --- */

/* y (samples, channels) ← mean over cells of x (samples, cells, channels). */
STRATA__SIMD static void mean_over_cells(const float *x, int64_t samples, int64_t cells,
                                         int64_t channels, float *y)
{
    float scale = 1.0f / (float)cells;
    for (int64_t i = 0; i < samples; i++, y += channels) {
        memset(y, 0, (size_t)channels * sizeof *y);
        for (int64_t j = 0; j < cells; j++, x += channels) {
#pragma omp simd
            for (int64_t k = 0; k < channels; k++)
                y[k] += x[k];
        }
#pragma omp simd
        for (int64_t k = 0; k < channels; k++)
            y[k] *= scale;
    }
}

/* dx (samples, cells, channels) ← dy / cells in every cell. */
STRATA__SIMD static void spread_over_cells(const float *dy, int64_t samples, int64_t cells,
                                           int64_t channels, float *dx)
{
    float scale = 1.0f / (float)cells;
    for (int64_t i = 0; i < samples; i++, dy += channels) {
        for (int64_t j = 0; j < cells; j++, dx += channels) {
#pragma omp simd
            for (int64_t k = 0; k < channels; k++)
                dx[k] = dy[k] * scale;
        }
    }
}

typedef struct cells {
    int64_t samples, cells, channels;
} cells;

static cells cells_of(const strata_tensor *x)
{
    return (cells){.samples = x->local.dims[0],
                   .cells = strata__product(&x->local, 1, x->local.rank - 1),
                   .channels = strata__last(&x->local)};
}

static void mean_gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    strata_tensor *x = node->inputs[0];
    strata_tensor *dx = strata_tensor_keep(strata__tensor_like(x));
    if (!dx)
        return;
    cells c = cells_of(x);
    spread_over_cells(strata__gradient_at(node, 0)->data, c.samples, c.cells, c.channels, dx->data);
    strata__gradient_give(x, dx);
    strata_tensor_release(dx);
}

/* (batch, channels), with axes of size 1 for the spatial ones if asked. */
static strata_shape mean_shape(const strata_tensor *x, bool channels_first, bool keepdims)
{
    int64_t batch = x->shape.dims[0], channels = strata__last(&x->shape);
    if (!keepdims)
        return STRATA_SHAPE(batch, channels);
    strata_shape shape = {.rank = x->shape.rank};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = 1;
    shape.dims[0] = batch;
    shape.dims[channels_first ? 1 : shape.rank - 1] = channels;
    return shape;
}

strata_tensor *strata__global_average_pooling(const char *who, strata_tensor *x, int rank,
                                              bool channels_first, bool keepdims)
{
    if (!strata__window_accepts(who, x, &(strata__window){.rank = rank}))
        return NULL;
    if (channels_first)
        x = strata__channels_to_last(x);
    if (!x)
        return NULL;
    strata_shape shape = mean_shape(x, channels_first, keepdims);
    strata_tensor *y = strata__tensor_shaped(x, STRATA_FLOAT32, &shape);
    if (!y || y->symbolic)
        return y;
    cells c = cells_of(x);
    mean_over_cells(x->data, c.samples, c.cells, c.channels, y->data);
    strata__record(x->ctx, "global_average_pooling", mean_gradient, 1, &x, 1, &y, 0);
    return y;
}
