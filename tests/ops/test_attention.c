/* Attention against plain loops: heads, groups, masks, windows, dropout, scores, on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "numbers.h"
#include "ops/attention.h"

enum { MOST = 2048, MOST_KEYS = 300, MOST_PROBLEMS = 8 };

typedef enum maskings { NO_MASK, MASK_OF_HEADS, MASK_OF_ALL } maskings;

/* q (b, t, heads·h), k (b, s, groups·h), v (b, s, groups·v). */
typedef struct problem {
    int64_t b, t, s, heads, groups, h, v;
    bool causal;
    int64_t window;
    maskings mask; /* none; (b, heads, t, s); (1, 1, t, s) */
    bool padding;  /* masks of queries and keys */
    double dropout;
    bool split, scores, large;
} problem;

static int64_t q_count(const problem *p)
{
    return p->b * p->t * p->heads * p->h;
}

static int64_t k_count(const problem *p)
{
    return p->b * p->s * p->groups * p->h;
}

static int64_t v_count(const problem *p)
{
    return p->b * p->s * p->groups * p->v;
}

static int64_t y_count(const problem *p)
{
    return p->b * p->t * p->heads * p->v;
}

static int64_t scores_count(const problem *p)
{
    return p->b * p->heads * p->t * p->s;
}

static double scale_of(const problem *p)
{
    return p->large ? 300 : 0.7;
}

static const strata__key key = {.seed = 5, .stream = 9};

/* --- plain loops --- */

static bool masked(int64_t number)
{
    return number % 3 == 1;
}

/* The padding masks hide the last query of odd samples and the first key of even ones. */
static bool query_hidden(const problem *p, int64_t b, int64_t i)
{
    return p->padding && b % 2 == 1 && i == p->t - 1;
}

static bool key_hidden(const problem *p, int64_t b, int64_t j)
{
    return p->padding && b % 2 == 0 && j == 0;
}

static bool sees(const problem *p, int64_t b, int64_t n, int64_t i, int64_t j)
{
    if ((p->causal && j > i) || (p->window && llabs(i - j) >= p->window))
        return false;
    if (query_hidden(p, b, i) || key_hidden(p, b, j))
        return false;
    if (p->mask == MASK_OF_HEADS)
        return !masked(((b * p->heads + n) * p->t + i) * p->s + j);
    return p->mask == NO_MASK || !masked(i * p->s + j);
}

static double dropped(const problem *p, int64_t element)
{
    float draw;
    if (p->dropout == 0)
        return 1;
    strata__random_uniform(key, (uint64_t)element, 1, &draw);
    return draw >= (float)p->dropout ? 1 / (1 - p->dropout) : 0;
}

/* Softmax over the keys that query i sees, uniform where it sees none. */
static void softmax_of(const problem *p, const double *q, const double *k, int64_t b, int64_t n,
                       int64_t i, double *softmax)
{
    int64_t group = n / (p->heads / p->groups);
    double sum = 0, most = -INFINITY;
    for (int64_t j = 0; j < p->s; j++) {
        const double *a = q + ((b * p->t + i) * p->heads + n) * p->h;
        const double *c = k + ((b * p->s + j) * p->groups + group) * p->h;
        softmax[j] = 0;
        for (int64_t l = 0; l < p->h; l++)
            softmax[j] += a[l] * c[l] * scale_of(p);
        if (!sees(p, b, n, i, j))
            softmax[j] = -INFINITY;
        most = fmax(most, softmax[j]);
    }
    for (int64_t j = 0; j < p->s; j++)
        sum += softmax[j] = isinf(most) ? 1 : exp(softmax[j] - most);
    for (int64_t j = 0; j < p->s; j++)
        softmax[j] /= sum;
}

/* Σ v·softmax, dropped; a query that sees none takes the mean as it is. */
static void attend(const problem *p, const double *v, int64_t b, int64_t n, int64_t i,
                   const double *softmax, double *y)
{
    int64_t group = n / (p->heads / p->groups);
    bool blind = true;
    for (int64_t j = 0; j < p->s; j++)
        blind &= !sees(p, b, n, i, j);
    for (int64_t c = 0; c < p->v; c++) {
        double sum = 0;
        for (int64_t j = 0; j < p->s; j++)
            sum += softmax[j] * v[((b * p->s + j) * p->groups + group) * p->v + c] *
                   (blind ? 1 : dropped(p, ((b * p->heads + n) * p->t + i) * p->s + j));
        y[((b * p->t + i) * p->heads + n) * p->v + c] = sum;
    }
}

/* values: q, k, v in a row; results: y, and the softmax where it is asked for. */
static void attention(const double *values, double *results, const void *user)
{
    const problem *p = user;
    const double *k = values + q_count(p), *v = k + k_count(p);
    double softmax[MOST_KEYS], *scores = results + y_count(p);
    for (int64_t b = 0; b < p->b; b++) {
        for (int64_t n = 0; n < p->heads; n++) {
            for (int64_t i = 0; i < p->t; i++) {
                softmax_of(p, values, k, b, n, i, softmax);
                attend(p, v, b, n, i, softmax, results);
                if (p->scores)
                    memcpy(scores + ((b * p->heads + n) * p->t + i) * p->s, softmax,
                           (size_t)p->s * sizeof *softmax);
            }
        }
    }
}

/* --- comparison --- */

static strata_tensor *padding_of(strata_context *ctx, const problem *p, bool queries)
{
    int64_t count = queries ? p->t : p->s;
    strata_tensor *mask = strata__tensor_new(ctx, STRATA_BOOL, &STRATA_SHAPE(p->b, count),
                                             (strata__layout){.batch = true});
    for (int64_t i = 0; i < strata__local_count(mask); i++) {
        int64_t sample = mask->first_sample + i / count;
        ((unsigned char *)mask->data)[i] =
            queries ? !query_hidden(p, sample, i % count) : !key_hidden(p, sample, i % count);
    }
    return mask;
}

static strata_tensor *mask_of(strata_context *ctx, const problem *p)
{
    if (p->mask == NO_MASK)
        return NULL;
    bool heads = p->mask == MASK_OF_HEADS;
    strata_shape shape =
        heads ? STRATA_SHAPE(p->b, p->heads, p->t, p->s) : STRATA_SHAPE(1, 1, p->t, p->s);
    strata_tensor *mask =
        strata__tensor_new(ctx, STRATA_BOOL, &shape, (strata__layout){.batch = heads});
    int64_t first = heads ? mask->first_sample * p->heads * p->t * p->s : 0;
    for (int64_t i = 0; i < strata__local_count(mask); i++)
        ((unsigned char *)mask->data)[i] = !masked(first + i);
    return mask;
}

static strata__attention options_of(strata_context *ctx, const problem *p)
{
    return (strata__attention){.heads = p->heads,
                               .groups = p->groups,
                               .scale = scale_of(p),
                               .causal = p->causal,
                               .window = p->window,
                               .mask = mask_of(ctx, p),
                               .query_mask = p->padding ? padding_of(ctx, p, true) : NULL,
                               .key_mask = p->padding ? padding_of(ctx, p, false) : NULL,
                               .dropout = p->dropout,
                               .key = key};
}

/* Upstream of y and of the scores, sample by sample. */
static void put_side_by_side(const problem *p, double *upstream)
{
    static double rows[MOST];
    int64_t m = p->t * p->heads * p->v, n = p->heads * p->t * p->s;
    for (int64_t b = 0; b < p->b; b++) {
        memcpy(rows + b * (m + n), upstream + b * m, (size_t)m * sizeof *rows);
        memcpy(rows + b * (m + n) + m, upstream + p->b * m + b * n, (size_t)n * sizeof *rows);
    }
    memcpy(upstream, rows, (size_t)(p->b * (m + n)) * sizeof *rows);
}

static strata_tensor *side_by_side(const problem *p, strata_tensor *y, strata_tensor *scores)
{
    y = strata_ops_reshape(y, STRATA_SHAPE(p->t * p->heads * p->v));
    scores = strata_ops_reshape(scores, STRATA_SHAPE(p->heads * p->t * p->s));
    return strata_ops_concatenate(2, (strata_tensor *[]){y, scores}, 1);
}

/* A problem with its solution by plain loops. */
typedef struct solution {
    double values[MOST], results[MOST], upstream[MOST], gradient[MOST];
} solution;

static void solve(const problem *p, solution *known)
{
    int64_t count = q_count(p) + k_count(p) + v_count(p);
    int64_t outputs = y_count(p) + (p->scores ? scores_count(p) : 0);
    assert_true(count <= MOST && outputs <= MOST && p->s <= MOST_KEYS);
    test_values(known->values, count, 1);
    test_values(known->upstream, outputs, 2);
    attention(known->values, known->results, p);
    if (!p->large)
        test_differences(attention, p, known->values, count, known->upstream, outputs,
                         known->gradient);
    if (p->scores)
        put_side_by_side(p, known->upstream);
}

static void check(strata_context *ctx, const problem *p, const solution *known)
{
    const double *values = known->values, *results = known->results, *gradient = known->gradient;
    strata_scope_begin(ctx);
    strata_tensor *q = test_batch(ctx, &STRATA_SHAPE(p->b, p->t, p->heads * p->h), values);
    strata_tensor *k =
        test_batch(ctx, &STRATA_SHAPE(p->b, p->s, p->groups * p->h), values + q_count(p));
    strata_tensor *v = test_batch(ctx, &STRATA_SHAPE(p->b, p->s, p->groups * p->v),
                                  values + q_count(p) + k_count(p));
    strata__attention options = options_of(ctx, p);
    strata_tensor *scores = NULL;
    strata_tape_begin(ctx);
    strata_tensor *y =
        strata__attend("a layer", p->split ? strata__split(q) : q, p->split ? strata__split(k) : k,
                       p->split ? strata__split(v) : v, &options, p->scores ? &scores : NULL);
    assert_all_ok(ctx);
    assert_all_int_equal(y->layout.split,
                         p->split && !p->scores && ctx->mesh->cols > 1 &&
                             strata__attention_gathers_of(p->heads, p->groups, ctx->mesh->cols) !=
                                 STRATA__GATHERS_ALL);
    assert_all_tensor(y, results, p->large ? 1e-4 : 1e-5);
    if (p->scores) {
        assert_all_tensor(scores, results + y_count(p), 1e-5);
        y = side_by_side(p, y, scores);
    }
    assert_all_ok(ctx);
    if (!p->large) {
        test_backward(y, known->upstream);
        assert_all_gradient(q, gradient, 1e-4);
        assert_all_gradient(k, gradient + q_count(p), 1e-4);
        assert_all_gradient(v, gradient + q_count(p) + k_count(p), 1e-4);
    }
    strata__tape_free(ctx);
    strata_scope_end(ctx);
}

static void check_on_every_mesh(const problem *problems, size_t count)
{
    static solution known[MOST_PROBLEMS];
    const char *mesh;
    assert_true(count <= MOST_PROBLEMS);
    for (size_t k = 0; k < count; k++)
        solve(&problems[k], &known[k]);
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < count; k++)
            check(ctx, &problems[k], &known[k]);
    }
}

static void test_heads_and_groups(void **state)
{
    (void)state;
    static const problem problems[] = {
        {.b = 3, .t = 4, .s = 5, .heads = 1, .groups = 1, .h = 3, .v = 2},
        {.b = 3, .t = 4, .s = 4, .heads = 4, .groups = 4, .h = 2, .v = 3, .split = true},
        {.b = 2, .t = 3, .s = 5, .heads = 4, .groups = 2, .h = 2, .v = 2, .split = true},
        {.b = 2, .t = 3, .s = 4, .heads = 3, .groups = 1, .h = 1, .v = 2, .split = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_masks(void **state)
{
    (void)state;
    static const problem problems[] = {
        {.b = 2, .t = 5, .s = 5, .heads = 2, .groups = 1, .h = 2, .v = 2, .causal = true},
        {.b = 2, .t = 6, .s = 3, .heads = 1, .groups = 1, .h = 2, .v = 2, .causal = true},
        {.b = 2, .t = 6, .s = 6, .heads = 1, .groups = 1, .h = 2, .v = 2, .window = 2},
        {.b = 1,
         .t = 9,
         .s = 4,
         .heads = 1,
         .groups = 1,
         .h = 2,
         .v = 2,
         .causal = true,
         .window = 3},
        {.b = 3,
         .t = 4,
         .s = 5,
         .heads = 2,
         .groups = 2,
         .h = 2,
         .v = 1,
         .mask = MASK_OF_HEADS,
         .split = true},
        {.b = 3,
         .t = 4,
         .s = 5,
         .heads = 2,
         .groups = 2,
         .h = 2,
         .v = 1,
         .mask = MASK_OF_ALL,
         .causal = true},
        {.b = 3,
         .t = 4,
         .s = 4,
         .heads = 2,
         .groups = 1,
         .h = 2,
         .v = 2,
         .padding = true,
         .causal = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

static void test_dropout(void **state)
{
    (void)state;
    static const problem problems[] = {
        {.b = 3, .t = 4, .s = 5, .heads = 2, .groups = 1, .h = 2, .v = 2, .dropout = 0.4},
        {.b = 2,
         .t = 4,
         .s = 4,
         .heads = 4,
         .groups = 4,
         .h = 1,
         .v = 2,
         .dropout = 0.3,
         .causal = true,
         .split = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

/* More queries and keys than a block has, and not a multiple of it. */
static void test_several_blocks(void **state)
{
    (void)state;
    static const problem problems[] = {
        {.b = 1, .t = 66, .s = 270, .heads = 1, .groups = 1, .h = 2, .v = 1},
        {.b = 1, .t = 260, .s = 260, .heads = 1, .groups = 1, .h = 1, .v = 1, .causal = true},
        {.b = 1,
         .t = 130,
         .s = 260,
         .heads = 1,
         .groups = 1,
         .h = 1,
         .v = 1,
         .window = 9,
         .padding = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

/* Scores of hundreds: their exponentials would overflow. */
static void test_large_scores(void **state)
{
    (void)state;
    static const problem problem = {
        .b = 1, .t = 4, .s = 270, .heads = 1, .groups = 1, .h = 3, .v = 2, .large = true};
    check_on_every_mesh(&problem, 1);
}

static void test_scores(void **state)
{
    (void)state;
    static const problem problems[] = {
        {.b = 3,
         .t = 4,
         .s = 5,
         .heads = 2,
         .groups = 1,
         .h = 2,
         .v = 2,
         .scores = true,
         .dropout = 0.5},
        {.b = 2,
         .t = 4,
         .s = 4,
         .heads = 2,
         .groups = 2,
         .h = 2,
         .v = 2,
         .scores = true,
         .causal = true,
         .padding = true,
         .split = true},
    };
    check_on_every_mesh(problems, TEST_COUNT(problems));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_and_groups), cmocka_unit_test(test_masks),
        cmocka_unit_test(test_dropout),          cmocka_unit_test(test_several_blocks),
        cmocka_unit_test(test_large_scores),     cmocka_unit_test(test_scores),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
