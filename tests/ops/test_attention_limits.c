/* Attention at its limits: long sequences, extreme numbers, empty axes, operands that do not fit.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "numbers.h"
#include "ops/attention.h"

static const strata__attention plain = {.heads = 1, .groups = 1, .scale = 1};

/* Every element the same on all ranks, as a batch. */
static strata_tensor *filled(strata_context *ctx, strata_shape shape, float value)
{
    strata_tensor *x =
        strata__tensor_new(ctx, STRATA_FLOAT32, &shape, (strata__layout){.batch = true});
    for (int64_t i = 0; i < strata__local_count(x); i++)
        ((float *)x->data)[i] = value;
    strata_tape_watch(x);
    return x;
}

static strata_tensor *numbers(strata_context *ctx, strata_shape shape, unsigned seed)
{
    int64_t count = strata__product(&shape, 0, shape.rank);
    double *values = malloc((size_t)count * sizeof *values);
    test_values(values, count, seed);
    strata_tensor *x = test_batch(ctx, &shape, values);
    free(values);
    return x;
}

static bool all_finite(const strata_tensor *x)
{
    for (int64_t i = 0; i < strata__local_count(x); i++) {
        if (!isfinite(((const float *)x->data)[i]))
            return false;
    }
    return true;
}

static bool all_near(const strata_tensor *x, float value, float tolerance)
{
    for (int64_t i = 0; i < strata__local_count(x); i++) {
        if (!(fabsf(((const float *)x->data)[i] - value) <= tolerance))
            return false;
    }
    return true;
}

/* --- memory --- */

/* Forward and backward of one long sequence a rank; the most memory that was in use. */
static int64_t peak_of(strata_context *ctx, int64_t t, const strata__attention *options)
{
    strata_scope_begin(ctx);
    strata_shape shape = STRATA_SHAPE(test_ranks(), t, 4);
    strata_tensor *q = numbers(ctx, shape, 1), *k = numbers(ctx, shape, 2),
                  *v = numbers(ctx, shape, 3);
    ctx->memory.peak_bytes = ctx->memory.live_bytes;
    strata_tape_begin(ctx);
    strata_tensor *y = strata__attend("long", q, k, v, options, NULL);
    strata_tape_gradient(ctx, 1, &y, NULL);
    assert_all_ok(ctx);
    assert_all(all_finite(y) && all_finite(q->gradient) && all_finite(k->gradient));
    int64_t peak = ctx->memory.peak_bytes;
    strata_scope_end(ctx);
    return peak;
}

/* Twice the positions take twice the memory, not four times, and never as much as all scores. */
static void test_no_matrix_of_scores_in_memory(void **state)
{
    (void)state;
    strata__attention causal = plain, additive = plain, dropped = plain;
    causal.causal = true;
    additive.additive = additive.causal = true;
    additive.window = 4;
    dropped.dropout = 0.2;
    const strata__attention *options[] = {&plain, &causal, &additive, &dropped};
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t i = 0; i < TEST_COUNT(options); i++) {
        const int64_t t = 1024;
        int64_t once = peak_of(ctx, t, options[i]), twice = peak_of(ctx, 2 * t, options[i]);
        assert_all(twice < 2 * once + 4096);
        assert_all(twice < 2 * t * 2 * t);
    }
}

/* Masks of keys are never expanded either. */
static void test_padding_takes_no_matrix(void **state)
{
    (void)state;
    const int64_t t = 2048;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_shape shape = STRATA_SHAPE(test_ranks(), t);
    strata_tensor *mask =
        strata__tensor_new(ctx, STRATA_BOOL, &shape, (strata__layout){.batch = true});
    for (int64_t i = 0; i < strata__local_count(mask); i++)
        ((unsigned char *)mask->data)[i] = i % t < 100 || i % t == 1000;
    strata__attention options = plain;
    options.query_mask = options.key_mask = options.value_mask = mask;
    options.blind = STRATA__BLIND_ZERO;
    assert_all(peak_of(ctx, t, &options) < t * t);
    strata_scope_end(ctx);
}

/* --- numbers --- */

/* Scores of ±10³⁰: the softmax takes the largest, and nothing overflows. */
static void test_large_scores(void **state)
{
    (void)state;
    const int64_t t = 3, s = 300;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_tensor *q = filled(ctx, STRATA_SHAPE(2, t, 1), 1e15f);
    strata_tensor *k = filled(ctx, STRATA_SHAPE(2, s, 1), -1e15f);
    strata_tensor *v = filled(ctx, STRATA_SHAPE(2, s, 1), 1.0f);
    for (int64_t b = 0; b < k->local.dims[0]; b++) {
        ((float *)k->data)[b * s + 270] = 1e15f;
        ((float *)v->data)[b * s + 270] = 7.0f;
    }
    strata_tape_begin(ctx);
    strata_tensor *y = strata__attend("large", q, k, v, &plain, NULL);
    strata_tape_gradient(ctx, 1, &y, NULL);
    assert_all_ok(ctx);
    assert_all(all_near(y, 7.0f, 0.0f));
    assert_all(all_finite(q->gradient) && all_finite(k->gradient) && all_finite(v->gradient));
    strata_scope_end(ctx);
}

/* Equal scores far below 0, beside keys that are hidden. */
static void test_very_negative_scores(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_tensor *q = filled(ctx, STRATA_SHAPE(2, 3, 1), 1.0f);
    strata_tensor *k = filled(ctx, STRATA_SHAPE(2, 3, 1), -FLT_MAX / 2);
    strata_tensor *v = filled(ctx, STRATA_SHAPE(2, 3, 1), 2.0f);
    strata__attention options = plain;
    options.causal = true;
    strata_tensor *y = strata__attend("low", q, k, v, &options, NULL);
    assert_all_ok(ctx);
    assert_all(all_near(y, 2.0f, 1e-6f));
    strata_scope_end(ctx);
}

/* What is no number in a query stays so, and in its row. */
static void test_nan_is_not_hidden(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    for (int blind = STRATA__BLIND_MEAN; blind <= STRATA__BLIND_UNMASKED; blind++) {
        strata_scope_begin(ctx);
        strata_tensor *q = filled(ctx, STRATA_SHAPE(2, 4, 2), 1.0f);
        strata_tensor *k = filled(ctx, STRATA_SHAPE(2, 5, 2), 1.0f);
        strata__attention options = plain;
        options.causal = true;
        options.blind = (strata__blind)blind;
        for (int64_t b = 0; b < q->local.dims[0]; b++)
            ((float *)q->data)[b * 8 + 2] = NAN;
        strata_tensor *y = strata__attend("nan", q, k, k, &options, NULL);
        assert_all_ok(ctx);
        bool good = true;
        for (int64_t i = 0; i < strata__local_count(y); i++)
            good &= isnan(((float *)y->data)[i]) == (i / 2 % 4 == 1);
        assert_all(good);
        strata_scope_end(ctx);
    }
}

/* --- empty axes, ranks without samples --- */

static void test_empty_axes(void **state)
{
    (void)state;
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (int64_t samples = 0; samples < 2; samples++) {
            for (int64_t keys = 0; keys < 2; keys++) {
                strata_scope_begin(ctx);
                strata_tensor *q = filled(ctx, STRATA_SHAPE(samples, 3, 2), 1.0f);
                strata_tensor *k = filled(ctx, STRATA_SHAPE(samples, keys, 2), 1.0f);
                strata_tape_begin(ctx);
                strata_tensor *y = strata__attend("empty", strata__split(q), strata__split(k),
                                                  strata__split(k), &plain, NULL);
                strata_tape_gradient(ctx, 1, &y, NULL);
                assert_all_ok(ctx);
                assert_all(all_near(y, (float)keys, 0.0f));
                strata_scope_end(ctx);
            }
        }
    }
}

/* --- what does not fit --- */

static void assert_refused(strata_context *ctx, strata_tensor *q, strata_tensor *k,
                           strata_tensor *v, const strata__attention *options, const char *words)
{
    assert_all(!strata__attend("a layer", q, k, v, options, NULL));
    assert_all_error(ctx, STRATA_INVALID, words);
}

static void test_operands_that_do_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_tensor *q = filled(ctx, STRATA_SHAPE(2, 3, 4), 0),
                  *k = filled(ctx, STRATA_SHAPE(2, 5, 4), 0);
    strata_tensor *short_v = filled(ctx, STRATA_SHAPE(2, 4, 4), 0);
    strata_tensor *other = filled(ctx, STRATA_SHAPE(3, 5, 4), 0);
    strata_tensor *flat = filled(ctx, STRATA_SHAPE(2, 4), 0);
    strata__attention three = {.heads = 3, .groups = 3, .scale = 1};
    assert_refused(ctx, q, k, short_v, &plain,
                   "a layer: query of shape (2, 3, 4), key of shape (2, 5, 4) and value of shape "
                   "(2, 4, 4) do not fit together: (batch, T, dim)");
    assert_refused(ctx, q, other, other, &plain, "key of shape (3, 5, 4)");
    assert_refused(ctx, flat, flat, flat, &plain, "query of shape (2, 4)");
    assert_refused(ctx, q, k, k, &three, "with 3 heads and 3 groups of keys");
    strata_tensor *whole = test_parameter(ctx, &k->shape, (double[40]){0});
    assert_refused(ctx, q, whole, whole, &plain, "must all be batches");
    assert_refused(ctx, q, strata_ops_cast(k, STRATA_INT32), k, &plain, "float32");
    strata_scope_end(ctx);
}

static strata_tensor *mask(strata_context *ctx, strata_dtype dtype, strata_shape shape)
{
    return strata__tensor_new(ctx, dtype, &shape, (strata__layout){.batch = true});
}

static void test_masks_that_do_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_context(test_mesh(0));
    strata_scope_begin(ctx);
    strata_tensor *q = filled(ctx, STRATA_SHAPE(2, 3, 4), 0),
                  *k = filled(ctx, STRATA_SHAPE(2, 5, 4), 0);
    strata__attention options = plain;
    options.mask = mask(ctx, STRATA_BOOL, STRATA_SHAPE(2, 1, 5, 3));
    assert_refused(ctx, q, k, k, &options,
                   "a layer: attention_mask is bool of shape (2, 1, 5, 3), it must be bool of "
                   "shape (2, 1, 3, 5) or 1 along some axes");
    options.mask = mask(ctx, STRATA_BOOL, STRATA_SHAPE(2, 3, 5));
    assert_refused(ctx, q, k, k, &options, "attention_mask is bool of shape (2, 3, 5)");
    options = plain;
    options.query_mask = mask(ctx, STRATA_BOOL, STRATA_SHAPE(2, 5));
    assert_refused(ctx, q, k, k, &options, "query_mask is bool of shape (2, 5)");
    options = plain;
    options.key_mask = mask(ctx, STRATA_BOOL, STRATA_SHAPE(3, 5));
    assert_refused(ctx, q, k, k, &options, "key_mask is bool of shape (3, 5)");
    options = plain;
    options.value_mask = mask(ctx, STRATA_FLOAT32, STRATA_SHAPE(2, 5));
    assert_refused(ctx, q, k, k, &options, "value_mask is float32 of shape (2, 5)");
    options.value_mask = mask(ctx, STRATA_BOOL, STRATA_SHAPE(2, 5));
    strata_tensor *whole = test_parameter(ctx, &k->shape, (double[40]){0});
    assert_refused(ctx, whole, whole, whole, &options, "value_mask is spread over the ranks");
    strata_scope_end(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_matrix_of_scores_in_memory),
        cmocka_unit_test(test_padding_takes_no_matrix),
        cmocka_unit_test(test_large_scores),
        cmocka_unit_test(test_very_negative_scores),
        cmocka_unit_test(test_nan_is_not_hidden),
        cmocka_unit_test(test_empty_axes),
        cmocka_unit_test(test_operands_that_do_not_fit),
        cmocka_unit_test(test_masks_that_do_not_fit),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
