/* Attention: checks, layout, and the work on all heads of this rank's samples. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attention.h"

#include <string.h>

#include "base/memory.h"
#include "ops/attention_blocks.h"
#include "ops/batch.h"
#include "ops/pointwise.h"
#include "ops/threads.h"

/* Some of all heads or groups. */
typedef strata__piece piece;

/* One call: what forward and backward need besides the tensors. */
typedef struct saved {
    strata__attention_sizes sizes;
    strata__attention_masks masks;
    int64_t sequences, first_sequence; /* this rank's: samples × inner positions */
    int64_t all_heads, shared;         /* heads, and how many of them share a group */
    piece heads;                       /* that this rank works on */
    piece groups;                      /* that these need */
    int64_t first_group;               /* of k and v as they lie here */
    bool scores;
    strata__softmax_row *rows; /* (sequences, heads, t), of the scope */
} saved;

strata__attention_gathers strata__attention_gathers_of(int64_t heads, int64_t groups, int64_t cols)
{
    if (heads % cols != 0)
        return STRATA__GATHERS_ALL;
    return groups % cols == 0 ? STRATA__GATHERS_NOTHING : STRATA__GATHERS_KEYS;
}

/* --- checks --- */

/* Sizes of the last two axes: positions and features. */
static int64_t positions(const strata_tensor *x)
{
    return x->shape.dims[x->shape.rank - 2];
}

static int64_t features(const strata_tensor *x)
{
    return strata__last(&x->shape);
}

static bool same_sequences(const strata_tensor *a, const strata_tensor *b)
{
    if (a->shape.rank < 3 || a->shape.rank != b->shape.rank)
        return false;
    for (int i = 0; i < a->shape.rank - 2; i++) {
        int64_t one = a->shape.dims[i], other = b->shape.dims[i];
        if (one != other && one != STRATA_NONE && other != STRATA_NONE)
            return false;
    }
    return true;
}

static bool is_symbolic(const strata_tensor *q, const strata_tensor *k, const strata_tensor *v)
{
    return q->symbolic || k->symbolic || v->symbolic;
}

static bool operands_fit(const strata_tensor *q, const strata_tensor *k, const strata_tensor *v,
                         const strata__attention *o)
{
    return o->heads > 0 && o->groups > 0 && o->heads % o->groups == 0 && same_sequences(q, k) &&
           same_sequences(q, v) && positions(k) == positions(v) && features(q) % o->heads == 0 &&
           features(k) % o->groups == 0 && features(v) % o->groups == 0 &&
           features(q) / o->heads == features(k) / o->groups;
}

/* Of one head, as in Attention, messages do not speak. */
static bool check(const char *who, const strata_tensor *q, const strata_tensor *k,
                  const strata_tensor *v, const strata__attention *o)
{
    char text[3][STRATA__SHAPE_TEXT], heads[64] = "";
    if (!strata__is_float(who, q) || !strata__is_float(who, k) || !strata__is_float(who, v))
        return false;
    if (o->heads != 1)
        snprintf(heads, sizeof heads, " with %lld heads and %lld groups of keys",
                 (long long)o->heads, (long long)o->groups);
    if (!operands_fit(q, k, v, o))
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: query of shape %s, key of shape %s and value of shape %s do not fit "
                     "together%s: (batch, T, dim), (batch, S, dim) and (batch, S, any)",
                     who, strata__shape_text(&q->shape, text[0]),
                     strata__shape_text(&k->shape, text[1]), strata__shape_text(&v->shape, text[2]),
                     heads);
    else if (!is_symbolic(q, k, v) &&
             (k->layout.batch != q->layout.batch || v->layout.batch != q->layout.batch))
        strata__fail(q->ctx, STRATA_INVALID,
                     "%s: query, key and value must all be batches, or all be whole on each rank",
                     who);
    return q->ctx->status == STRATA_OK && strata__attention_masks_fit(who, q, k, o);
}

/* --- the heads --- */

/* Forward or backward through one head. */
typedef void pass(strata_context *ctx, const strata__attention_sizes *sizes,
                  const strata__attention_head *head, float *scratch);

/* Operands of an op, and where gradients go. */
typedef struct work {
    const saved *s;
    strata_context *ctx;
    pass *pass;
    const float *q, *k, *v, *dy, *dscores;
    float *y, *scores, *dq, *dk, *dv;
    float *dweights; /* (sequences, heads, t, h) */
} work;

static float *at(float *base, int64_t offset)
{
    return base ? base + offset : NULL;
}

static const float *at_constant(const float *base, int64_t offset)
{
    return base ? base + offset : NULL;
}

/* head: of all. */
static strata__attention_head head_of(const work *w, int64_t sequence, int64_t head)
{
    const saved *s = w->s;
    const strata__attention_sizes *z = &s->sizes;
    int64_t own = head - s->heads.first, group = head / s->shared - s->first_group;
    int64_t q = sequence * z->t * z->q_stride + own * z->h,
            y = sequence * z->t * z->y_stride + own * z->v;
    int64_t k = sequence * z->s * z->k_stride + group * z->h,
            v = sequence * z->s * z->v_stride + group * z->v;
    int64_t number = sequence * s->heads.count + own, scores = number * z->t * z->s;
    int64_t element = ((s->first_sequence + sequence) * s->all_heads + head) * z->t * z->s;
    return (strata__attention_head){.q = w->q + q,
                                    .k = w->k + k,
                                    .v = w->v + v,
                                    .y = w->y + y,
                                    .rows = s->rows + number * z->t,
                                    .masks = strata__head_masks_of(&s->masks, sequence, head),
                                    .first_draw = (uint64_t)element,
                                    .scores = at(w->scores, scores),
                                    .dy = at_constant(w->dy, y),
                                    .dscores = at_constant(w->dscores, scores),
                                    .dq = at(w->dq, q),
                                    .dk = at(w->dk, k),
                                    .dv = at(w->dv, v),
                                    .dweights = at(w->dweights, number * z->t * z->h)};
}

/* The heads among this rank's that share a group, one after the other, since they add to the same
 * gradients. first, count: groups of all sequences. */
static void run_groups(const work *w, int64_t first, int64_t count, float *scratch)
{
    const saved *s = w->s;
    int64_t last = s->heads.first + s->heads.count;
    for (int64_t i = first; i < first + count; i++) {
        int64_t group = s->groups.first + i % s->groups.count, head = group * s->shared;
        int64_t end = head + s->shared < last ? head + s->shared : last;
        for (head = head > s->heads.first ? head : s->heads.first; head < end; head++) {
            strata__attention_head one = head_of(w, i / s->groups.count, head);
            w->pass(w->ctx, &s->sizes, &one, scratch);
        }
    }
}

static void run(work *w)
{
    int64_t groups = w->s->sequences * w->s->groups.count;
    int64_t each = strata__attention_scratch(&w->s->sizes);
    int threads = groups > 1 ? omp_get_max_threads() : 1;
    float *scratch = strata__scratch(w->ctx, threads * each, sizeof *scratch);
    if (threads == 1) { /* even a team of one costs OpenMP an allocation */
        run_groups(w, 0, groups, scratch);
    } else {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int i = 0; i < threads; i++) {
            piece own = strata__piece_of(groups, threads, i);
            run_groups(w, own.first, own.count, scratch + i * each);
        }
    }
    strata__free(w->ctx, scratch);
}

/* --- gradient --- */

enum { Q, K, V, WEIGHTS, MASKS, INPUTS = MASKS + STRATA__ATTENTION_MASKS };

/*
 * Where the gradient of an operand is added up. What is whole where heads are split is used by all
 * columns, and summed over them: it needs memory of its own, as does what nobody wants but additive
 * scores make.
 */
typedef struct sum {
    strata_tensor *operand, *own; /* own: NULL: it is added up in the operand's gradient itself */
    bool over_cols;
    float *data;
} sum;

static sum sum_for(strata_tensor *operand, bool over_cols, bool needed)
{
    sum s = {.operand = operand, .over_cols = over_cols};
    bool wanted = strata__wants(operand);
    if (wanted && !over_cols) {
        s.data = strata__gradient_to_add(operand);
    } else if (wanted || needed) {
        int64_t count = strata__local_count(operand);
        s.own = strata__tensor_like(operand);
        if (!s.own)
            strata__abort(operand->ctx, "gradient of attention");
        s.data = s.own->data;
        memset(s.data, 0, (size_t)count * sizeof *s.data);
    }
    return s;
}

static void sum_give(const sum *s)
{
    if (!s->own)
        return;
    if (s->over_cols)
        strata__sum(s->operand->ctx, STRATA__COLS, s->data, strata__local_count(s->own),
                    STRATA_FLOAT32);
    strata__gradient_give(s->operand, s->own);
    strata_tensor_release(strata_tensor_keep(s->own));
}

/* What each query gives to the weights, summed over all of them. */
static void weights_gradient(const saved *s, strata_tensor *weights, const float *parts)
{
    float beta, *dweights = strata__gradient_into(weights, &beta);
    if (dweights)
        strata__batch_sum_part(parts, s->sequences * s->heads.count * s->sizes.t, s->sizes.h, beta,
                               dweights);
}

static void gradient(strata_context *ctx, strata__node *node)
{
    const saved *s = node->saved;
    strata_tensor **inputs = node->inputs;
    const strata_tensor *y = node->outputs[0], *dy = strata__gradient_at(node, 0);
    const strata_tensor *dscores = s->scores ? strata__gradient_at(node, 1) : NULL;
    bool additive = !s->sizes.score->scaled;
    bool shared = y->layout.split && !inputs[K]->layout.split;
    int64_t parts = additive ? s->sequences * s->heads.count * s->sizes.t * s->sizes.h : 0;
    sum dq = sum_for(inputs[Q], false, additive), dk = sum_for(inputs[K], shared, additive),
        dv = sum_for(inputs[V], shared, false);
    work w = {.s = s,
              .ctx = ctx,
              .pass = strata__attention_backward,
              .q = inputs[Q]->data,
              .k = inputs[K]->data,
              .v = inputs[V]->data,
              .y = y->data,
              .scores = s->scores ? node->outputs[1]->data : NULL,
              .dy = dy ? dy->data : NULL,
              .dscores = dscores ? dscores->data : NULL,
              .dq = dq.data,
              .dk = dk.data,
              .dv = dv.data};
    if (additive) {
        w.dweights = strata__scratch(ctx, parts, sizeof *w.dweights);
        memset(w.dweights, 0, (size_t)parts * sizeof *w.dweights);
    }
    run(&w);
    if (inputs[WEIGHTS])
        weights_gradient(s, inputs[WEIGHTS], w.dweights);
    strata__free(ctx, w.dweights);
    sum_give(&dq);
    sum_give(&dk);
    sum_give(&dv);
}

/* --- the operation --- */

static strata_tensor *make(const strata_tensor *q, const strata_shape *shape, bool symbolic,
                           bool split)
{
    strata__layout layout = {.batch = q->layout.batch, .split = split};
    if (symbolic)
        return strata__tensor_symbolic(q->ctx, STRATA_FLOAT32, shape, layout);
    return strata__tensor_new(q->ctx, STRATA_FLOAT32, shape, layout);
}

/* (B, …, T, N·V) */
static strata_tensor *result_for(const strata_tensor *q, const strata_tensor *v,
                                 const strata__attention *o, bool symbolic)
{
    strata_shape shape = q->shape;
    shape.dims[shape.rank - 1] = o->heads * (features(v) / o->groups);
    return make(q, &shape, symbolic, q->layout.split);
}

/* (B, …, N, T, S) */
static strata_tensor *scores_for(const strata_tensor *q, const strata_tensor *k,
                                 const strata__attention *o, bool symbolic)
{
    strata_shape shape = q->shape;
    int last = shape.rank++;
    shape.dims[last - 2] = o->heads;
    shape.dims[last - 1] = positions(q);
    shape.dims[last] = positions(k);
    return make(q, &shape, symbolic, false);
}

/* Features gathered where they must be. Outside of split features everything is whole. */
static void arrange(strata_tensor **q, strata_tensor **k, strata_tensor **v,
                    const strata__attention *o, bool scores)
{
    strata__attention_gathers gathers =
        strata__attention_gathers_of(o->heads, o->groups, (*q)->ctx->mesh->cols);
    bool all = scores || o->additive || !(*q)->layout.split || gathers == STRATA__GATHERS_ALL;
    if ((*q)->layout.split || (*k)->layout.split || (*v)->layout.split)
        (*q)->ctx->attentions[all ? STRATA__GATHERS_ALL : gathers]++;
    if (all)
        *q = strata__whole(*q);
    if (all || gathers == STRATA__GATHERS_KEYS || !(*k)->layout.split || !(*v)->layout.split) {
        *k = strata__whole(*k);
        *v = strata__whole(*v);
    }
}

/* Heads of this rank, and the groups they need. */
static void share(const strata_tensor *q, const strata_tensor *k, const strata__attention *o,
                  saved *s)
{
    int cols = q->ctx->mesh->cols, col = q->ctx->mesh->col;
    s->all_heads = o->heads;
    s->shared = o->heads / o->groups;
    s->heads = (piece){0, o->heads};
    if (q->layout.split)
        s->heads = strata__piece_of(o->heads, cols, col);
    int64_t last = s->heads.first + s->heads.count - 1;
    s->groups.first = s->heads.first / s->shared;
    s->groups.count = last / s->shared - s->groups.first + 1;
    s->first_group = k->layout.split ? s->groups.first : 0;
}

static saved plan(const strata_tensor *q, const strata_tensor *k, const strata_tensor *v,
                  const strata_tensor *y, const strata_tensor *weights, const strata__attention *o)
{
    int64_t inner = strata__product(&q->shape, 1, q->shape.rank - 2);
    saved s = {.sizes = {.t = positions(q),
                         .s = positions(k),
                         .h = features(q) / o->heads,
                         .v = features(v) / o->groups,
                         .q_stride = strata__last(&q->local),
                         .k_stride = strata__last(&k->local),
                         .v_stride = strata__last(&v->local),
                         .y_stride = strata__last(&y->local),
                         .scale = (float)o->scale,
                         .weights = weights ? weights->data : NULL,
                         .score = o->additive ? &strata__additive_scores : &strata__product_scores,
                         .dropout = (float)o->dropout,
                         .key = o->key,
                         .dropped_scores = o->dropped_scores},
               .sequences = q->local.dims[0] * inner,
               .first_sequence = q->first_sample * inner};
    share(q, k, o, &s);
    return s;
}

/* (H) of additive scores. */
static strata_tensor *weights_for(const strata_tensor *q, const strata__attention *o)
{
    if (o->weights && o->weights->shape.rank == 1)
        return strata__whole(o->weights);
    strata_tensor *ones = strata__tensor_new(
        q->ctx, STRATA_FLOAT32, &STRATA_SHAPE(features(q) / o->heads), (strata__layout){0});
    for (int64_t i = 0; ones && i < strata__local_count(ones); i++)
        ((float *)ones->data)[i] = 1.0f;
    return o->weights ? strata_ops_multiply(ones, o->weights) : ones;
}

/* Memory of the scope for the rows' sums: backward needs them. */
static bool add_rows(strata_context *ctx, saved *s)
{
    int64_t count = s->sequences * s->heads.count * s->sizes.t;
    strata_tensor *rows =
        strata__tensor_new(ctx, STRATA_FLOAT32, &STRATA_SHAPE(count, 2), (strata__layout){0});
    s->rows = rows ? rows->data : NULL;
    return rows != NULL;
}

static strata_tensor *compute(strata_tensor *const *operands, const strata__attention *o,
                              strata_tensor *y, strata_tensor *scores)
{
    strata_tensor *q = operands[Q], *k = operands[K], *v = operands[V];
    strata_tensor *inputs[INPUTS] = {q, k, v, o->additive ? weights_for(q, o) : NULL};
    saved s = plan(q, k, v, y, inputs[WEIGHTS], o);
    if ((o->additive && !inputs[WEIGHTS]) || !strata__attention_masks_make(q, k, o, &s.masks) ||
        !add_rows(q->ctx, &s))
        return NULL;
    memcpy(inputs + MASKS, s.masks.tensors, sizeof s.masks.tensors);
    s.scores = scores != NULL;
    work w = {.s = &s,
              .ctx = q->ctx,
              .pass = strata__attention_forward,
              .q = q->data,
              .k = k->data,
              .v = v->data,
              .y = y->data,
              .scores = scores ? scores->data : NULL};
    run(&w);
    strata__node *node = strata__record(q->ctx, "attention", gradient, INPUTS, inputs,
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
    bool symbolic = is_symbolic(q, k, v);
    if (!symbolic)
        arrange(&q, &k, &v, o, scores != NULL);
    strata_tensor *y = q && k && v ? result_for(q, v, o, symbolic) : NULL;
    if (y && scores)
        *scores = scores_for(q, k, o, symbolic);
    if (!y || (scores && !*scores) || symbolic)
        return y;
    return compute((strata_tensor *[]){q, k, v}, o, y, scores ? *scores : NULL);
}
