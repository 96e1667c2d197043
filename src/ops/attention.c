/* Scaled dot-product attention: checks, layout, and the work on all heads of this rank's samples.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "ops/attention_kernels.h"
#include "ops/pointwise.h"
#include "ops/threads.h"

/* One call: what forward and backward need besides the tensors. */
typedef struct saved {
    strata__attention_sizes sizes;
    int64_t samples, heads, groups; /* this rank's */
    int64_t first_sample, first_head, all_heads;
    strata_tensor *mask, *query_mask, *key_mask;
    float *log_sums; /* (samples, heads, t) of the pool */
    bool scores;
} saved;

bool strata__attention_splits(int64_t heads, int64_t groups, int64_t cols)
{
    return groups % cols == 0 && heads % groups == 0;
}

/* --- checks --- */

static bool has_shape(const strata_tensor *tensor, int64_t b, int64_t n, int64_t t, int64_t s)
{
    const int64_t *d = tensor->shape.dims;
    return tensor->shape.rank == 4 && (d[0] == b || d[0] == 1) && (d[1] == n || d[1] == 1) &&
           d[2] == t && d[3] == s;
}

static bool has_rows(const strata_tensor *mask, int64_t b, int64_t t)
{
    return !mask || (mask->shape.rank == 2 && mask->shape.dims[0] == b && mask->shape.dims[1] == t);
}

static bool operands_fit(const strata_tensor *q, const strata_tensor *k, const strata_tensor *v,
                         const strata__attention *o)
{
    const int64_t *qd = q->shape.dims, *kd = k->shape.dims, *vd = v->shape.dims;
    return q->shape.rank == 3 && k->shape.rank == 3 && v->shape.rank == 3 && o->heads > 0 &&
           o->groups > 0 && o->heads % o->groups == 0 && qd[0] == kd[0] && qd[0] == vd[0] &&
           kd[1] == vd[1] && qd[2] % o->heads == 0 && kd[2] % o->groups == 0 &&
           vd[2] % o->groups == 0 && qd[2] / o->heads == kd[2] / o->groups;
}

static bool check(const char *who, const strata_tensor *q, const strata_tensor *k,
                  const strata_tensor *v, const strata__attention *o)
{
    char text[4][STRATA__SHAPE_TEXT];
    if (!strata__is_float(who, q) || !strata__is_float(who, k) || !strata__is_float(who, v))
        return false;
    if (!operands_fit(q, k, v, o)) {
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: query %s, key %s and value %s do not fit %lld heads and %lld groups of "
                     "keys",
                     who, strata__shape_text(&q->shape, text[0]),
                     strata__shape_text(&k->shape, text[1]), strata__shape_text(&v->shape, text[2]),
                     (long long)o->heads, (long long)o->groups);
        return false;
    }
    int64_t b = q->shape.dims[0], t = q->shape.dims[1], s = k->shape.dims[1];
    if (o->mask && !has_shape(o->mask, b, o->heads, t, s))
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: attention mask of shape %s for scores of shape (%lld, %lld, %lld, %lld)",
                     who, strata__shape_text(&o->mask->shape, text[3]), (long long)b,
                     (long long)o->heads, (long long)t, (long long)s);
    else if (!has_rows(o->query_mask, b, t) || !has_rows(o->key_mask, b, s))
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: the masks of query and value must have the shapes (%lld, %lld) and "
                     "(%lld, %lld)",
                     who, (long long)b, (long long)t, (long long)b, (long long)s);
    return q->ctx->status == STRATA_OK;
}

/* --- the heads --- */

/* Row of a mask that may have one sample for all, or be whole where samples are spread. */
static const unsigned char *mask_rows(const strata_tensor *mask, int64_t local, int64_t global,
                                      int64_t row)
{
    if (!mask)
        return NULL;
    int64_t sample = mask->layout.batch ? local : mask->shape.dims[0] == 1 ? 0 : global;
    return (const unsigned char *)mask->data + sample * row;
}

static const unsigned char *mask_of(const saved *s, int64_t sample, int64_t head)
{
    if (!s->mask)
        return NULL;
    int64_t heads = s->mask->shape.dims[1], scores = s->sizes.t * s->sizes.s;
    const unsigned char *rows =
        mask_rows(s->mask, sample, s->first_sample + sample, heads * scores);
    return rows + (heads == 1 ? 0 : (s->first_head + head) * scores);
}

/* Operands of an op, and where gradients go. */
typedef struct work {
    const saved *s;
    strata_context *ctx;
    const float *q, *k, *v, *dy, *dscores;
    float *y, *scores, *dq, *dk, *dv;
    float *scratch; /* (threads, STRATA__ATTENTION_SCRATCH) */
} work;

static float *at(float *base, int64_t offset)
{
    return base ? base + offset : NULL;
}

static const float *at_constant(const float *base, int64_t offset)
{
    return base ? base + offset : NULL;
}

static strata__attention_head head_of(const work *w, int64_t sample, int64_t head)
{
    const saved *s = w->s;
    const strata__attention_sizes *z = &s->sizes;
    int64_t group = head / (s->heads / s->groups), global = s->first_sample + sample;
    int64_t q = sample * z->t * z->q_stride + head * z->h;
    int64_t k = sample * z->s * z->k_stride + group * z->h;
    int64_t v = sample * z->s * z->v_stride + group * z->v;
    int64_t y = sample * z->t * z->y_stride + head * z->v;
    int64_t number = sample * s->heads + head, scores = number * z->t * z->s;
    return (strata__attention_head){
        .q = w->q + q,
        .k = w->k + k,
        .v = w->v + v,
        .y = w->y + y,
        .log_sums = s->log_sums + number * z->t,
        .mask = mask_of(s, sample, head),
        .query_mask = mask_rows(s->query_mask, sample, global, z->t),
        .key_mask = mask_rows(s->key_mask, sample, global, z->s),
        .first_draw = (uint64_t)((global * s->all_heads + s->first_head + head) * z->t * z->s),
        .scores = at(w->scores, scores),
        .dy = at_constant(w->dy, y),
        .dscores = at_constant(w->dscores, scores),
        .dq = at(w->dq, q),
        .dk = at(w->dk, k),
        .dv = at(w->dv, v)};
}

/* All heads that share keys, since they add to the same gradients. first, count: groups of all
 * samples. */
static void run_groups(const work *w, int64_t first, int64_t count, float *scratch)
{
    const saved *s = w->s;
    int64_t each = s->heads / s->groups;
    for (int64_t i = first; i < first + count; i++) {
        for (int64_t head = i % s->groups * each; head < (i % s->groups + 1) * each; head++) {
            strata__attention_head one = head_of(w, i / s->groups, head);
            if (w->dy)
                strata__attention_backward(w->ctx, &s->sizes, &one, scratch);
            else
                strata__attention_forward(w->ctx, &s->sizes, &one, scratch);
        }
    }
}

static void run(work *w)
{
    const saved *s = w->s;
    int64_t groups = s->samples * s->groups;
    int threads = groups > 1 ? omp_get_max_threads() : 1;
    w->scratch = strata__alloc(w->ctx, (size_t)threads * STRATA__ATTENTION_SCRATCH * sizeof(float));
    if (!w->scratch)
        strata__abort(w->ctx, "attention");
    if (threads == 1) { /* even a team of one costs OpenMP an allocation */
        run_groups(w, 0, groups, w->scratch);
    } else {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int i = 0; i < threads; i++) {
            strata__piece piece = strata__piece_of(groups, threads, i);
            run_groups(w, piece.first, piece.count,
                       w->scratch + (int64_t)i * STRATA__ATTENTION_SCRATCH);
        }
    }
    strata__free(w->ctx, w->scratch);
}

/* --- gradient --- */

/* The gradient of an operand with something in it to add to. */
static float *gradient_of(strata_tensor *operand)
{
    float beta, *gradient = strata__gradient_into(operand, &beta);
    if (gradient && beta == 0.0f)
        memset(gradient, 0, (size_t)strata__local_count(operand) * sizeof *gradient);
    return gradient;
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    const strata_tensor *dy = strata__gradient_at(node, 0);
    const strata_tensor *dscores = s->scores ? strata__gradient_at(node, 1) : NULL;
    float *zero = NULL;
    if (!dy) { /* only the scores were used */
        zero = strata__calloc(ctx, (size_t)strata__local_count(node->outputs[0]) + 1, sizeof *zero);
        if (!zero)
            strata__abort(ctx, "gradient of attention");
    }
    work w = {.s = s,
              .ctx = ctx,
              .q = node->inputs[0]->data,
              .k = node->inputs[1]->data,
              .v = node->inputs[2]->data,
              .y = node->outputs[0]->data,
              .scores = s->scores ? node->outputs[1]->data : NULL,
              .dy = dy ? dy->data : zero,
              .dscores = dscores ? dscores->data : NULL};
    w.dq = gradient_of(node->inputs[0]);
    w.dk = gradient_of(node->inputs[1]);
    w.dv = gradient_of(node->inputs[2]);
    run(&w);
    strata__free(ctx, zero);
}

/* --- the operation --- */

static strata_tensor *result_for(const strata_tensor *q, const strata_tensor *v,
                                 const strata__attention *o)
{
    strata_shape shape = q->shape;
    shape.dims[2] = o->heads * (v->shape.dims[2] / o->groups);
    if (q->symbolic)
        return strata__tensor_symbolic(q->ctx, STRATA_FLOAT32, &shape, q->layout);
    return strata__tensor_new(q->ctx, STRATA_FLOAT32, &shape, q->layout);
}

static strata_tensor *scores_for(const strata_tensor *q, const strata_tensor *k,
                                 const strata__attention *o)
{
    strata_shape shape =
        STRATA_SHAPE(q->shape.dims[0], o->heads, q->shape.dims[1], k->shape.dims[1]);
    strata__layout layout = {.batch = q->layout.batch};
    if (q->symbolic)
        return strata__tensor_symbolic(q->ctx, STRATA_FLOAT32, &shape, layout);
    return strata__tensor_new(q->ctx, STRATA_FLOAT32, &shape, layout);
}

/* All three in pieces of whole heads, or all three whole. */
static void arrange(strata_tensor **q, strata_tensor **k, strata_tensor **v,
                    const strata__attention *o, bool scores)
{
    int cols = (*q)->ctx->mesh->cols;
    bool split = (*q)->layout.split && (*k)->layout.split && (*v)->layout.split;
    if (!split || scores || !strata__attention_splits(o->heads, o->groups, cols)) {
        *q = strata__whole(*q);
        *k = strata__whole(*k);
        *v = strata__whole(*v);
    }
}

static saved plan(const strata_tensor *q, const strata_tensor *k, const strata_tensor *v,
                  const strata__attention *o)
{
    int64_t h = q->shape.dims[2] / o->heads, values = v->shape.dims[2] / o->groups;
    int64_t q_own = strata__last(&q->local), v_own = strata__last(&v->local);
    int64_t heads = h ? q_own / h : 0;
    return (saved){.sizes = {.t = q->shape.dims[1],
                             .s = k->shape.dims[1],
                             .h = h,
                             .v = values,
                             .q_stride = q_own,
                             .k_stride = strata__last(&k->local),
                             .v_stride = v_own,
                             .y_stride = heads * values,
                             .scale = (float)o->scale,
                             .causal = o->causal,
                             .window = o->window,
                             .dropout = (float)o->dropout,
                             .key = o->key},
                   .samples = q->local.dims[0],
                   .heads = heads,
                   .groups = heads / (o->heads / o->groups),
                   .first_sample = q->first_sample,
                   .first_head = h ? q->first_feature / h : 0,
                   .all_heads = o->heads,
                   .mask = o->mask,
                   .query_mask = o->query_mask,
                   .key_mask = o->key_mask};
}

/* The sums live as long as the tape, or no longer than this call. */
static strata_tensor *sums_for(strata_context *ctx, const saved *s)
{
    return strata__tensor_new(ctx, STRATA_FLOAT32,
                              &STRATA_SHAPE(s->samples * s->heads * s->sizes.t),
                              (strata__layout){0});
}

static strata_tensor *compute(strata_tensor *q, strata_tensor *k, strata_tensor *v,
                              const strata__attention *o, strata_tensor *y, strata_tensor *scores)
{
    saved s = plan(q, k, v, o);
    strata_tensor *sums = sums_for(q->ctx, &s);
    if (!sums)
        return NULL;
    s.log_sums = sums->data;
    s.scores = scores != NULL;
    work w = {.s = &s,
              .ctx = q->ctx,
              .q = q->data,
              .k = k->data,
              .v = v->data,
              .y = y->data,
              .scores = scores ? scores->data : NULL};
    run(&w);
    strata__node *node =
        strata__record(q->ctx, "attention", gradient, 3, (strata_tensor *[]){q, k, v},
                       scores ? 2 : 1, (strata_tensor *[]){y, scores}, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
}

strata_tensor *strata__attend(const char *who, strata_tensor *q, strata_tensor *k, strata_tensor *v,
                              const strata__attention *o, strata_tensor **scores)
{
    if (!q || !k || !v || !check(who, q, k, v, o))
        return NULL;
    if (!q->symbolic)
        arrange(&q, &k, &v, o, scores != NULL);
    strata_tensor *y = q && k && v ? result_for(q, v, o) : NULL;
    if (y && scores)
        *scores = scores_for(q, k, o);
    if (!y || (scores && !*scores) || y->symbolic)
        return y;
    return compute(q, k, v, o, y, scores ? *scores : NULL);
}
