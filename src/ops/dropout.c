/* Dropout: masks from counter-based random numbers of the global element. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vector.h"
#include "ops/pointwise.h"
#include "ops/threads.h"

/* keep (count) is 1 or 0; scale = 1 / (1 − rate). */
typedef struct saved {
    strata_tensor *keep;
    float scale;
} saved;

STRATA__SIMD static void apply(const float *x, const unsigned char *keep, float scale, float *y,
                               int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = keep[i] ? x[i] * scale : 0.0f;
}

STRATA__SIMD static void apply_and_add(const float *x, const unsigned char *keep, float scale,
                                       float *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] += keep[i] ? x[i] * scale : 0.0f;
}

STRATA__SIMD static void compare(const float *uniform, float rate, unsigned char *keep,
                                 int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        keep[i] = uniform[i] >= rate;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    strata_tensor *x = node->inputs[0];
    float beta, *dx = strata__gradient_into(x, &beta);
    const float *dy = strata__gradient_at(node, 0)->data;
    if (dx && beta == 0.0f)
        apply(dy, s->keep->data, s->scale, dx, strata__local_count(x));
    else if (dx)
        apply_and_add(dy, s->keep->data, s->scale, dx, strata__local_count(x));
}

/* --- draws --- */

/* Numbers made at once, on the stack. */
enum { CHUNK = 1024 };

/* keep[i] for the elements whose global numbers begin at `first`. */
static void draw(strata__key key, int64_t first, double rate, unsigned char *keep, int64_t count)
{
    float uniform[CHUNK];
    for (int64_t at = 0; at < count; at += CHUNK) {
        int64_t n = count - at < CHUNK ? count - at : CHUNK;
        strata__random_uniform(key, (uint64_t)(first + at), n, uniform);
        compare(uniform, (float)rate, keep + at, n);
    }
}

typedef struct draws {
    strata__key key;
    double rate;
    int64_t first, stride, columns; /* rows of `columns` elements, numbered `stride` apart */
    unsigned char *keep;
} draws;

static void draw_rows(const void *user, int64_t first, int64_t count)
{
    const draws *d = user;
    if (d->stride == d->columns) {
        draw(d->key, d->first + first * d->stride, d->rate, d->keep + first * d->columns,
             count * d->columns);
        return;
    }
    for (int64_t i = first; i < first + count; i++)
        draw(d->key, d->first + i * d->stride, d->rate, d->keep + i * d->columns, d->columns);
}

/* A mask of the tensor's shape and layout: every element its own draw. */
static strata_tensor *mask_like(const strata_tensor *like, double rate, strata__key key)
{
    strata_tensor *keep = strata__tensor_shaped(like, STRATA_BOOL, &like->shape);
    if (!keep)
        return NULL;
    draws d = {.key = key,
               .rate = rate,
               .first = strata__first_element(keep) + keep->first_feature,
               .stride = strata__last(&keep->shape),
               .columns = strata__last(&keep->local),
               .keep = keep->data};
    strata__on_threads(strata__local_rows(keep), d.columns, draw_rows, &d);
    return keep;
}

static float scale_for(double rate)
{
    return rate < 1 ? (float)(1 / (1 - rate)) : 0.0f;
}

/* --- a mask for several elements: broadcast --- */

static bool complete_noise(const strata_tensor *x, strata_shape *noise)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    bool fits = noise->rank == x->shape.rank;
    for (int i = 0; fits && i < noise->rank; i++) {
        if (noise->dims[i] == STRATA_NONE)
            noise->dims[i] = x->shape.dims[i];
        fits = noise->dims[i] == 1 || noise->dims[i] == x->shape.dims[i];
    }
    if (!fits)
        strata__fail(x->ctx, STRATA_INVALID,
                     "dropout: noise_shape %s does not broadcast to the input's shape %s",
                     strata__shape_text(noise, theirs), strata__shape_text(&x->shape, ours));
    return fits;
}

/* As the operand of a product: 0 or the scale. */
static strata_tensor *noise_factor(const strata_tensor *x, const strata_shape *noise, double rate,
                                   strata__key key)
{
    int last = noise->rank - 1;
    bool batch = noise->dims[0] == x->shape.dims[0],
         split = noise->dims[last] == x->shape.dims[last];
    strata__layout layout = {x->layout.batch && batch, x->layout.split && split};
    strata_tensor *factor = strata__tensor_new(x->ctx, STRATA_FLOAT32, noise, layout);
    strata_tensor *keep = factor ? mask_like(factor, rate, key) : NULL;
    if (!keep)
        return NULL;
    const unsigned char *kept = keep->data;
    float *values = factor->data, scale = scale_for(rate);
    for (int64_t i = 0; i < strata__local_count(factor); i++)
        values[i] = kept[i] ? scale : 0.0f;
    return factor;
}

strata_tensor *strata__dropout(strata_tensor *x, double rate, const strata_shape *noise_shape,
                               strata__key key)
{
    strata_shape noise = noise_shape ? *noise_shape : (strata_shape){.rank = -1};
    if (!strata__is_float("dropout", x) || (noise_shape && !complete_noise(x, &noise)))
        return NULL;
    if (x->symbolic)
        return strata__tensor_like(x);
    if (noise_shape && !strata__shape_equal(&noise, &x->shape))
        return strata_ops_multiply(x, noise_factor(x, &noise, rate, key));
    strata_tensor *y = strata__tensor_like(x), *keep = mask_like(x, rate, key);
    if (!y || !keep)
        return NULL;
    saved s = {keep, scale_for(rate)};
    apply(x->data, keep->data, s.scale, y->data, strata__local_count(x));
    strata__node *node = strata__record(x->ctx, "dropout", gradient, 1, &x, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
}
