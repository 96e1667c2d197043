/* Attention of one head, block by block, forward and backward. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention_blocks.h"

#include <math.h>
#include <string.h>

#include "ops/gemm.h"

/*
 * T. Dao et al., FlashAttention (2022). Forward: blocks of keys one after the other, with a running
 * maximum and sum a query; what has been summed is scaled when the maximum grows. Backward: the
 * softmax p is formed again.
 *     dv += pᵀ·dy,  dp = dy·vᵀ,  dx = p·(dp − Σ p·dp) of the scores x
 * Σ p·dp = dy·y, dropout or not. Where scores are handed out dp has their gradient as well.
 */
typedef strata__attention_sizes sizes_of;
typedef strata__attention_head head_of;
typedef strata__attention_block block;

enum { ROWS = STRATA__QUERY_BLOCK, COLUMNS = STRATA__KEY_BLOCK, LANES = STRATA__LANES };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t whole_lanes(int64_t columns)
{
    return (columns + LANES - 1) / LANES * LANES;
}

int64_t strata__attention_scratch(const sizes_of *z)
{
    int64_t tile = ROWS * whole_lanes(smaller(z->s, COLUMNS));
    return (z->dropout > 0 ? 3 : 2) * tile; /* p, slopes, factors of dropout */
}

/* --- queries of a block --- */

/* Some queries, what each sees, and all that any of them sees. */
typedef struct queries {
    int64_t first, count;
    strata__sight sights[ROWS];
    strata__keys keys;
} queries;

static void look(const sizes_of *z, const head_of *head, int64_t first, queries *q)
{
    q->first = first;
    q->count = smaller(z->t - first, ROWS);
    q->keys = (strata__keys){z->s, 0};
    for (int64_t i = 0; i < q->count; i++) {
        strata__sight *sight = &q->sights[i];
        *sight = strata__sight_of(&head->masks, first + i);
        if (sight->keys.first >= sight->keys.end)
            continue;
        q->keys.first = smaller(q->keys.first, sight->keys.first);
        q->keys.end = larger(q->keys.end, sight->keys.end);
    }
}

/* The next block of keys after those of `b`; false: there is none. Begin with count = 0. */
static bool next_block(const queries *q, block *b)
{
    int64_t first = b->count ? b->keys.end : q->keys.first;
    b->first = q->first;
    b->count = q->count;
    b->keys = (strata__keys){first, smaller(first + COLUMNS, q->keys.end)};
    b->stride = whole_lanes(b->keys.end - first);
    return first < q->keys.end;
}

/* --- rows of scores --- */

/* Part of a row in vectors: columns start … start + n − 1, outside of which all is hidden. */
typedef struct part {
    int64_t start, n;
} part;

static part part_of(const queries *q, const block *b, int64_t i)
{
    const strata__keys *keys = &q->sights[i].keys;
    int64_t start = larger(keys->first - b->keys.first, 0) / LANES * LANES;
    int64_t end = whole_lanes(smaller(keys->end, b->keys.end) - b->keys.first);
    return (part){start, larger(end - start, 0)};
}

static void fill(float *row, int64_t first, int64_t end, float value)
{
    for (int64_t j = first; j < end; j++)
        row[j] = value;
}

static void clear_outside(float *row, part p, int64_t stride)
{
    fill(row, 0, smaller(p.start, stride), 0.0f);
    fill(row, p.start + p.n, stride, 0.0f);
}

/* −∞ where the query does not see; zeros all over for a query that takes the mean of all values. */
static void hide(const head_of *head, const queries *q, const block *b, int64_t i, float *row)
{
    const strata__sight *sight = &q->sights[i];
    part p = part_of(q, b, i);
    strata__keys keys = {larger(sight->keys.first, b->keys.first),
                         smaller(sight->keys.end, b->keys.end)};
    if (p.n == 0)
        return;
    if (sight->blind && head->masks.all->blind == STRATA__BLIND_MEAN)
        fill(row, p.start, p.start + p.n, 0.0f);
    fill(row, p.start, keys.first - b->keys.first, -INFINITY);
    fill(row, keys.end - b->keys.first, p.start + p.n, -INFINITY);
    if (sight->masked)
        strata__hide_keys(&head->masks, b->first + i, keys, b->keys.first, row);
}

/* Whether the scores of the query are none that depend on it. */
static bool takes_mean(const head_of *head, const queries *q, int64_t i)
{
    return q->sights[i].blind && head->masks.all->blind == STRATA__BLIND_MEAN;
}

static void form_scores(strata_context *ctx, const sizes_of *z, const head_of *head,
                        const queries *q, const block *b, float *x)
{
    z->score->form(ctx, z, head, b, x);
    for (int64_t i = 0; i < b->count; i++)
        hide(head, q, b, i, x + i * b->stride);
}

static float scale_of(const sizes_of *z)
{
    return z->score->scaled ? z->scale : 1.0f;
}

/* --- dropout --- */

/* Factors of the block's elements. */
static void draw(const sizes_of *z, const head_of *head, const block *b, float *factors)
{
    int64_t n = b->keys.end - b->keys.first;
    for (int64_t i = 0; i < b->count; i++) {
        uint64_t first = head->first_draw + (uint64_t)((b->first + i) * z->s + b->keys.first);
        strata__random_uniform(z->key, first, n, factors + i * b->stride);
        strata__keep_factors(factors + i * b->stride, n, z->dropout);
        fill(factors + i * b->stride, n, b->stride, 0.0f);
    }
}

static void drop(const block *b, const float *factors, float *x)
{
    strata__multiply_rows(x, factors, b->count * b->stride);
}

/* --- forward --- */

/* Running maximum and sum of each query of a block. */
typedef struct running {
    float most[ROWS], sum[ROWS];
} running;

/* x ← e^(x − maximum); y of the keys before is scaled to the new maximum. */
static void take_scores(const sizes_of *z, const head_of *head, const queries *q, const block *b,
                        float *x, running *r)
{
    for (int64_t i = 0; i < b->count; i++) {
        part p = part_of(q, b, i);
        float *row = x + i * b->stride, factor = 1.0f;
        clear_outside(row, p, b->stride);
        if (p.n)
            factor = strata__softmax_part(row + p.start, p.n, scale_of(z), &r->most[i], &r->sum[i]);
        if (factor != 1.0f && b->keys.first > q->keys.first)
            strata__scale_row(head->y + (b->first + i) * z->y_stride, z->v, factor);
    }
}

/* y (+)= p·v */
static void add_values(strata_context *ctx, const sizes_of *z, const head_of *head, const block *b,
                       const float *p, bool first)
{
    strata__gemm_call product = {.m = b->count,
                                 .n = z->v,
                                 .k = b->keys.end - b->keys.first,
                                 .a = p,
                                 .lda = b->stride,
                                 .b = head->v + b->keys.first * z->v_stride,
                                 .ldb = z->v_stride,
                                 .beta = first ? 0.0f : 1.0f,
                                 .c = head->y + b->first * z->y_stride,
                                 .ldc = z->y_stride};
    strata__gemm_float32(ctx, &product);
}

static void finish_rows(const sizes_of *z, const head_of *head, const queries *q, const running *r)
{
    for (int64_t i = 0; i < q->count; i++) {
        float *y = head->y + (q->first + i) * z->y_stride;
        bool nothing = q->sights[i].keys.first >= q->sights[i].keys.end;
        strata__softmax_row row = {r->most[i], nothing ? 0.0f : 1.0f / r->sum[i]};
        head->rows[q->first + i] = row;
        if (nothing)
            fill(y, 0, z->v, 0.0f);
        else
            strata__scale_row(y, z->v, row.inverse);
    }
}

/* The softmax itself, once its sums are known. */
static void write_scores(strata_context *ctx, const sizes_of *z, const head_of *head,
                         const queries *q, float *x)
{
    float *factors = x + ROWS * whole_lanes(smaller(z->s, COLUMNS));
    memset(head->scores + q->first * z->s, 0, (size_t)(q->count * z->s) * sizeof *x);
    for (block b = {0}; next_block(q, &b);) {
        form_scores(ctx, z, head, q, &b, x);
        for (int64_t i = 0; i < b.count; i++) {
            part p = part_of(q, &b, i);
            float *row = x + i * b.stride;
            clear_outside(row, p, b.stride);
            strata__softmax_again(row + p.start, p.n, scale_of(z), head->rows[b.first + i]);
        }
        if (z->dropout > 0 && z->dropped_scores) {
            draw(z, head, &b, factors);
            drop(&b, factors, x);
        }
        for (int64_t i = 0; i < b.count; i++)
            memcpy(head->scores + (b.first + i) * z->s + b.keys.first, x + i * b.stride,
                   (size_t)(b.keys.end - b.keys.first) * sizeof *x);
    }
}

static void forward_rows(strata_context *ctx, const sizes_of *z, const head_of *head,
                         const queries *q, float *x)
{
    float *factors = x + ROWS * whole_lanes(smaller(z->s, COLUMNS));
    running r;
    for (int64_t i = 0; i < q->count; i++) {
        r.most[i] = -INFINITY;
        r.sum[i] = 0.0f;
    }
    for (block b = {0}; next_block(q, &b);) {
        form_scores(ctx, z, head, q, &b, x);
        take_scores(z, head, q, &b, x, &r);
        if (z->dropout > 0) {
            draw(z, head, &b, factors);
            drop(&b, factors, x);
        }
        add_values(ctx, z, head, &b, x, b.keys.first == q->keys.first);
    }
    finish_rows(z, head, q, &r);
    if (head->scores)
        write_scores(ctx, z, head, q, x);
}

void strata__attention_forward(strata_context *ctx, const sizes_of *z, const head_of *head,
                               float *scratch)
{
    queries q;
    for (int64_t first = 0; first < z->t; first += ROWS) {
        look(z, head, first, &q);
        forward_rows(ctx, z, head, &q, scratch);
    }
}

/* --- backward --- */

/* Scratch of a block. */
typedef struct tiles {
    float *p, *slopes, *factors; /* (ROWS × stride) */
    float means[ROWS];           /* Σ p·dp of each query whose keys are in several blocks */
} tiles;

static float mean_slope(const sizes_of *z, const head_of *head, int64_t i)
{
    float sum = 0.0f;
    if (head->dy)
        sum = strata__dot_row(head->dy + i * z->y_stride, head->y + i * z->y_stride, z->v);
    if (head->dscores)
        sum += strata__dot_row(head->dscores + i * z->s, head->scores + i * z->s, z->s);
    return sum;
}

/* dp ← dy·vᵀ */
static void form_slopes(strata_context *ctx, const sizes_of *z, const head_of *head, const block *b,
                        float *dp)
{
    if (!head->dy) {
        fill(dp, 0, b->count * b->stride, 0.0f);
        return;
    }
    strata__gemm_call product = {.transpose_b = true,
                                 .m = b->count,
                                 .n = b->keys.end - b->keys.first,
                                 .k = z->v,
                                 .a = head->dy + b->first * z->y_stride,
                                 .lda = z->y_stride,
                                 .b = head->v + b->keys.first * z->v_stride,
                                 .ldb = z->v_stride,
                                 .c = dp,
                                 .ldc = b->stride};
    strata__gemm_float32(ctx, &product);
    for (int64_t i = 0; i < b->count; i++)
        fill(dp + i * b->stride, product.n, b->stride, 0.0f);
}

static void add_score_gradients(const sizes_of *z, const head_of *head, const block *b, float *dp)
{
    for (int64_t i = 0; head->dscores && i < b->count; i++)
        strata__add_row(dp + i * b->stride, head->dscores + (b->first + i) * z->s + b->keys.first,
                        b->keys.end - b->keys.first);
}

/* dp of the softmax before dropout. */
static void collect_slopes(strata_context *ctx, const sizes_of *z, const head_of *head,
                           const block *b, const tiles *t)
{
    form_slopes(ctx, z, head, b, t->slopes);
    if (z->dropped_scores)
        add_score_gradients(z, head, b, t->slopes);
    if (z->dropout > 0) {
        draw(z, head, b, t->factors);
        drop(b, t->factors, t->slopes);
    }
    if (!z->dropped_scores)
        add_score_gradients(z, head, b, t->slopes);
}

/* Σ p·dp of a query whose keys are all in the block, so that its slopes add up to 0, and one key's
 * slope is 0. Else it is known before. */
static double mean_in(const queries *q, const block *b, const tiles *t, int64_t i, part p)
{
    bool all = q->keys.first == b->keys.first && q->keys.end == b->keys.end;
    int64_t at = i * b->stride + p.start;
    return all ? strata__weighted_mean(t->p + at, t->slopes + at, p.n) : (double)t->means[i];
}

/* p and the slopes of the scores from the scores and dp. */
static void take_slopes(const sizes_of *z, const head_of *head, const queries *q, const block *b,
                        const tiles *t)
{
    for (int64_t i = 0; i < b->count; i++) {
        part p = part_of(q, b, i);
        float *x = t->p + i * b->stride, *slopes = t->slopes + i * b->stride;
        clear_outside(x, p, b->stride);
        clear_outside(slopes, p, b->stride);
        strata__softmax_again(x + p.start, p.n, scale_of(z), head->rows[b->first + i]);
        strata__softmax_slopes(x + p.start, slopes + p.start, p.n, mean_in(q, b, t, i, p),
                               scale_of(z));
        if (takes_mean(head, q, i))
            fill(slopes, 0, b->stride, 0.0f);
    }
}

/* dv += pᵀ·dy */
static void add_to_values(strata_context *ctx, const sizes_of *z, const head_of *head,
                          const block *b, const float *p)
{
    strata__gemm_call product = {.transpose_a = true,
                                 .m = b->keys.end - b->keys.first,
                                 .n = z->v,
                                 .k = b->count,
                                 .a = p,
                                 .lda = b->stride,
                                 .b = head->dy + b->first * z->y_stride,
                                 .ldb = z->y_stride,
                                 .beta = 1.0f,
                                 .c = head->dv + b->keys.first * z->v_stride,
                                 .ldc = z->v_stride};
    strata__gemm_float32(ctx, &product);
}

static void backward_block(strata_context *ctx, const sizes_of *z, const head_of *head,
                           const queries *q, const block *b, const tiles *t)
{
    form_scores(ctx, z, head, q, b, t->p);
    collect_slopes(ctx, z, head, b, t);
    take_slopes(z, head, q, b, t);
    z->score->add_slopes(ctx, z, head, b, t->slopes);
    if (!head->dv || !head->dy)
        return;
    if (z->dropout > 0)
        drop(b, t->factors, t->p);
    add_to_values(ctx, z, head, b, t->p);
}

void strata__attention_backward(strata_context *ctx, const sizes_of *z, const head_of *head,
                                float *scratch)
{
    int64_t tile = ROWS * whole_lanes(smaller(z->s, COLUMNS));
    tiles t = {.p = scratch, .slopes = scratch + tile, .factors = scratch + 2 * tile};
    queries q;
    for (int64_t first = 0; first < z->t; first += ROWS) {
        look(z, head, first, &q);
        for (int64_t i = 0; q.keys.end - q.keys.first > COLUMNS && i < q.count; i++)
            t.means[i] = mean_slope(z, head, first + i);
        for (block b = {0}; next_block(&q, &b);)
            backward_block(ctx, z, head, &q, &b, &t);
    }
}
