/* Problems of attention with their solutions by plain loops. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "attention_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST = 2048, MOST_KEYS = 300 };

#define SCALE 0.7

static const strata__key key = {.seed = 5, .stream = 9};

/* --- sizes --- */

static int64_t inner(const problem *p)
{
    return p->x ? p->x : 1;
}

static int64_t sequences(const problem *p)
{
    return p->b * inner(p);
}

static int64_t q_count(const problem *p)
{
    return sequences(p) * p->t * p->heads * p->h;
}

static int64_t k_count(const problem *p)
{
    return sequences(p) * p->s * p->groups * p->h;
}

static int64_t v_count(const problem *p)
{
    return sequences(p) * p->s * p->groups * p->v;
}

static int64_t y_count(const problem *p)
{
    return sequences(p) * p->t * p->heads * p->v;
}

static int64_t scores_count(const problem *p)
{
    return p->scores ? sequences(p) * p->heads * p->t * p->s : 0;
}

static int64_t input_count(const problem *p)
{
    return q_count(p) + k_count(p) + v_count(p) + p->weights;
}

/* --- who sees whom --- */

static bool masked(int64_t number)
{
    return number % 3 == 1;
}

/* sequence: of all. */
static bool mask_hides(const problem *p, int64_t sequence, int64_t n, int64_t i, int64_t j)
{
    switch (p->mask) {
    case MASK_OF_HEADS:
        return masked(((sequence * p->heads + n) * p->t + i) * p->s + j);
    case MASK_OF_ALL:
    case MASK_OF_ONE:
        return masked(i * p->s + j);
    case MASK_OF_KEYS:
        return masked(n * p->s + j);
    case MASK_OF_QUERIES:
        return masked(sequence / inner(p) * p->t + i);
    default:
        return false;
    }
}

/* Padding hides the last query of odd sequences, the first key of even ones, the last but one of
 * all. */
static bool query_hidden(int64_t sequence, int64_t i, int64_t t)
{
    return sequence % 2 == 1 && i == t - 1;
}

static bool key_hidden(int64_t sequence, int64_t j, int64_t s)
{
    (void)s;
    return sequence % 2 == 0 && j == 0;
}

static bool value_hidden(int64_t sequence, int64_t j, int64_t s)
{
    (void)sequence;
    return j == s - 2;
}

static bool sees(const problem *p, int64_t sequence, int64_t n, int64_t i, int64_t j)
{
    return !(p->causal && j > i) && !(p->window && llabs(i - j) >= p->window) &&
           !(p->query_mask && query_hidden(sequence, i, p->t)) &&
           !(p->key_mask && key_hidden(sequence, j, p->s)) &&
           !(p->value_mask && value_hidden(sequence, j, p->s)) && !mask_hides(p, sequence, n, i, j);
}

static bool is_blind(const problem *p, int64_t sequence, int64_t n, int64_t i)
{
    for (int64_t j = 0; j < p->s; j++) {
        if (sees(p, sequence, n, i, j))
            return false;
    }
    return true;
}

/* --- plain loops --- */

/* The operands as they lie in a row. */
typedef struct operands {
    const double *q, *k, *v, *weights;
} operands;

static operands operands_of(const problem *p, const double *values)
{
    const double *k = values + q_count(p), *v = k + k_count(p);
    return (operands){values, k, v, v + v_count(p)};
}

static double score(const problem *p, const operands *o, int64_t sequence, int64_t n, int64_t i,
                    int64_t j)
{
    int64_t group = n / (p->heads / p->groups);
    const double *q = o->q + ((sequence * p->t + i) * p->heads + n) * p->h;
    const double *k = o->k + ((sequence * p->s + j) * p->groups + group) * p->h;
    double sum = 0;
    for (int64_t c = 0; c < p->h; c++) {
        double weight = p->weights == 0 ? 1 : o->weights[p->weights == 1 ? 0 : c];
        sum += p->additive ? weight * tanh(SCALE * q[c] + k[c]) : SCALE * q[c] * k[c];
    }
    return sum;
}

/* Of what query i sees, or of what it gets instead. */
static void softmax_of(const problem *p, const operands *o, int64_t sequence, int64_t n, int64_t i,
                       double *softmax)
{
    bool blind = is_blind(p, sequence, n, i);
    double sum = 0, most = -INFINITY;
    for (int64_t j = 0; j < p->s; j++) {
        softmax[j] = score(p, o, sequence, n, i, j);
        if (blind && p->blind == STRATA__BLIND_MEAN)
            softmax[j] = 0;
        else if (!sees(p, sequence, n, i, j) && !(blind && p->blind == STRATA__BLIND_UNMASKED))
            softmax[j] = -INFINITY;
        most = fmax(most, softmax[j]);
    }
    for (int64_t j = 0; j < p->s; j++)
        sum += softmax[j] = isinf(most) ? 0 : exp(softmax[j] - most);
    for (int64_t j = 0; sum > 0 && j < p->s; j++)
        softmax[j] /= sum;
}

static double kept(const problem *p, int64_t element)
{
    float draw;
    if (p->dropout == 0)
        return 1;
    strata__random_uniform(key, (uint64_t)element, 1, &draw);
    return draw >= (float)p->dropout ? 1 / (1 - p->dropout) : 0;
}

/* y and, if asked for, scores of one query; softmax is changed. */
static void attend(const problem *p, const operands *o, int64_t sequence, int64_t n, int64_t i,
                   double *softmax, double *y, double *scores)
{
    int64_t group = n / (p->heads / p->groups);
    int64_t element = ((sequence * p->heads + n) * p->t + i) * p->s;
    for (int64_t j = 0; j < p->s; j++) {
        double before = softmax[j];
        softmax[j] *= kept(p, element + j);
        if (p->scores)
            scores[element + j] = p->dropped_scores ? softmax[j] : before;
    }
    for (int64_t c = 0; c < p->v; c++) {
        double sum = 0;
        for (int64_t j = 0; j < p->s; j++)
            sum += softmax[j] * o->v[((sequence * p->s + j) * p->groups + group) * p->v + c];
        y[((sequence * p->t + i) * p->heads + n) * p->v + c] = sum;
    }
}

/* values: q, k, v, weights in a row; results: y, and the scores where they are asked for. */
static void attention(const double *values, double *results, const void *user)
{
    const problem *p = user;
    operands o = operands_of(p, values);
    double softmax[MOST_KEYS];
    for (int64_t sequence = 0; sequence < sequences(p); sequence++) {
        for (int64_t n = 0; n < p->heads; n++) {
            for (int64_t i = 0; i < p->t; i++) {
                softmax_of(p, &o, sequence, n, i, softmax);
                attend(p, &o, sequence, n, i, softmax, results, results + y_count(p));
            }
        }
    }
}

/* A problem with its solution. */
typedef struct solution {
    double values[MOST], results[MOST], upstream[MOST], gradient[MOST];
} solution;

/* Upstream of y and of the scores, sample by sample. */
static void put_side_by_side(const problem *p, double *upstream)
{
    static double rows[MOST];
    int64_t m = y_count(p) / p->b, n = scores_count(p) / p->b;
    for (int64_t b = 0; b < p->b; b++) {
        memcpy(rows + b * (m + n), upstream + b * m, (size_t)m * sizeof *rows);
        memcpy(rows + b * (m + n) + m, upstream + p->b * m + b * n, (size_t)n * sizeof *rows);
    }
    memcpy(upstream, rows, (size_t)(p->b * (m + n)) * sizeof *rows);
}

static void solve(const problem *p, solution *known)
{
    int64_t count = input_count(p), outputs = y_count(p) + scores_count(p);
    assert_true(count <= MOST && outputs <= MOST && p->s <= MOST_KEYS);
    test_values(known->values, count, 1);
    test_values(known->upstream, outputs, 2);
    attention(known->values, known->results, p);
    test_differences(attention, p, known->values, count, known->upstream, outputs, known->gradient);
    if (p->scores)
        put_side_by_side(p, known->upstream);
}

/* --- masks as tensors --- */

/* The leading axes, 1 where the mask repeats. */
static strata_shape leading(const problem *p, bool samples, bool positions)
{
    strata_shape shape = STRATA_SHAPE(samples ? p->b : 1);
    if (p->x)
        shape.dims[shape.rank++] = positions ? p->x : 1;
    return shape;
}

static strata_tensor *fill(strata_tensor *mask, int64_t per_sample, const bool *hidden)
{
    for (int64_t i = 0; i < strata__local_count(mask); i++)
        ((unsigned char *)mask->data)[i] = !hidden[mask->first_sample * per_sample + i];
    return mask;
}

static strata_tensor *padding(strata_context *ctx, const problem *p, bool given, int64_t count,
                              bool (*hides)(int64_t sequence, int64_t at, int64_t count))
{
    static bool hidden[MOST];
    strata_shape shape = leading(p, true, true);
    if (!given)
        return NULL;
    shape.dims[shape.rank++] = count;
    for (int64_t i = 0; i < sequences(p) * count; i++)
        hidden[i] = hides(i / count, i % count, count);
    return fill(strata__tensor_new(ctx, STRATA_BOOL, &shape, (strata__layout){.batch = !p->whole}),
                inner(p) * count, hidden);
}

static strata_tensor *mask_of(strata_context *ctx, const problem *p)
{
    static bool hidden[MOST];
    bool heads = p->mask == MASK_OF_HEADS, keys = p->mask == MASK_OF_KEYS,
         queries = p->mask == MASK_OF_QUERIES;
    strata_shape shape = leading(p, heads || queries, heads);
    if (p->mask == NO_MASK)
        return NULL;
    shape.dims[shape.rank++] = heads || keys ? p->heads : 1;
    shape.dims[shape.rank++] = keys ? 1 : p->t;
    shape.dims[shape.rank++] = queries ? 1 : p->s;
    int64_t count = strata__product(&shape, 0, shape.rank);
    for (int64_t i = 0; i < count; i++)
        hidden[i] = masked(i);
    strata__layout layout = {.batch = (heads && !p->whole) || p->mask == MASK_OF_ONE};
    return fill(strata__tensor_new(ctx, STRATA_BOOL, &shape, layout), count / shape.dims[0],
                hidden);
}

/* --- comparison --- */

/* The tensors of a problem. */
typedef struct inputs {
    strata_tensor *q, *k, *v, *weights;
} inputs;

static strata_tensor *operand(strata_context *ctx, const problem *p, int64_t positions,
                              int64_t features, const double *values)
{
    strata_shape shape = leading(p, true, true);
    shape.dims[shape.rank++] = positions;
    shape.dims[shape.rank++] = features;
    return p->whole ? test_parameter(ctx, &shape, values) : test_batch(ctx, &shape, values);
}

static inputs inputs_of(strata_context *ctx, const problem *p, const double *values)
{
    operands o = operands_of(p, values);
    strata_shape shape = STRATA_SHAPE(p->weights);
    shape.rank = p->weights > 1;
    return (inputs){operand(ctx, p, p->t, p->heads * p->h, o.q),
                    operand(ctx, p, p->s, p->groups * p->h, o.k),
                    operand(ctx, p, p->s, p->groups * p->v, o.v),
                    p->weights ? test_parameter(ctx, &shape, o.weights) : NULL};
}

static strata__attention options_of(strata_context *ctx, const problem *p, const inputs *in)
{
    return (strata__attention){.heads = p->heads,
                               .groups = p->groups,
                               .scale = SCALE,
                               .additive = p->additive,
                               .weights = in->weights,
                               .causal = p->causal,
                               .window = p->window,
                               .mask = mask_of(ctx, p),
                               .query_mask = padding(ctx, p, p->query_mask, p->t, query_hidden),
                               .key_mask = padding(ctx, p, p->key_mask, p->s, key_hidden),
                               .value_mask = padding(ctx, p, p->value_mask, p->s, value_hidden),
                               .blind = p->blind,
                               .dropout = p->dropout,
                               .key = key,
                               .dropped_scores = p->dropped_scores};
}

static strata_tensor *side_by_side(const problem *p, strata_tensor *y, strata_tensor *scores)
{
    y = strata_ops_reshape(y, STRATA_SHAPE(y_count(p) / p->b));
    scores = strata_ops_reshape(scores, STRATA_SHAPE(scores_count(p) / p->b));
    return strata_ops_concatenate(2, (strata_tensor *[]){y, scores}, 1);
}

static bool expect_split(const strata_context *ctx, const problem *p)
{
    int cols = ctx->mesh->cols;
    return p->split && !p->scores && !p->additive && cols > 1 &&
           strata__attention_gathers_of(p->heads, p->groups, cols) != STRATA__GATHERS_ALL;
}

static strata_tensor *layout_of(const problem *p, strata_tensor *x)
{
    return p->split ? strata__split(x) : x;
}

static void check_gradients(const problem *p, const inputs *in, const double *gradient)
{
    operands o = operands_of(p, gradient);
    assert_all_gradient(in->q, o.q, 1e-4);
    assert_all_gradient(in->k, o.k, 1e-4);
    assert_all_gradient(in->v, o.v, 1e-4);
    if (in->weights)
        assert_all_gradient(in->weights, o.weights, 2e-4);
}

/* Gradients of what is whole are parts of each rank: of a whole result each rank has all. */
static void share_upstream(const strata_context *ctx, const problem *p, const double *upstream,
                           double *share)
{
    int64_t count = y_count(p) + scores_count(p);
    double parts = p->whole ? ctx->mesh->groups[STRATA__BATCH].size : 1;
    for (int64_t i = 0; i < count; i++)
        share[i] = upstream[i] / parts;
}

static void check(strata_context *ctx, const problem *p, const solution *known)
{
    static double upstream[MOST];
    strata_scope_begin(ctx);
    inputs in = inputs_of(ctx, p, known->values);
    strata_tensor *scores = NULL;
    strata_tape_begin(ctx);
    strata__attention options = options_of(ctx, p, &in);
    strata_tensor *y = strata__attend("a layer", layout_of(p, in.q), layout_of(p, in.k),
                                      layout_of(p, in.v), &options, p->scores ? &scores : NULL);
    assert_all_ok(ctx);
    assert_all_int_equal(y->layout.split, expect_split(ctx, p));
    assert_all_tensor(y, known->results, 1e-5);
    if (p->scores) {
        assert_all_tensor(scores, known->results + y_count(p), 1e-5);
        y = side_by_side(p, y, scores);
    }
    share_upstream(ctx, p, known->upstream, upstream);
    test_backward(y, upstream);
    check_gradients(p, &in, known->gradient);
    strata_scope_end(ctx);
}

void check_on_every_mesh(const problem *problems, size_t count)
{
    solution *known = calloc(count, sizeof *known);
    const char *mesh;
    for (size_t k = 0; k < count; k++)
        solve(&problems[k], &known[k]);
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < count; k++)
            check(ctx, &problems[k], &known[k]);
    }
    free(known);
}
