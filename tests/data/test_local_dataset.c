/* Datasets whose samples lie on the ranks that made them: the batches are those of one array. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <strata/context.h>

#include "data/dataset.h"
#include "harness.h"
#include "sessions.h"

enum { MOST = 103, WIDTH = 3 };

/* Samples that know their number. */
typedef struct samples {
    float x[MOST][WIDTH];
    int64_t y[MOST];
    double weight[MOST];
} samples;

static samples all;

static void number_samples(void)
{
    for (int i = 0; i < MOST; i++) {
        all.y[i] = i;
        all.weight[i] = i + 0.5;
        for (int c = 0; c < WIDTH; c++)
            all.x[i][c] = (float)(10 * i + c);
    }
}

static strata_dataset *whole(strata_context *ctx, int64_t size)
{
    return strata_array_dataset(
        ctx, .x = {{all.x, STRATA_SHAPE(size, WIDTH), STRATA_FLOAT32}},
        .y = {{all.y, STRATA_SHAPE(size), STRATA_INT64}},
        .sample_weight = {{all.weight, STRATA_SHAPE(size), STRATA_FLOAT64}});
}

/* Where the samples of a rank begin, in several uneven ways; some ranks have none. */
static int64_t begin(int64_t size, int way, int rank)
{
    int ranks = test_ranks();
    if (rank == 0 || rank == ranks)
        return rank ? size : 0;
    switch (way) {
    case 0: /* as even as can be */
        return size * rank / ranks;
    case 1: /* all on the last */
        return 0;
    case 2: /* all on the first */
        return size;
    default: /* a few, then ever more */
        return size * rank * rank / (ranks * ranks);
    }
}

enum { WAYS = 4 };

static strata_dataset *in_parts(strata_context *ctx, int64_t size, int way)
{
    int64_t first = begin(size, way, ctx->rank), count = begin(size, way, ctx->rank + 1) - first;
    return strata_local_dataset(
        ctx, .x = {{count ? all.x[first] : NULL, STRATA_SHAPE(count, WIDTH), STRATA_FLOAT32}},
        .y = {{count ? &all.y[first] : NULL, STRATA_SHAPE(count), STRATA_INT64}},
        .sample_weight = {
            {count ? &all.weight[first] : NULL, STRATA_SHAPE(count), STRATA_FLOAT64}});
}

static strata__feed *feed_of(strata_dataset *data, int64_t batch, strata__shuffle shuffle)
{
    strata__feed *feed = NULL;
    strata__feed_new(data,
                     &(strata__feed_options){
                         .batch_size = batch, .shuffle = shuffle, .seed = 5, .prefetch = true},
                     &feed);
    return feed;
}

static bool same_tensor(const strata_tensor *a, const strata_tensor *b)
{
    return a->dtype == b->dtype && strata__shape_equal(&a->shape, &b->shape) &&
           strata__shape_equal(&a->local, &b->local) &&
           memcmp(a->data, b->data, (size_t)strata__local_count(a) * strata_dtype_size(a->dtype)) ==
               0;
}

/* One epoch of both, from a batch on. */
static bool same_epoch(strata_context *ctx, strata__feed *a, strata__feed *b, int64_t epoch,
                       int64_t first_step)
{
    bool same = strata__feed_steps(a) == strata__feed_steps(b), more = same;
    strata__feed_start(a, epoch, first_step);
    strata__feed_start(b, epoch, first_step);
    while (more) {
        strata__batch one, other;
        strata_scope_begin(ctx);
        more = strata__feed_next(a, &one);
        same &= strata__feed_next(b, &other) == more;
        if (more && same)
            same &= same_tensor(one.x[0], other.x[0]) && same_tensor(one.y[0], other.y[0]) &&
                    same_tensor(one.weights[0], other.weights[0]);
        strata_scope_end(ctx);
    }
    return same;
}

static void check_same(strata_context *ctx, strata_dataset *one, strata_dataset *parts)
{
    static const strata__shuffle ways[] = {STRATA__IN_ORDER, STRATA__SHUFFLE_SAMPLES,
                                           STRATA__SHUFFLE_BATCHES};
    static const int64_t batches[] = {1, 8, 103};
    assert_all_ok(ctx);
    assert_all_int_equal(strata_dataset_size(parts), strata_dataset_size(one));
    bool same = true;
    for (size_t i = 0; i < TEST_COUNT(ways); i++) {
        for (size_t j = 0; j < TEST_COUNT(batches); j++) {
            strata__feed *a = feed_of(one, batches[j], ways[i]);
            strata__feed *b = feed_of(parts, batches[j], ways[i]);
            same &= same_epoch(ctx, a, b, 0, 0) && same_epoch(ctx, a, b, 1, 1);
            strata__feed_free(a);
            strata__feed_free(b);
        }
    }
    assert_all(same);
}

static void on_every_mesh(void (*check)(strata_context *ctx))
{
    number_samples();
    for (int i = 0; test_mesh(i); i++)
        check(test_session(test_mesh(i)));
}

static void check_batches(strata_context *ctx)
{
    static const int64_t sizes[] = {1, 7, 64, 103};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        for (int way = 0; way < WAYS; way++)
            check_same(ctx, whole(ctx, sizes[i]), in_parts(ctx, sizes[i], way));
    }
}

static void test_batches_are_those_of_one_array(void **state)
{
    (void)state;
    on_every_mesh(check_batches);
}

static void check_slices(strata_context *ctx)
{
    static const int64_t slices[][2] = {{0, 103}, {0, 10}, {90, 13}, {33, 41}};
    for (int way = 0; way < WAYS; way++) {
        strata_dataset *one = whole(ctx, MOST), *parts = in_parts(ctx, MOST, way);
        for (size_t i = 0; i < TEST_COUNT(slices); i++)
            check_same(ctx, strata_dataset_slice(one, slices[i][0], slices[i][1]),
                       strata_dataset_slice(parts, slices[i][0], slices[i][1]));
        check_same(ctx, strata_dataset_slice(strata_dataset_slice(one, 20, 60), 7, 30),
                   strata_dataset_slice(strata_dataset_slice(parts, 20, 60), 7, 30));
    }
}

static void test_slices_are_those_of_one_array(void **state)
{
    (void)state;
    on_every_mesh(check_slices);
}

/* The memory is read when a batch is made. */
static void check_refill(strata_context *ctx)
{
    int64_t first = begin(MOST, 0, ctx->rank), count = begin(MOST, 0, ctx->rank + 1) - first;
    static float own[MOST][WIDTH];
    memset(own, 0, sizeof own);
    strata_dataset *parts =
        strata_local_dataset(ctx, .x = {{own, STRATA_SHAPE(count, WIDTH), STRATA_FLOAT32}});
    strata_dataset *one =
        strata_array_dataset(ctx, .x = {{all.x, STRATA_SHAPE(MOST, WIDTH), STRATA_FLOAT32}});
    strata__feed *a = feed_of(one, 10, STRATA__IN_ORDER), *b = feed_of(parts, 10, STRATA__IN_ORDER);
    strata__batch expected, batch;
    strata_scope_begin(ctx);
    strata__feed_start(a, 0, 0);
    strata__feed_start(b, 0, 0);
    bool zero = strata__feed_next(a, &expected) && strata__feed_next(b, &batch) &&
                !same_tensor(expected.x[0], batch.x[0]);
    memcpy(own, all.x[first], (size_t)count * sizeof own[0]);
    bool same = strata__feed_next(a, &expected) && strata__feed_next(b, &batch) &&
                same_tensor(expected.x[0], batch.x[0]);
    strata_scope_end(ctx);
    strata__feed_free(a);
    strata__feed_free(b);
    int64_t rows = strata__piece_of(10, ctx->mesh->groups[STRATA__BATCH].size,
                                    ctx->mesh->groups[STRATA__BATCH].rank)
                       .count;
    assert_all(zero || rows == 0);
    assert_all(same);
}

static void test_memory_may_be_filled_anew(void **state)
{
    (void)state;
    on_every_mesh(check_refill);
}

/* --- mistakes --- */

/* The last rank differs from the others, or is alone. */
static bool is_odd(void)
{
    return test_rank() == test_ranks() - 1;
}

static void refuse(strata_context *ctx, const strata_array_options *options, const char *words)
{
    assert_all(strata_local_dataset_from(ctx, options) == NULL);
    assert_all_error(ctx, STRATA_INVALID, words);
}

static void test_arrays_that_differ_are_refused(void **state)
{
    (void)state;
    number_samples();
    strata_context *ctx = test_session(NULL);
    strata_array x = {all.x, STRATA_SHAPE(4, WIDTH), STRATA_FLOAT32, "image"};
    strata_array y = {all.y, STRATA_SHAPE(4), STRATA_INT64, NULL}, none = {0};
    strata_array other = x;
    refuse(ctx, &(strata_array_options){.x = {is_odd() ? none : x}}, "without x");
    refuse(ctx,
           &(strata_array_options){.x = {x}, .y = {{NULL, STRATA_SHAPE(4), STRATA_INT64, "y"}}},
           "'y' has 4 samples but no data");
    refuse(ctx,
           &(strata_array_options){.x = {x}, .y = {{all.y, STRATA_SHAPE(3), STRATA_INT64, "y"}}},
           "same number of samples");
    if (test_ranks() == 1)
        return;
    refuse(ctx, &(strata_array_options){.x = {x}, .y = {is_odd() ? none : y}},
           "1 x, 0 y and 0 weights here and of 1, 1 and 0 on rank 0");
    other.dtype = STRATA_INT32;
    refuse(ctx, &(strata_array_options){.x = {is_odd() ? other : x}},
           "'image', int32(3,), here and 'image', float32(3,), on rank 0");
    other = x;
    other.shape = STRATA_SHAPE(4, 2);
    refuse(ctx, &(strata_array_options){.x = {is_odd() ? other : x}}, "float32(2,), here");
    other = x;
    other.name = "picture";
    refuse(ctx, &(strata_array_options){.x = {is_odd() ? other : x}}, "'picture'");
}

static void test_dataset_without_samples_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    refuse(ctx,
           &(strata_array_options){.x = {{NULL, STRATA_SHAPE(0, WIDTH), STRATA_FLOAT32, NULL}}},
           "no rank has a sample");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_are_those_of_one_array),
        cmocka_unit_test(test_slices_are_those_of_one_array),
        cmocka_unit_test(test_memory_may_be_filled_anew),
        cmocka_unit_test(test_arrays_that_differ_are_refused),
        cmocka_unit_test(test_dataset_without_samples_is_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
