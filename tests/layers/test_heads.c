/* Attention by heads against plain loops on every mesh: heads that divide among the columns and
 * heads that do not; calls, masks, dropout, files, and what is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <strata/context.h>
#include <strata/layers/attention.h>
#include <strata/layers/core.h>
#include <strata/model.h>

#include "gradient_check.h"
#include "layers/layer.h"
#include "layers/support.h"

enum { BATCH = 3, T = 4, S = 5, D = 6, MOST = 16 };

/* --- plain loops --- */

typedef struct problem {
    int heads, groups, key_dim, value_dim;
    bool causal, masked;
} problem;

/* Weights in Keras's order, whole. */
typedef struct weights {
    float *values[MOST];
    strata_shape shapes[MOST];
} weights;

static weights read_weights(strata_layer *layer)
{
    weights w = {0};
    strata_variable *variables[MOST];
    int count = strata_layer_weights(layer, variables, MOST);
    for (int i = 0; i < count; i++) {
        w.shapes[i] = variables[i]->shape;
        w.values[i] =
            calloc((size_t)strata__product(&w.shapes[i], 0, w.shapes[i].rank) + 1, sizeof(float));
        strata_cross_read(variables[i], w.values[i]);
    }
    return w;
}

static void free_weights(weights *w)
{
    for (int i = 0; i < MOST; i++)
        free(w->values[i]);
}

/* y (rows × n) = x (rows × k)·kernel + bias */
static void project(const double *x, int64_t rows, int64_t k, const float *kernel,
                    const float *bias, int64_t n, double *y)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < n; j++) {
            y[i * n + j] = bias[j];
            for (int64_t l = 0; l < k; l++)
                y[i * n + j] += x[i * k + l] * kernel[l * n + j];
        }
    }
}

/* Whether position t attends to s in sample b; masks as in masks_of(). */
static bool sees(const problem *p, int b, int t, int s)
{
    if (p->causal && s > t)
        return false;
    return !p->masked || ((s + b) % 3 != 0 && (s + t) % 4 != 1);
}

/* One head of one sample; q (T × heads·h), k (S × groups·h), v, y likewise. */
static void attend(const problem *p, int b, int head, const double *q, const double *k,
                   const double *v, double *y)
{
    int h = p->key_dim, w = p->value_dim, group = head / (p->heads / p->groups);
    for (int t = 0; t < T; t++) {
        double scores[S], sum = 0;
        for (int s = 0; s < S; s++) {
            scores[s] = 0;
            for (int i = 0; i < h; i++)
                scores[s] += q[(t * p->heads + head) * h + i] * k[(s * p->groups + group) * h + i];
            scores[s] = sees(p, b, t, s) ? exp(scores[s] / sqrt(h)) : 0;
            sum += scores[s];
        }
        for (int i = 0; i < w; i++) {
            y[(t * p->heads + head) * w + i] = 0;
            for (int s = 0; s < S; s++)
                y[(t * p->heads + head) * w + i] +=
                    (sum > 0 ? scores[s] / sum : 1.0 / S) * v[(s * p->groups + group) * w + i];
        }
    }
}

/* query (BATCH, T, D), value (BATCH, S, D) → y (BATCH, T, D) */
static void oracle(const problem *p, const weights *w, const double *query, const double *value,
                   double *y)
{
    int64_t nq = p->heads * p->key_dim, nk = p->groups * p->key_dim;
    int64_t nv = p->groups * p->value_dim, ny = p->heads * p->value_dim;
    double *q = calloc((size_t)(BATCH * T * nq), sizeof *q);
    double *k = calloc((size_t)(BATCH * S * nk), sizeof *k);
    double *v = calloc((size_t)(BATCH * S * nv), sizeof *v);
    double *z = calloc((size_t)(BATCH * T * ny), sizeof *z);
    project(query, BATCH * T, D, w->values[0], w->values[1], nq, q);
    project(value, BATCH * S, D, w->values[2], w->values[3], nk, k);
    project(value, BATCH * S, D, w->values[4], w->values[5], nv, v);
    for (int b = 0; b < BATCH; b++) {
        for (int head = 0; head < p->heads; head++)
            attend(p, b, head, q + b * T * nq, k + b * S * nk, v + b * S * nv, z + b * T * ny);
    }
    project(z, BATCH * T, ny, w->values[6], w->values[7], D, y);
    free(q);
    free(k);
    free(v);
    free(z);
}

/* --- the layer --- */

static strata_layer *layer_of(strata_context *ctx, const problem *p)
{
    strata__names_reset(ctx);
    if (p->groups == p->heads)
        return STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = p->heads,
                                .key_dim = p->key_dim, .value_dim = p->value_dim,
                                .bias_initializer = "RandomNormal(seed=3)");
    return STRATA_NEW_LAYER(ctx, group_query_attention, .num_query_heads = p->heads,
                            .num_key_value_heads = p->groups, .head_dim = p->key_dim,
                            .bias_initializer = "RandomNormal(seed=3)");
}

static strata_tensor *masks_of(strata_context *ctx, strata_tensor **value_mask)
{
    uint8_t keys[BATCH * S], pairs[BATCH * T * S];
    for (int b = 0; b < BATCH; b++) {
        for (int s = 0; s < S; s++) {
            keys[b * S + s] = (s + b) % 3 != 0;
            for (int t = 0; t < T; t++)
                pairs[(b * T + t) * S + s] = (s + t) % 4 != 1;
        }
    }
    *value_mask = test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, S), keys);
    return test_batch_of(ctx, STRATA_BOOL, STRATA_SHAPE(BATCH, T, S), pairs);
}

typedef struct run {
    const problem *problem;
    strata_layer *layer;
} run;

static strata_tensor *call(const void *user, strata_tensor *const *inputs)
{
    const run *r = user;
    strata_attention_arguments a = {.use_causal_mask = r->problem->causal};
    strata_tensor *y = NULL;
    if (r->problem->masked)
        a.attention_mask = masks_of(inputs[0]->ctx, &a.value_mask);
    strata_layer_call_with(r->layer, &a, 2, inputs, 0, &y);
    return y;
}

static void numbers(double *values, int count, double step)
{
    for (int i = 0; i < count; i++)
        values[i] = sin(step * (i + 1));
}

static void check(strata_context *ctx, const problem *p, bool split)
{
    double query[BATCH * T * D], value[BATCH * S * D], expected[BATCH * T * D];
    numbers(query, BATCH * T * D, 0.7);
    numbers(value, BATCH * S * D, 1.3);
    run r = {p, layer_of(ctx, p)};
    strata__layout layout = {.batch = true, .split = split};
    test_operand operands[] = {{STRATA_SHAPE(BATCH, T, D), layout, query, false},
                               {STRATA_SHAPE(BATCH, S, D), layout, value, false}};
    assert_all_gradients(ctx, call, &r, 2, operands, 2e-3);
    weights w = read_weights(r.layer);
    oracle(p, &w, query, value, expected);
    free_weights(&w);
    strata_scope_begin(ctx);
    strata_tensor *inputs[] = {test_tensor(ctx, &operands[0]), test_tensor(ctx, &operands[1])};
    float ours[BATCH * T * D], theirs[BATCH * T * D];
    strata_tensor_gather(call(&r, inputs), ours);
    assert_all_ok(ctx);
    for (int i = 0; i < BATCH * T * D; i++)
        theirs[i] = (float)expected[i];
    assert_all_floats_near(ours, theirs, BATCH * T * D, 1e-5);
    strata_scope_end(ctx);
}

static const problem problems[] = {
    {1, 1, 4, 4, .causal = true}, {2, 2, 3, 5, .masked = true},
    {3, 3, 2, 2, .causal = true}, {4, 4, 2, 3, .causal = true, .masked = true},
    {4, 2, 3, 3, .causal = true}, {4, 1, 2, 2, .masked = true},
    {6, 3, 2, 2, .causal = true},
};

static void test_heads_on_every_mesh(void **state)
{
    (void)state;
    for (int m = 0; test_mesh(m); m++) {
        strata_context *ctx = test_session(test_mesh(m));
        for (size_t i = 0; i < TEST_COUNT(problems); i++)
            check(ctx, &problems[i], ctx->mesh->cols > 1 && i % 2 == 1);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_on_every_mesh),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
