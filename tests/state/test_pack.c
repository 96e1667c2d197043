/* Packing: steps on arenas give the one-process answer on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/support.h"

#include <stdlib.h>
#include <string.h>

/* A small model: the second kernel fills buckets of its own; sizes do not divide by anything. */
static const struct {
    strata_shape shape;
    strata__placement placement;
} weights[] = {
    {{{7, 3}, 2}, STRATA__MATRIX},     {{{3}, 1}, STRATA__VECTOR},
    {{{331, 911}, 2}, STRATA__MATRIX}, {{{911}, 1}, STRATA__VECTOR},
    {{{401, 401}, 2}, STRATA__WHOLE},  {{{1, 1}, 2}, STRATA__MATRIX},
    {{{0}, 0}, STRATA__WHOLE},
};
enum { WEIGHTS = TEST_COUNT(weights), SKIPPED = 3 };

static void make_weights(strata_context *ctx, strata_variable *variables[WEIGHTS])
{
    for (int i = 0; i < WEIGHTS; i++) {
        variables[i] = strata__variable_new(
            ctx, &(strata__variable_spec){.name = "w",
                                          .shape = weights[i].shape,
                                          .placement = weights[i].placement,
                                          .dtype = STRATA_FLOAT32,
                                          .trainable = true,
                                          .initializer = "Constant(100.0)",
                                          .aggregation = STRATA_AGGREGATION_SUM});
        assert_all_ok(ctx);
    }
}

static void free_weights(strata_variable *variables[WEIGHTS])
{
    for (int i = 0; i < WEIGHTS; i++)
        strata__variable_free(variables[i]);
}

/* Sum over the replicas of the gradient of global element e. */
static float total(int64_t e)
{
    return 12.0f * (float)(e % 5 - 2);
}

typedef struct writing {
    float *sink;
    int replicas, replica;
} writing;

/* Equal parts of the total, and what cancels out between the replicas. */
static void write_gradient(void *user, int64_t global, int64_t local, int64_t length)
{
    const writing *w = user;
    float shift = (float)w->replica - (float)(w->replicas - 1) / 2;
    for (int64_t i = 0; i < length; i++)
        w->sink[local + i] = total(global + i) / (float)w->replicas + shift;
}

static void give_gradient(strata_variable *variable)
{
    const strata__group *group = &variable->ctx->mesh->groups[variable->replicas];
    writing w = {.sink = variable->value->sink, .replicas = group->size, .replica = group->rank};
    strata__variable_runs(variable, write_gradient, &w);
    variable->value->sink_filled = true;
}

/* user: number of slices updated, or NULL. */
static void subtract(void *user, strata__arena *arena, const strata__slice *slice)
{
    int *updates = user;
    for (int64_t i = slice->first; i < slice->first + slice->count; i++)
        arena->values[i] -= arena->gradients[i];
    if (updates)
        ++*updates;
}

static void poll_arenas(strata__pack *pack, int *updates)
{
    for (int a = 0; a < 2; a++) {
        if (pack->arenas[a])
            strata__arena_poll(pack->arenas[a], subtract, updates);
    }
}

static void finish_arenas(strata__pack *pack)
{
    for (int a = 0; a < 2; a++) {
        if (pack->arenas[a])
            strata__arena_finish(pack->arenas[a], subtract, NULL);
    }
}

/* What a training loop does, with gradients that come from nowhere. The first step reaches every
 * variable, later ones skip one. */
static void fake_step(strata__pack *pack, int step)
{
    strata__pack_begin(pack);
    for (int i = pack->count - 1; i >= 0; i--) {
        if (i == SKIPPED && step > 1)
            continue;
        give_gradient(pack->variables[i]);
        strata__pack_complete(pack, pack->variables[i]);
        if (step % 2)
            poll_arenas(pack, NULL);
    }
    strata__pack_close(pack);
    finish_arenas(pack);
}

static void check_values(strata_variable *variable, int steps)
{
    int64_t count = element_count(&variable->shape);
    float *values = read_floats(variable), *expected = calloc((size_t)count, sizeof *expected);
    for (int64_t e = 0; e < count; e++)
        expected[e] = 100 - (float)steps * total(e);
    assert_all_floats_near(values, expected, count, 1e-3);
    free(expected);
    free(values);
}

static void check_weights(strata_variable *variables[WEIGHTS], int steps)
{
    for (int i = 0; i < WEIGHTS; i++)
        check_values(variables[i], i == SKIPPED && steps > 1 ? 1 : steps);
}

/* Elements that no variable has stay zero, or an optimizer's norms would count them. */
static void check_padding(const strata__pack *pack)
{
    bool zero = true;
    for (int i = 0; i < pack->count; i++) {
        const strata_variable *variable = pack->variables[i];
        for (int64_t e = variable->offset + variable->count; e % 16 != 0; e++)
            zero = zero && variable->arena->values[e] == 0 && variable->arena->gradients[e] == 0;
    }
    assert_all(zero);
}

static void test_steps_give_the_same_values_on_every_mesh(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata_variable *variables[WEIGHTS];
        strata__pack *pack;
        make_weights(ctx, variables);
        strata__pack_new(ctx, WEIGHTS, variables, &pack);
        assert_all_ok(ctx);
        check_weights(variables, 0);
        for (int step = 1; step <= 3; step++) {
            fake_step(pack, step);
            check_weights(variables, step);
        }
        check_padding(pack);
        strata__pack_free(ctx, pack);
        check_weights(variables, 3);
        free_weights(variables);
    }
}

static void test_buckets_are_large_and_go_from_the_last_variable_to_the_first(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variables[WEIGHTS];
    strata__pack *pack;
    make_weights(ctx, variables);
    strata__pack_new(ctx, WEIGHTS, variables, &pack);
    assert_all_ok(ctx);
    const strata__arena *arena = pack->arenas[0];
    assert_true(pack->arenas[1] == NULL);
    assert_int_equal(arena->bucket_count, 3);
    for (int i = 0; i < WEIGHTS; i++) {
        int64_t first = variables[i]->offset, end = first + variables[i]->count;
        assert_int_equal(first % 16, 0);
        assert_true(first >= arena->bounds[pack->bucket_of[i]] &&
                    end <= arena->bounds[pack->bucket_of[i] + 1]);
        assert_true(i == 0 || first < variables[i - 1]->offset);
    }
    for (int b = 0; b + 1 < arena->bucket_count; b++)
        assert_true(arena->bounds[b + 1] - arena->bounds[b] >= 128 * 1024);
    strata__pack_free(ctx, pack);
    free_weights(variables);
}

/* Every rank goes on until all are done: those between which sums travel need each other. */
static void poll_until(strata__pack *pack, int *updates, int expected)
{
    int32_t behind = 1;
    while (behind) {
        poll_arenas(pack, updates);
        behind = *updates < expected;
        strata__max(pack->arenas[0]->ctx, STRATA__WORLD, &behind, 1, STRATA_INT32);
    }
}

/* A bucket can be updated as soon as its last gradient is complete, while others are still being
 * computed. */
static void test_buckets_are_ready_one_by_one(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variables[WEIGHTS];
    strata__pack *pack;
    make_weights(ctx, variables);
    strata__pack_new(ctx, WEIGHTS, variables, &pack);
    assert_all_ok(ctx);
    strata__pack_begin(pack);
    int updates = 0, expected = 0;
    for (int i = WEIGHTS - 1; i >= 0; i--) {
        give_gradient(variables[i]);
        strata__pack_complete(pack, variables[i]);
        bool last = i == 0 || pack->bucket_of[i - 1] != pack->bucket_of[i];
        expected += last && pack->arenas[0]->slices[pack->bucket_of[i]].count > 0;
        strata__barrier(ctx, STRATA__WORLD);
        poll_until(pack, &updates, expected);
        assert_all_int_equal(updates, expected);
    }
    strata__pack_close(pack);
    finish_arenas(pack);
    check_weights(variables, 1);
    strata__pack_free(ctx, pack);
    free_weights(variables);
}

/* Values that a node shares are written once, whoever calls. */
static void test_packed_values_are_written_and_assigned_once(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata_variable *variables[WEIGHTS];
        strata__pack *pack;
        make_weights(ctx, variables);
        strata__pack_new(ctx, WEIGHTS, variables, &pack);
        float given[21], *read;
        for (int e = 0; e < 21; e++)
            given[e] = (float)e;
        strata_cross_assign(variables[0], given);
        strata_scope_begin(ctx);
        strata_tensor *value = strata__tensor_borrow(ctx, STRATA_FLOAT32, &weights[0].shape,
                                                     (strata__layout){0}, given);
        strata_replica_assign_add(variables[0], value);
        strata_scope_end(ctx);
        assert_all_ok(ctx);
        read = read_floats(variables[0]);
        for (int e = 0; e < 21; e++)
            given[e] *= 1 + (float)strata__variable_replicas(variables[0]);
        assert_all_floats_near(read, given, 21, 0);
        free(read);
        strata__pack_free(ctx, pack);
        free_weights(variables);
    }
}

/* The tape's hook: w ← w − d(0.25·Σw²)/dw = w / 2, on every mesh and placement. */
static void test_the_tape_completes_gradients(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        strata_variable *variables[3];
        strata__pack *pack;
        for (int p = 0; p < 3; p++)
            variables[p] =
                WEIGHT(ctx, .shape = STRATA_SHAPE(5, 3), .placement = (strata__placement)p,
                       .initializer = "Constant(8.0)", .regularizer = p == 1 ? NULL : "L2(0.25)");
        strata__pack_new(ctx, 3, variables, &pack);
        for (int step = 0; step < 2; step++) {
            strata__pack_begin(pack);
            strata_scope_begin(ctx);
            strata__tape_begin(ctx, strata__pack_complete, pack);
            strata_tensor *losses[2] = {strata__variable_regularization(variables[0]),
                                        strata__variable_regularization(variables[2])};
            strata__tape_backward(ctx, 2, losses, NULL);
            strata__tape_free(ctx);
            assert_all(pack->complete[0] && !pack->complete[1] && pack->complete[2]);
            strata__pack_close(pack);
            strata_scope_end(ctx);
            finish_arenas(pack);
        }
        for (int p = 0; p < 3; p++) {
            float *values = read_floats(variables[p]);
            assert_all_near(values[14], p == 1 ? 8 : 2, 1e-5);
            free(values);
        }
        strata__pack_free(ctx, pack);
        for (int p = 0; p < 3; p++)
            strata__variable_free(variables[p]);
    }
}

static void test_wrong_packs_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__pack *pack, *second;
    strata_variable *variable = WEIGHT(ctx, .shape = STRATA_SHAPE(2));
    strata_variable *frozen = strata__variable_new(
        ctx, &(strata__variable_spec){.name = "frozen", .dtype = STRATA_FLOAT32});
    strata__pack_new(ctx, 1, &variable, &pack);
    assert_all_ok(ctx);
    strata__pack_new(ctx, 1, &variable, &second);
    assert_all_error(ctx, STRATA_INVALID, "variable 'layer/weight' is being trained already");
    strata__pack_free(ctx, pack);
    strata__pack_new(ctx, 1, &frozen, &pack);
    assert_all_error(ctx, STRATA_INTERNAL, "variable 'frozen' is not trainable");
    strata__pack_new(ctx, 2, (strata_variable *[]){variable, variable}, &pack);
    assert_all_error(ctx, STRATA_INTERNAL, "packed twice");
    assert_all(pack == NULL && second == NULL && variable->arena == NULL);
    strata__pack_new(ctx, 0, NULL, &pack);
    assert_all_ok(ctx);
    strata__pack_begin(pack);
    strata__pack_close(pack);
    strata__pack_free(ctx, pack);
    strata__variable_free(variable);
    strata__variable_free(frozen);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_give_the_same_values_on_every_mesh),
        cmocka_unit_test(test_buckets_are_large_and_go_from_the_last_variable_to_the_first),
        cmocka_unit_test(test_buckets_are_ready_one_by_one),
        cmocka_unit_test(test_packed_values_are_written_and_assigned_once),
        cmocka_unit_test(test_the_tape_completes_gradients),
        cmocka_unit_test(test_wrong_packs_are_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
