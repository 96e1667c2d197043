/* Feeds: every sample once an epoch, in an order that no mesh changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <strata/context.h>

#include "data/dataset.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "sessions.h"

enum { MOST = 103, WIDTH = 3 };

/* Samples that know their number: x (n, 3) = 10 · number + column, y (n) = number. */
typedef struct samples {
    float x[MOST][WIDTH];
    int32_t y[MOST];
} samples;

static strata_dataset *numbered(strata_context *ctx, samples *s, int64_t count)
{
    for (int i = 0; i < count; i++) {
        s->y[i] = i;
        for (int c = 0; c < WIDTH; c++)
            s->x[i][c] = (float)(10 * i + c);
    }
    return strata_array_dataset(ctx, .x = {{s->x, STRATA_SHAPE(count, WIDTH), STRATA_FLOAT32}},
                                .y = {{s->y, STRATA_SHAPE(count), STRATA_INT32}});
}

/* Each rank's samples are those of its place in the batch, and x and y belong together. */
static void check_batch(strata_context *ctx, const strata__batch *batch, int64_t at,
                        const int32_t *order)
{
    const strata__group *group = &ctx->mesh->groups[STRATA__BATCH];
    strata__piece piece = strata__piece_of(batch->size, group->size, group->rank);
    const float *x = batch->x[0]->data;
    const int32_t *y = batch->y[0]->data;
    bool right = batch->x[0]->local.dims[0] == piece.count &&
                 batch->y[0]->local.dims[0] == piece.count &&
                 batch->x[0]->shape.dims[0] == batch->size;
    for (int64_t i = 0; right && i < piece.count; i++) {
        right = y[i] == order[at + piece.first + i];
        for (int c = 0; c < WIDTH; c++)
            right &= x[i * WIDTH + c] == (float)(10 * y[i] + c);
    }
    assert_all(right);
}

/* One epoch from a batch on: the numbers in their order, from all ranks. Returns how many. */
static int64_t run_epoch(strata_context *ctx, strata__feed *feed, int64_t epoch, int64_t first_step,
                         int32_t *order)
{
    strata__batch batch;
    int64_t count = 0, step = first_step;
    bool more = true;
    strata__feed_start(feed, epoch, first_step);
    while (more) {
        strata_scope_begin(ctx);
        more = strata__feed_next(feed, &batch);
        if (more) {
            assert_all_int_equal(batch.step, step);
            assert_true(count + batch.size <= MOST);
            assert_all_int_equal(strata_tensor_gather(batch.y[0], order + count), STRATA_OK);
            check_batch(ctx, &batch, count, order);
            count += batch.size;
            step++;
        }
        strata_scope_end(ctx);
    }
    assert_all_ok(ctx);
    return count;
}

static strata__feed *new_feed(strata_dataset *data, strata__feed_options options)
{
    strata__feed *feed;
    assert_all_int_equal(strata__feed_new(data, &options, &feed), STRATA_OK);
    return feed;
}

static bool is_each_once(const int32_t *order, int64_t count)
{
    bool seen[MOST] = {false}, each = true;
    for (int64_t i = 0; i < count; i++) {
        bool known = order[i] >= 0 && order[i] < count;
        each &= known && !seen[order[i]];
        if (known)
            seen[order[i]] = true;
    }
    return each;
}

static void on_every_mesh(void (*check)(strata_context *ctx))
{
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_session(test_mesh(i));
        check(ctx);
    }
}

/* --- every sample exactly once --- */

static void check_coverage(strata_context *ctx)
{
    static const int64_t sizes[][2] = {{1, 1}, {1, 32}, {7, 2}, {64, 16}, {97, 8}, {103, 103}};
    static const strata__shuffle ways[] = {STRATA__IN_ORDER, STRATA__SHUFFLE_SAMPLES,
                                           STRATA__SHUFFLE_BATCHES};
    samples s;
    int32_t order[MOST];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        strata_dataset *data = numbered(ctx, &s, sizes[i][0]);
        for (size_t way = 0; way < TEST_COUNT(ways); way++) {
            strata__feed *feed = new_feed(data, (strata__feed_options){.batch_size = sizes[i][1],
                                                                       .shuffle = ways[way],
                                                                       .seed = 5,
                                                                       .prefetch = true});
            int64_t steps = (sizes[i][0] + sizes[i][1] - 1) / sizes[i][1];
            assert_all_int_equal(strata__feed_steps(feed), steps);
            for (int epoch = 0; epoch < 2; epoch++) {
                assert_all_int_equal(run_epoch(ctx, feed, epoch, 0, order), sizes[i][0]);
                assert_all(is_each_once(order, sizes[i][0]));
            }
            strata__feed_free(feed);
        }
        strata_dataset_free(data);
    }
}

static void test_every_sample_once_an_epoch(void **state)
{
    (void)state;
    on_every_mesh(check_coverage);
}

/* --- the order --- */

static void check_order(strata_context *ctx)
{
    samples s;
    int32_t first[MOST], second[MOST], other[MOST];
    strata_dataset *data = numbered(ctx, &s, 97);
    strata__feed_options options = {
        .batch_size = 10, .shuffle = STRATA__SHUFFLE_SAMPLES, .seed = 1};
    strata__feed *feed = new_feed(data, options);
    run_epoch(ctx, feed, 0, 0, first);
    run_epoch(ctx, feed, 1, 0, second);
    strata__feed_free(feed);
    for (int i = 0; i < 97; i++) {
        strata__key key = {.seed = 1, .stream = strata__stream("sample order", 0)};
        assert_all_int_equal(first[i], strata__permute(key, 97, (uint64_t)i));
    }
    assert_all(memcmp(first, second, 97 * sizeof *first) != 0);
    options.seed = 2;
    feed = new_feed(data, options);
    run_epoch(ctx, feed, 0, 0, other);
    assert_all(memcmp(first, other, 97 * sizeof *first) != 0);
    strata__feed_free(feed);
}

static void test_order_depends_on_seed_and_epoch_only(void **state)
{
    (void)state;
    on_every_mesh(check_order);
}

static void check_in_order(strata_context *ctx)
{
    samples s;
    int32_t order[MOST];
    strata_dataset *data = numbered(ctx, &s, 50);
    strata__feed *feed = new_feed(data, (strata__feed_options){.batch_size = 7});
    run_epoch(ctx, feed, 3, 0, order);
    for (int i = 0; i < 50; i++)
        assert_all_int_equal(order[i], i);
    strata__feed_free(feed);
}

static void test_without_shuffling_the_order_is_that_of_the_data(void **state)
{
    (void)state;
    on_every_mesh(check_in_order);
}

static void check_whole_batches(strata_context *ctx)
{
    samples s;
    int32_t order[MOST];
    bool moved = false;
    strata_dataset *data = numbered(ctx, &s, 50);
    strata__feed *feed = new_feed(
        data,
        (strata__feed_options){.batch_size = 8, .shuffle = STRATA__SHUFFLE_BATCHES, .seed = 1});
    run_epoch(ctx, feed, 0, 0, order);
    for (int i = 0; i < 48; i++) {
        moved |= order[i] != i;
        assert_all_int_equal(order[i], order[i - i % 8] + i % 8);
    }
    assert_all(moved);
    assert_all(order[48] == 48 && order[49] == 49);
    strata__feed_free(feed);
}

static void test_shuffled_batches_stay_whole_and_the_short_one_last(void **state)
{
    (void)state;
    on_every_mesh(check_whole_batches);
}

/* --- going on, and ahead --- */

static void check_tail(strata_context *ctx)
{
    samples s;
    int32_t all[MOST], tail[MOST];
    strata_dataset *data = numbered(ctx, &s, 61);
    for (int prefetch = 0; prefetch <= 1; prefetch++) {
        strata__feed_options options = {
            .batch_size = 6, .shuffle = STRATA__SHUFFLE_SAMPLES, .seed = 9, .prefetch = prefetch};
        strata__feed *feed = new_feed(data, options);
        run_epoch(ctx, feed, 4, 0, all);
        for (int64_t step = 0; step <= 11; step++) {
            int64_t left = step < 11 ? 61 - 6 * step : 0;
            assert_all_int_equal(run_epoch(ctx, feed, 4, step, tail), left);
            assert_all(memcmp(tail, all + 61 - left, (size_t)left * sizeof *tail) == 0);
        }
        strata__feed_free(feed);
    }
}

static void test_an_epoch_entered_in_the_middle_is_its_tail(void **state)
{
    (void)state;
    on_every_mesh(check_tail);
}

static void check_prefetch(strata_context *ctx)
{
    samples s;
    int32_t plain[MOST], ahead[MOST];
    strata_dataset *data = numbered(ctx, &s, MOST);
    strata__feed_options options = {
        .batch_size = 4, .shuffle = STRATA__SHUFFLE_SAMPLES, .seed = 3, .steps = 20};
    strata__feed *feeds[2];
    feeds[0] = new_feed(data, options);
    options.prefetch = true;
    feeds[1] = new_feed(data, options);
    assert_all_int_equal(strata__feed_steps(feeds[1]), 20);
    for (int epoch = 0; epoch < 3; epoch++) {
        assert_all_int_equal(run_epoch(ctx, feeds[0], epoch, 0, plain), 80);
        assert_all_int_equal(run_epoch(ctx, feeds[1], epoch, 0, ahead), 80);
        assert_all(memcmp(plain, ahead, sizeof plain[0] * 80) == 0);
    }
    strata__feed_free(feeds[0]);
    strata__feed_free(feeds[1]);
}

static void test_prefetched_batches_are_the_same(void **state)
{
    (void)state;
    on_every_mesh(check_prefetch);
}

/* A fit that ends in the middle of an epoch leaves a request behind. */
static void test_feeds_can_be_left_at_any_time(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    samples s;
    strata_dataset *data = numbered(ctx, &s, MOST);
    strata__feed_options options = {
        .batch_size = 4, .shuffle = STRATA__SHUFFLE_SAMPLES, .prefetch = true};
    for (int steps = 0; steps < 3; steps++) {
        strata__feed *feed = new_feed(data, options);
        strata__batch batch;
        strata__feed_start(feed, 0, 0);
        for (int i = 0; i < steps; i++) {
            strata_scope_begin(ctx);
            assert_all(strata__feed_next(feed, &batch));
            strata_scope_end(ctx);
        }
        strata__feed_start(feed, 1, 2);
        strata__feed_free(feed);
    }
    options.batch_size = 0;
    strata__feed *none;
    assert_all(strata__feed_new(data, &options, &none) == STRATA_INVALID && !none);
    assert_all_error(ctx, STRATA_INVALID, "batch_size=0");
}

static void test_a_steady_feed_allocates_nothing(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    samples s;
    int32_t order[MOST];
    strata_dataset *data = numbered(ctx, &s, MOST);
    strata__feed *feed =
        new_feed(data, (strata__feed_options){
                           .batch_size = 4, .shuffle = STRATA__SHUFFLE_SAMPLES, .prefetch = true});
    run_epoch(ctx, feed, 0, 0, order);
    int64_t before = strata_memory(ctx).system_allocations;
    run_epoch(ctx, feed, 1, 0, order);
#if !defined(__SANITIZE_ADDRESS__) /* there, each block is the system's own */
    assert_all_int_equal(strata_memory(ctx).system_allocations, before);
#endif
    assert_all(before > 0);
    strata__feed_free(feed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sample_once_an_epoch),
        cmocka_unit_test(test_order_depends_on_seed_and_epoch_only),
        cmocka_unit_test(test_without_shuffling_the_order_is_that_of_the_data),
        cmocka_unit_test(test_shuffled_batches_stay_whole_and_the_short_one_last),
        cmocka_unit_test(test_an_epoch_entered_in_the_middle_is_its_tail),
        cmocka_unit_test(test_prefetched_batches_are_the_same),
        cmocka_unit_test(test_feeds_can_be_left_at_any_time),
        cmocka_unit_test(test_a_steady_feed_allocates_nothing),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
