/* Blocked attention of one head, forward and backward. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention_kernels.h"

#include <math.h>
#include <string.h>

#include "base/vector.h"
#include "ops/gemm.h"
#include "ops/math.h"

/*
 * T. Dao et al., FlashAttention (2022). Forward: blocks of keys one after the other, with a running
 * maximum m and sum l a query; what has been summed is scaled when m grows. Backward: the softmax p
 * is formed again from ln Σ e^score.
 *     dv += pᵀ·dy,  dp = dy·vᵀ,  ds = p·(dp − Σ p·dp)·scale,  dq += ds·k,  dk += dsᵀ·q
 * Σ p·dp = dy·y, dropout or not.
 */
typedef strata__attention_sizes sizes_of;
typedef strata__attention_head head_of;

enum { ROWS = STRATA__QUERY_BLOCK, COLUMNS = STRATA__KEY_BLOCK };

/* Far below any score, and far from overflow when another is subtracted. */
static const float UNSEEN = -1e30f;

typedef struct block {
    int64_t first, count; /* queries */
    int64_t key, keys;    /* first key, number of keys */
} block;

typedef struct range {
    int64_t first, end;
} range;

/* --- who sees whom --- */

/* Keys that query i may see by its place. */
static range keys_of(const sizes_of *z, int64_t i)
{
    range r = {0, z->causal && i + 1 < z->s ? i + 1 : z->s};
    if (z->window > 0) {
        int64_t end = i + z->window;
        r.first = i - z->window + 1 > 0 ? i - z->window + 1 : 0;
        r.end = end < r.end ? end : r.end;
    }
    return r;
}

/* Keys that any of the queries first … first + count − 1 may see. */
static range keys_of_block(const sizes_of *z, int64_t first, int64_t count)
{
    return (range){keys_of(z, first).first, keys_of(z, first + count - 1).end};
}

static bool query_sees(const head_of *head, int64_t i)
{
    return !head->query_mask || head->query_mask[i];
}

/* Columns of the block that query i may see by its place. */
static range columns_of(const sizes_of *z, const block *b, int64_t i)
{
    range r = keys_of(z, i);
    r.first = r.first > b->key ? r.first - b->key : 0;
    r.end = r.end < b->key + b->keys ? r.end - b->key : b->keys;
    if (r.end < r.first)
        r.end = r.first;
    return r;
}

STRATA__SIMD static void hide(float *row, const unsigned char *mask, int64_t first, int64_t end)
{
#pragma omp simd
    for (int64_t j = first; j < end; j++)
        row[j] = mask[j] ? row[j] : UNSEEN;
}

/* row ← scale·row where the query sees, UNSEEN elsewhere. */
STRATA__SIMD static void scale_row(float *row, float scale, range seen, int64_t count)
{
    for (int64_t j = 0; j < seen.first; j++)
        row[j] = UNSEEN;
#pragma omp simd
    for (int64_t j = seen.first; j < seen.end; j++)
        row[j] *= scale;
    for (int64_t j = seen.end; j < count; j++)
        row[j] = UNSEEN;
}

static void mask_row(const sizes_of *z, const head_of *head, const block *b, int64_t i, float *row)
{
    range seen = columns_of(z, b, i);
    if (!query_sees(head, i))
        seen.end = seen.first = 0;
    scale_row(row, z->scale, seen, b->keys);
    if (head->key_mask)
        hide(row, head->key_mask + b->key, seen.first, seen.end);
    if (head->mask)
        hide(row, head->mask + i * z->s + b->key, seen.first, seen.end);
}

/* scores (count × keys) of the block. */
static void form_scores(strata_context *ctx, const sizes_of *z, const head_of *head, const block *b,
                        float *scores)
{
    strata__gemm_call product = {.transpose_b = true,
                                 .m = b->count,
                                 .n = b->keys,
                                 .k = z->h,
                                 .a = head->q + b->first * z->q_stride,
                                 .lda = z->q_stride,
                                 .b = head->k + b->key * z->k_stride,
                                 .ldb = z->k_stride,
                                 .c = scores,
                                 .ldc = b->keys};
    strata__gemm_float32(ctx, &product);
    for (int64_t i = 0; i < b->count; i++)
        mask_row(z, head, b, b->first + i, scores + i * b->keys);
}

/* --- dropout --- */

/* row[j] ← row[j]/(1 − rate) where kept, 0 elsewhere. */
static void drop_row(const sizes_of *z, const head_of *head, int64_t i, const block *b, float *row)
{
    float draws[COLUMNS], scale = 1.0f / (1.0f - z->dropout);
    uint64_t first = head->first_draw + (uint64_t)(i * z->s + b->key);
    for (int64_t at = 0; at < b->keys; at += COLUMNS) {
        int64_t count = b->keys - at < COLUMNS ? b->keys - at : COLUMNS;
        strata__random_uniform(z->key, first + (uint64_t)at, count, draws);
        for (int64_t j = 0; j < count; j++)
            row[at + j] = draws[j] >= z->dropout ? row[at + j] * scale : 0.0f;
    }
}

static void drop(const sizes_of *z, const head_of *head, const block *b, float *values)
{
    for (int64_t i = 0; z->dropout > 0 && i < b->count; i++)
        drop_row(z, head, b->first + i, b, values + i * b->keys);
}

/* --- forward --- */

STRATA__SIMD static float largest(const float *x, int64_t n, float most)
{
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < n; j++)
        most = x[j] > most ? x[j] : most;
    return most;
}

/* x ← e^(x − shift); returns its sum. */
STRATA__SIMD static float exponentials(float *x, int64_t n, float shift)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        x[j] = strata__exp(x[j] - shift);
        sum += x[j];
    }
    return sum;
}

STRATA__SIMD static void multiply(float *x, float factor, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        x[j] *= factor;
}

/* Running maximum and sum of each query of a block. */
typedef struct running {
    float most[ROWS], sum[ROWS];
} running;

/* scores ← e^(score − maximum); y of the keys before is scaled to the new maximum. */
static void take_scores(const sizes_of *z, const head_of *head, const block *b, float *scores,
                        running *r)
{
    for (int64_t i = 0; i < b->count; i++) {
        float *row = scores + i * b->keys, most = largest(row, b->keys, r->most[i]);
        if (most == UNSEEN) {
            memset(row, 0, (size_t)b->keys * sizeof *row);
            continue;
        }
        float factor = strata__exp(r->most[i] - most);
        r->sum[i] = r->sum[i] * factor + exponentials(row, b->keys, most);
        if (r->most[i] != UNSEEN && factor != 1.0f)
            multiply(head->y + (b->first + i) * z->y_stride, factor, z->v);
        r->most[i] = most;
    }
}

/* y (+)= p·v */
static void add_values(strata_context *ctx, const sizes_of *z, const head_of *head, const block *b,
                       const float *p, bool first)
{
    strata__gemm_call product = {.m = b->count,
                                 .n = z->v,
                                 .k = b->keys,
                                 .a = p,
                                 .lda = b->keys,
                                 .b = head->v + b->key * z->v_stride,
                                 .ldb = z->v_stride,
                                 .beta = first ? 0.0f : 1.0f,
                                 .c = head->y + b->first * z->y_stride,
                                 .ldc = z->y_stride};
    strata__gemm_float32(ctx, &product);
}

/* A query that sees no key: the mean of all values. */
STRATA__SIMD static void mean_of_values(const sizes_of *z, const head_of *head, float *y)
{
    memset(y, 0, (size_t)z->v * sizeof *y);
    for (int64_t j = 0; j < z->s; j++) {
#pragma omp simd
        for (int64_t c = 0; c < z->v; c++)
            y[c] += head->v[j * z->v_stride + c];
    }
    multiply(y, 1.0f / (float)z->s, z->v);
}

static void finish_rows(const sizes_of *z, const head_of *head, int64_t first, int64_t count,
                        const running *r)
{
    for (int64_t i = 0; i < count; i++) {
        float *y = head->y + (first + i) * z->y_stride;
        bool blind = r->most[i] == UNSEEN;
        head->log_sums[first + i] = blind ? -INFINITY : r->most[i] + logf(r->sum[i]);
        if (blind)
            mean_of_values(z, head, y);
        else
            multiply(y, 1.0f / r->sum[i], z->v);
    }
}

/* The softmax itself, once its sums are known. */
static void write_scores(strata_context *ctx, const sizes_of *z, const head_of *head,
                         const block *rows, float *scratch)
{
    for (int64_t i = rows->first; i < rows->first + rows->count; i++) {
        bool blind = isinf(head->log_sums[i]);
        for (int64_t j = 0; j < z->s; j++)
            head->scores[i * z->s + j] = blind ? 1.0f / (float)z->s : 0.0f;
    }
    range seen = keys_of_block(z, rows->first, rows->count);
    block b = *rows;
    for (b.key = seen.first; b.key < seen.end; b.key += b.keys) {
        b.keys = seen.end - b.key < COLUMNS ? seen.end - b.key : COLUMNS;
        form_scores(ctx, z, head, &b, scratch);
        for (int64_t i = 0; i < b.count; i++) {
            float *row = scratch + i * b.keys, log_sum = head->log_sums[b.first + i];
            if (isinf(log_sum))
                continue;
            exponentials(row, b.keys, log_sum);
            memcpy(head->scores + (b.first + i) * z->s + b.key, row, (size_t)b.keys * sizeof *row);
        }
    }
}

static void forward_rows(strata_context *ctx, const sizes_of *z, const head_of *head, block b,
                         float *scratch)
{
    running r;
    range seen = keys_of_block(z, b.first, b.count);
    for (int64_t i = 0; i < b.count; i++) {
        r.most[i] = UNSEEN;
        r.sum[i] = 0;
    }
    for (b.key = seen.first; b.key < seen.end; b.key += b.keys) {
        b.keys = seen.end - b.key < COLUMNS ? seen.end - b.key : COLUMNS;
        form_scores(ctx, z, head, &b, scratch);
        take_scores(z, head, &b, scratch, &r);
        drop(z, head, &b, scratch);
        add_values(ctx, z, head, &b, scratch, b.key == seen.first);
    }
    finish_rows(z, head, b.first, b.count, &r);
    if (head->scores)
        write_scores(ctx, z, head, &b, scratch);
}

void strata__attention_forward(strata_context *ctx, const strata__attention_sizes *z,
                               const strata__attention_head *head, float *scratch)
{
    for (block b = {0}; b.first < z->t; b.first += ROWS) {
        b.count = z->t - b.first < ROWS ? z->t - b.first : ROWS;
        forward_rows(ctx, z, head, b, scratch);
    }
}

/* --- backward --- */

STRATA__SIMD static float dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

/* Σ p·dp of a query. */
static float correction(const sizes_of *z, const head_of *head, int64_t i)
{
    float sum = dot(head->dy + i * z->y_stride, head->y + i * z->y_stride, z->v);
    if (head->dscores)
        sum += dot(head->dscores + i * z->s, head->scores + i * z->s, z->s);
    return sum;
}

/* ds ← p·(dp + dscores − correction)·scale */
STRATA__SIMD static void slope_row(const float *p, float *ds, const float *dscores,
                                   float correction, float scale, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        ds[j] = p[j] * (ds[j] + (dscores ? dscores[j] : 0.0f) - correction) * scale;
}

/* p of the block; queries that see no key have none. */
static void form_softmax(strata_context *ctx, const sizes_of *z, const head_of *head,
                         const block *b, float *p)
{
    form_scores(ctx, z, head, b, p);
    for (int64_t i = 0; i < b->count; i++) {
        float log_sum = head->log_sums[b->first + i], *row = p + i * b->keys;
        if (isinf(log_sum))
            memset(row, 0, (size_t)b->keys * sizeof *row);
        else
            exponentials(row, b->keys, log_sum);
    }
}

/* dp ← dy·vᵀ, dropped as p was */
static void form_slopes(strata_context *ctx, const sizes_of *z, const head_of *head, const block *b,
                        float *dp)
{
    strata__gemm_call product = {.transpose_b = true,
                                 .m = b->count,
                                 .n = b->keys,
                                 .k = z->v,
                                 .a = head->dy + b->first * z->y_stride,
                                 .lda = z->y_stride,
                                 .b = head->v + b->key * z->v_stride,
                                 .ldb = z->v_stride,
                                 .c = dp,
                                 .ldc = b->keys};
    strata__gemm_float32(ctx, &product);
    drop(z, head, b, dp);
}

/* target (keys × n) += blockᵀ·rows (count × n) */
static void add_to_keys(strata_context *ctx, const block *b, const float *values, const float *rows,
                        int64_t stride, int64_t n, float *target, int64_t target_stride)
{
    strata__gemm_call product = {.transpose_a = true,
                                 .m = b->keys,
                                 .n = n,
                                 .k = b->count,
                                 .a = values,
                                 .lda = b->keys,
                                 .b = rows + b->first * stride,
                                 .ldb = stride,
                                 .beta = 1.0f,
                                 .c = target + b->key * target_stride,
                                 .ldc = target_stride};
    strata__gemm_float32(ctx, &product);
}

static void add_to_queries(strata_context *ctx, const sizes_of *z, const head_of *head,
                           const block *b, const float *ds)
{
    strata__gemm_call product = {.m = b->count,
                                 .n = z->h,
                                 .k = b->keys,
                                 .a = ds,
                                 .lda = b->keys,
                                 .b = head->k + b->key * z->k_stride,
                                 .ldb = z->k_stride,
                                 .beta = 1.0f,
                                 .c = head->dq + b->first * z->q_stride,
                                 .ldc = z->q_stride};
    strata__gemm_float32(ctx, &product);
}

/* p, dp: (ROWS × COLUMNS) scratch. */
static void backward_block(strata_context *ctx, const sizes_of *z, const head_of *head,
                           const block *b, const float *corrections, float *p, float *dp)
{
    form_softmax(ctx, z, head, b, p);
    if (head->dq || head->dk) {
        form_slopes(ctx, z, head, b, dp);
        for (int64_t i = 0; i < b->count; i++) {
            const float *dscores =
                head->dscores ? head->dscores + (b->first + i) * z->s + b->key : NULL;
            slope_row(p + i * b->keys, dp + i * b->keys, dscores, corrections[i], z->scale,
                      b->keys);
        }
    }
    if (head->dq)
        add_to_queries(ctx, z, head, b, dp);
    if (head->dk)
        add_to_keys(ctx, b, dp, head->q, z->q_stride, z->h, head->dk, z->k_stride);
    drop(z, head, b, p);
    if (head->dv)
        add_to_keys(ctx, b, p, head->dy, z->y_stride, z->v, head->dv, z->v_stride);
}

/* dv of the queries that took the mean of all values. */
static void spread_means(const sizes_of *z, const head_of *head)
{
    for (int64_t i = 0; head->dv && i < z->t; i++) {
        for (int64_t j = 0; isinf(head->log_sums[i]) && j < z->s; j++) {
            for (int64_t c = 0; c < z->v; c++)
                head->dv[j * z->v_stride + c] += head->dy[i * z->y_stride + c] / (float)z->s;
        }
    }
}

void strata__attention_backward(strata_context *ctx, const strata__attention_sizes *z,
                                const strata__attention_head *head, float *scratch)
{
    float corrections[ROWS], *dp = scratch + ROWS * COLUMNS;
    for (block b = {0}; b.first < z->t; b.first += ROWS) {
        b.count = z->t - b.first < ROWS ? z->t - b.first : ROWS;
        range seen = keys_of_block(z, b.first, b.count);
        for (int64_t i = 0; i < b.count; i++)
            corrections[i] = correction(z, head, b.first + i);
        for (b.key = seen.first; b.key < seen.end; b.key += b.keys) {
            b.keys = seen.end - b.key < COLUMNS ? seen.end - b.key : COLUMNS;
            backward_block(ctx, z, head, &b, corrections, scratch, dp);
        }
    }
    spread_means(z, head);
}
