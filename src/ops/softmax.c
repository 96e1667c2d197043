/* softmax and log_softmax over any axes, with masks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "base/vector.h"
#include "ops/activation.h"
#include "ops/math.h"
#include "ops/softmax_rows.h"
#include "ops/stages.h"
#include "tensor/axes.h"

/* --- over the last axes: rows of n numbers, in stages --- */

/*
 * Of rows that are cut over cols only the largest numbers and the sums travel: 8 bytes a row
 * forward, 4 backward.
 */
typedef struct rows {
    bool logarithm, split;
    int64_t count, n; /* n of this rank */
} rows;

typedef struct forward {
    rows rows;
    const float *x;
    const unsigned char *mask; /* as x, or NULL */
    float *most, *sums;        /* (count) */
    float *y;
} forward;

/* Keras adds −1e9 where the mask is false, and zeroes those after. */
static void lower_masked(const float *x, const unsigned char *mask, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] + (mask[i] ? 0.0f : -1e9f);
}

static void clear_masked(const unsigned char *mask, float *y, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = mask[i] ? y[i] : 0.0f;
}

/* y = x − most − ln sum */
STRATA__SIMD static void subtract_logarithms(const float *x, int64_t count, int64_t n,
                                             const float *most, const float *sums, float *y)
{
    for (int64_t i = 0; i < count; i++, x += n, y += n) {
        float top = most[i], rest = logf(sums[i]);
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            y[j] = x[j] - top - rest;
    }
}

static void find_largest(const void *user, int64_t first, int64_t count)
{
    const forward *f = user;
    int64_t n = f->rows.n, at = first * n;
    if (f->mask)
        lower_masked(f->x + at, f->mask + at, f->y + at, count * n);
    strata__row_maxima((f->mask ? f->y : f->x) + at, count, n, f->most + first);
}

static void add_exponentials(const void *user, int64_t first, int64_t count)
{
    const forward *f = user;
    int64_t n = f->rows.n, at = first * n;
    strata__row_exponentials((f->mask ? f->y : f->x) + at, count, n, f->most + first,
                             f->rows.logarithm ? NULL : f->y + at, f->sums + first);
}

static void finish(const void *user, int64_t first, int64_t count)
{
    const forward *f = user;
    int64_t n = f->rows.n, at = first * n;
    if (f->rows.logarithm)
        subtract_logarithms(f->x + at, count, n, f->most + first, f->sums + first, f->y + at);
    else
        strata__row_quotients(f->y + at, count, n, f->sums + first);
    if (f->mask)
        clear_masked(f->mask + at, f->y + at, count * n);
}

static void in_stages(strata_context *ctx, const rows *r, int count, const strata__stage *stages,
                      const void *user)
{
    strata__in_stages(ctx, &(strata__staged){.rows = r->count,
                                             .n = r->n,
                                             .split = r->split,
                                             .count = count,
                                             .stages = stages,
                                             .user = user});
}

/* --- gradient: dx = y·(dy − Σ dy·y), of the logarithm dy − e^y·Σ dy --- */

typedef struct backward {
    rows rows;
    const float *y, *dy;
    float *sums; /* (count) */
    float beta;
    float *dx;
} backward;

STRATA__SIMD static void row_dots(const float *y, const float *dy, int64_t count, int64_t n,
                                  float *sums)
{
    for (int64_t i = 0; i < count; i++, y += n, dy += n) {
        float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < n; j++)
            dot += y[j] * dy[j];
        sums[i] = dot;
    }
}

STRATA__SIMD static void row_sums(const float *dy, int64_t count, int64_t n, float *sums)
{
    for (int64_t i = 0; i < count; i++, dy += n) {
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < n; j++)
            sum += dy[j];
        sums[i] = sum;
    }
}

/* dx = beta·dx + y·(dy − sum) */
STRATA__SIMD static void softmax_slopes(const float *y, const float *dy, int64_t count, int64_t n,
                                        const float *sums, float beta, float *dx)
{
    for (int64_t i = 0; i < count; i++, y += n, dy += n, dx += n) {
        float sum = sums[i];
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] = (beta == 0.0f ? 0.0f : dx[j]) + y[j] * (dy[j] - sum);
    }
}

/* dx = beta·dx + dy − e^y·sum */
STRATA__SIMD static void log_softmax_slopes(const float *y, const float *dy, int64_t count,
                                            int64_t n, const float *sums, float beta, float *dx)
{
    for (int64_t i = 0; i < count; i++, y += n, dy += n, dx += n) {
        float sum = sums[i];
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            dx[j] = (beta == 0.0f ? 0.0f : dx[j]) + dy[j] - strata__exp(y[j]) * sum;
    }
}

static void add_slopes(const void *user, int64_t first, int64_t count)
{
    const backward *b = user;
    int64_t n = b->rows.n, at = first * n;
    if (b->rows.logarithm)
        row_sums(b->dy + at, count, n, b->sums + first);
    else
        row_dots(b->y + at, b->dy + at, count, n, b->sums + first);
}

static void give_slopes(const void *user, int64_t first, int64_t count)
{
    const backward *b = user;
    int64_t n = b->rows.n, at = first * n;
    (b->rows.logarithm ? log_softmax_slopes : softmax_slopes)(b->y + at, b->dy + at, count, n,
                                                              b->sums + first, b->beta, b->dx + at);
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const rows *r = node->saved;
    strata_tensor *x = node->inputs[0];
    const strata_tensor *y = node->outputs[0];
    backward b = {.rows = *r, .y = y->data, .dy = y->gradient->data};
    b.dx = strata__gradient_into(x, &b.beta);
    if (!b.dx)
        return;
    b.sums = strata__scratch(ctx, r->count, sizeof *b.sums);
    const strata__stage stages[] = {{add_slopes, strata__sum, b.sums, 1, STRATA_FLOAT32},
                                    {.work = give_slopes}};
    in_stages(ctx, r, 2, stages, &b);
    strata__free(ctx, b.sums);
}

/* --- the operation --- */

static void compute(strata_context *ctx, forward *f)
{
    f->most = strata__scratch(ctx, 2 * f->rows.count, sizeof *f->most);
    f->sums = f->most + f->rows.count;
    const strata__stage stages[] = {{find_largest, strata__max, f->most, 1, STRATA_FLOAT32},
                                    {add_exponentials, strata__sum, f->sums, 1, STRATA_FLOAT32},
                                    {.work = finish}};
    in_stages(ctx, &f->rows, 3, stages, f);
    strata__free(ctx, f->most);
}

static strata_tensor *over_last(strata_tensor *x, int axes, const strata_tensor *mask,
                                bool logarithm)
{
    strata_tensor *y = x ? strata__tensor_like(x) : NULL;
    if (!y || y->symbolic)
        return y;
    int first = x->local.rank - axes;
    forward f = {.rows = {.logarithm = logarithm,
                          .split = x->layout.split,
                          .count = strata__product(&x->local, 0, first),
                          .n = strata__product(&x->local, first, x->local.rank)},
                 .x = x->data,
                 .mask = mask ? mask->data : NULL,
                 .y = y->data};
    compute(x->ctx, &f);
    strata__node *node = strata__record(x->ctx, "softmax", gradient, 1, &x, 1, &y, sizeof(rows));
    if (node)
        *(rows *)node->saved = f.rows;
    return y;
}

/* --- over any axes: moved to the end and back --- */

static bool accepts(const char *who, const strata_tensor *x, int axis_count, const int *axes,
                    const strata_tensor *mask)
{
    char ours[STRATA__SHAPE_TEXT], theirs[STRATA__SHAPE_TEXT];
    if (!strata__is_float(who, x))
        return false;
    for (int i = 0; i < axis_count; i++) {
        if (axes[i] == 0 && x->layout.batch)
            strata__fail(x->ctx, STRATA_UNSUPPORTED,
                         "%s: axis 0 is the batch, which is spread over the ranks; transpose it "
                         "or choose another axis",
                         who);
    }
    if (mask && !strata__shape_equal(&mask->shape, &x->shape))
        strata__fail(x->ctx, STRATA_INVALID, "%s: mask of shape %s for an input of shape %s", who,
                     strata__shape_text(&mask->shape, theirs), strata__shape_text(&x->shape, ours));
    return x->ctx->status == STRATA_OK;
}

static strata_tensor *over_axes(const char *who, strata_tensor *x, int axis_count, const int *axes,
                                strata_tensor *mask, bool logarithm)
{
    int forth[STRATA_MAX_RANK], back[STRATA_MAX_RANK];
    if (!accepts(who, x, axis_count, axes, mask))
        return NULL;
    if (strata__axes_to_end(x->shape.rank, axis_count, axes, forth, back)) {
        mask = x->layout.split ? strata__split(mask) : strata__whole(mask);
        return over_last(x, axis_count, mask, logarithm);
    }
    x = strata__transpose(strata__whole(x), forth);
    mask = strata__transpose(strata__whole(mask), forth);
    return strata__transpose(over_last(x, axis_count, mask, logarithm), back);
}

strata_tensor *strata__softmax(strata_tensor *x, int axis_count, const int *axes,
                               strata_tensor *mask)
{
    return over_axes("softmax", x, axis_count, axes, mask, false);
}

strata_tensor *strata__log_softmax(strata_tensor *x, int axis_count, const int *axes)
{
    return over_axes("log_softmax", x, axis_count, axes, NULL, true);
}
