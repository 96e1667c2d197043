/* Tests of arenas: sums, slices, eager and late updates, and what one member may see of another. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/arena.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "variants.h"

/* Bounds that are aligned and not, empty buckets, buckets smaller than the number of members, and
 * none at all. */
typedef struct layout {
    int count;
    int64_t bounds[6];
} layout;

static const layout layouts[] = {
    {5, {0, 1, 2, 50, 5000, 20011}},
    {3, {0, 100, 100, 1037}},
    {1, {0, 5}},
    {0, {0}},
};

enum { STEPS = 6 };

/* Momentum, so that a lost or doubled update shows in later steps. All values are exact in float32.
 */
typedef struct optimizer {
    float *momentum; /* a slot vector */
    int64_t updated; /* elements in this step */
} optimizer;

static void update(void *user, strata__arena *arena, const strata__slice *slice)
{
    optimizer *optimizer = user;
    for (int64_t i = 0; i < slice->count; i++) {
        float *momentum = &optimizer->momentum[slice->slot + i];
        *momentum = 0.5f * *momentum + arena->gradients[slice->first + i];
        arena->values[slice->first + i] -= 0.25f * *momentum;
    }
    optimizer->updated += slice->count;
}

static float gradient(int member, int step, int64_t element)
{
    return small_number(element, member, step);
}

static float gradient_sum(int members, int step, int64_t element)
{
    float sum = 0;
    for (int member = 0; member < members; member++)
        sum += gradient(member, step, element);
    return sum;
}

/* Late members, each in other steps. */
static void dawdle(int step, int bucket)
{
    struct timespec nap = {.tv_nsec = (long)((test_rank() * 7 + step * 3 + bucket) % 4) * 200000};
    nanosleep(&nap, NULL);
}

static bool values_are(const strata__arena *arena, int steps)
{
    int members = arena->ctx->mesh->groups[arena->axis].size;
    for (int64_t i = 0; i < arena->count; i++) {
        float value = 0, momentum = 0;
        for (int step = 0; step < steps; step++) {
            momentum = 0.5f * momentum + gradient_sum(members, step, i);
            value -= 0.25f * momentum;
        }
        if (arena->values[i] != value)
            return false;
    }
    return true;
}

static void write_bucket(strata__arena *arena, int step, int bucket)
{
    int member = arena->ctx->mesh->groups[arena->axis].rank;
    for (int64_t i = arena->bounds[bucket]; i < arena->bounds[bucket + 1]; i++)
        arena->gradients[i] = gradient(member, step, i);
}

typedef enum manner { LATE, EAGER, REDUCE_FIRST, MANNERS } manner;

static void run_step(strata__arena *arena, optimizer *optimizer, int step, manner manner)
{
    strata__arena_begin(arena);
    optimizer->updated = 0;
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        dawdle(step, bucket);
        write_bucket(arena, step, bucket);
        strata__arena_ready(arena, bucket);
        if (manner == EAGER)
            strata__arena_poll(arena, update, optimizer);
    }
    if (manner == REDUCE_FIRST)
        strata__arena_reduce(arena);
    strata__arena_finish(arena, update, optimizer);
}

static strata__arena *arena_new(strata_context *ctx, strata__axis axis, const layout *layout)
{
    strata__arena *arena;
    strata__arena_new(ctx, axis, layout->count, layout->bounds, &arena);
    assert_all_ok(ctx);
    return arena;
}

/* The own slices hold the sums of the last step. */
static bool sums_are(const strata__arena *arena, int step)
{
    int members = arena->ctx->mesh->groups[arena->axis].size;
    bool right = true;
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        const strata__slice *slice = &arena->slices[bucket];
        for (int64_t i = slice->first; i < slice->first + slice->count; i++)
            right &= arena->gradients[i] == gradient_sum(members, step, i);
    }
    return right;
}

static void check_steps(strata_context *ctx, strata__axis axis, const layout *layout)
{
    strata__arena *arena = arena_new(ctx, axis, layout);
    optimizer optimizer = {.momentum =
                               strata__calloc(ctx, (size_t)arena->slot_count, sizeof(float))};
    bool right = true;
    for (int step = 0; step < STEPS; step++) {
        run_step(arena, &optimizer, step, (manner)(step % MANNERS));
        right &= values_are(arena, step + 1) && sums_are(arena, step);
        right &= optimizer.updated == arena->slot_count;
    }
    strata__free(ctx, optimizer.momentum);
    strata__arena_free(arena);
    assert_all(right);
}

static void check_all_steps(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (size_t i = 0; i < TEST_COUNT(layouts); i++) {
        check_steps(ctx, STRATA__BATCH, &layouts[i]);
        check_steps(ctx, STRATA__DATA, &layouts[i]);
    }
}

static void test_steps_in_every_manner(void **state)
{
    (void)state;
    for_each_mesh(check_all_steps);
}

/* The slices of all members cover the arena once and begin at multiples of 16 or at a bucket. */
static void check_slices(strata_context *ctx, const variant *variant)
{
    const layout *layout = &layouts[0];
    strata__arena *arena = arena_new(ctx, STRATA__BATCH, layout);
    const strata__group *group = &ctx->mesh->groups[STRATA__BATCH];
    int32_t *owners = strata__calloc(ctx, (size_t)arena->count, sizeof *owners);
    bool aligned = true;
    int64_t slot = 0;
    for (int bucket = 0; bucket < arena->bucket_count; bucket++) {
        strata__slice slice = arena->slices[bucket];
        aligned &=
            slice.count == 0 || slice.first % 16 == 0 || slice.first == layout->bounds[bucket];
        aligned &= slice.slot == slot;
        slot += slice.count;
        for (int64_t i = 0; i < slice.count; i++)
            owners[slice.first + i]++;
    }
    strata__sum(ctx, STRATA__BATCH, owners, arena->count, STRATA_INT32);
    bool once = true;
    for (int64_t i = 0; i < arena->count; i++)
        once &= owners[i] == 1;
    bool shared = variant->share && group->node_size > 1;
    assert_all(aligned && slot == arena->slot_count);
    assert_all(once);
    assert_all(arena->values_shared == shared);
    assert_all(arena->values_writer == (!shared || group->node_rank == 0));
    strata__free(ctx, owners);
    strata__arena_free(arena);
}

static void test_slices_cover_the_arena_once(void **state)
{
    (void)state;
    for_each_mesh(check_slices);
}

static void check_slots(strata_context *ctx, const variant *variant)
{
    (void)variant;
    for (size_t l = 0; l < TEST_COUNT(layouts); l++) {
        strata__arena *arena = arena_new(ctx, STRATA__BATCH, &layouts[l]);
        size_t bytes = (size_t)arena->count * sizeof(float);
        float *whole = strata__alloc(ctx, bytes), *back = strata__calloc(ctx, 1, bytes);
        float *slot = strata__alloc(ctx, (size_t)arena->slot_count * sizeof *slot);
        for (int64_t i = 0; i < arena->count; i++)
            whole[i] = small_number(i, 0, 0);
        strata__arena_take(arena, whole, slot);
        strata__arena_gather(arena, slot, back);
        bool same = memcmp(whole, back, bytes) == 0;
        strata__free(ctx, whole);
        strata__free(ctx, back);
        strata__free(ctx, slot);
        strata__arena_free(arena);
        assert_all(same);
    }
}

static void test_slots_gather_and_take(void **state)
{
    (void)state;
    for_each_mesh(check_slots);
}

/* What the writers set, everybody has after publishing. */
static void check_publishing(strata_context *ctx, const variant *variant)
{
    (void)variant;
    strata__arena *arena = arena_new(ctx, STRATA__BATCH, &layouts[0]);
    bool right = true;
    for (int round = 1; round <= 3; round++) {
        dawdle(round, 0);
        for (int64_t i = 0; arena->values_writer && i < arena->count; i++)
            arena->values[i] = small_number(i, round, 0);
        strata__arena_publish(arena);
        for (int64_t i = 0; i < arena->count; i++)
            right &= arena->values[i] == small_number(i, round, 0);
        strata__barrier(ctx, STRATA__WORLD);
    }
    strata__arena_free(arena);
    assert_all(right);
}

static void test_publish_values(void **state)
{
    (void)state;
    for_each_mesh(check_publishing);
}

static void plain_update(void *user, strata__arena *arena, const strata__slice *slice)
{
    (void)user;
    for (int64_t i = slice->first; i < slice->first + slice->count; i++)
        arena->values[i] = arena->gradients[i];
}

/* Rough numbers: the order of the sum is that of the ranks within a node, then that of the nodes.
 */
static float sum_in_order(int members, int node_ranks, int64_t element)
{
    float sum = 0;
    for (int first = 0; first < members; first += node_ranks) {
        float node = rough_number(element, first, 0);
        for (int member = first + 1; member < first + node_ranks && member < members; member++)
            node += rough_number(element, member, 0);
        sum = first ? sum + node : node;
    }
    return sum;
}

static void check_order(strata_context *ctx, const variant *variant)
{
    strata__arena *arena = arena_new(ctx, STRATA__WORLD, &layouts[0]);
    int members = test_ranks(), node_ranks = variant->node_ranks ? variant->node_ranks : members;
    strata__arena_begin(arena);
    for (int64_t i = 0; i < arena->count; i++)
        arena->gradients[i] = rough_number(i, test_rank(), 0);
    strata__arena_finish(arena, plain_update, NULL);
    bool right = true;
    for (int64_t i = 0; i < arena->count; i++)
        right &= arena->values[i] == sum_in_order(members, variant->share ? node_ranks : 1, i);
    strata__arena_free(arena);
    assert_all(right);
}

static void test_sums_have_a_fixed_order(void **state)
{
    (void)state;
    for_each_mesh(check_order);
}

/* Two arenas whose polls interleave differently on each rank. */
static void check_two_arenas(strata_context *ctx, const variant *variant)
{
    (void)variant;
    strata__arena *arenas[2] = {arena_new(ctx, STRATA__BATCH, &layouts[0]),
                                arena_new(ctx, STRATA__DATA, &layouts[1])};
    optimizer optimizers[2];
    for (int i = 0; i < 2; i++)
        optimizers[i].momentum = strata__calloc(ctx, (size_t)arenas[i]->slot_count, sizeof(float));
    bool right = true;
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < 2; i++)
            strata__arena_begin(arenas[i]);
        for (int bucket = 0; bucket < 5; bucket++) {
            for (int i = 0; i < 2 && bucket < arenas[i]->bucket_count; i++) {
                dawdle(step, bucket);
                write_bucket(arenas[i], step, bucket);
                strata__arena_ready(arenas[i], bucket);
            }
            for (int i = 0; i < 2; i++) {
                int turn = (i + test_rank()) % 2;
                strata__arena_poll(arenas[turn], update, &optimizers[turn]);
            }
        }
        for (int i = 0; i < 2; i++)
            strata__arena_finish(arenas[i], update, &optimizers[i]);
        right &= values_are(arenas[0], step + 1) && values_are(arenas[1], step + 1);
    }
    for (int i = 0; i < 2; i++) {
        strata__free(ctx, optimizers[i].momentum);
        strata__arena_free(arenas[i]);
    }
    assert_all(right);
}

static void test_two_arenas_at_a_time(void **state)
{
    (void)state;
    for_each_mesh(check_two_arenas);
}

/* A step may end with the sums; the next one begins all the same. */
static void check_steps_without_update(strata_context *ctx, const variant *variant)
{
    (void)variant;
    strata__arena *arena = arena_new(ctx, STRATA__BATCH, &layouts[0]);
    bool right = true;
    for (int step = 0; step < STEPS; step++) {
        strata__arena_begin(arena);
        for (int bucket = 0; bucket < arena->bucket_count; bucket++)
            write_bucket(arena, step, bucket);
        dawdle(step, 0);
        strata__arena_reduce(arena);
        right &= sums_are(arena, step);
    }
    strata__arena_free(arena);
    assert_all(right);
}

static void test_steps_without_update(void **state)
{
    (void)state;
    for_each_mesh(check_steps_without_update);
}

static void test_arena_refuses_bad_buckets(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__arena *arena;
    strata__arena_new(ctx, STRATA__BATCH, 1, (int64_t[]){0, INT64_C(1) << 31}, &arena);
    assert_all(arena == NULL);
    assert_all_error(ctx, STRATA_UNSUPPORTED, "use smaller buckets");
    strata__arena_new(ctx, STRATA__BATCH, 2, (int64_t[]){0, 5, 4}, &arena);
    assert_all_error(ctx, STRATA_INTERNAL, "do not follow each other");
}

static void check_steady_state(strata_context *ctx, const variant *variant)
{
    (void)variant;
    strata__arena *arena = arena_new(ctx, STRATA__BATCH, &layouts[0]);
    int64_t before = ctx->memory.system_allocations;
    for (int step = 0; step < STEPS; step++) {
        strata__arena_begin(arena);
        strata__arena_finish(arena, plain_update, NULL);
    }
    assert_all_int_equal(ctx->memory.system_allocations, before);
    strata__arena_free(arena);
}

static void test_steps_allocate_nothing(void **state)
{
    (void)state;
    for_each_mesh(check_steady_state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_in_every_manner),
        cmocka_unit_test(test_slices_cover_the_arena_once),
        cmocka_unit_test(test_slots_gather_and_take),
        cmocka_unit_test(test_publish_values),
        cmocka_unit_test(test_sums_have_a_fixed_order),
        cmocka_unit_test(test_two_arenas_at_a_time),
        cmocka_unit_test(test_steps_without_update),
        cmocka_unit_test(test_arena_refuses_bad_buckets),
        cmocka_unit_test(test_steps_allocate_nothing),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
