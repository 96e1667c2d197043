/* Sharded, cut and whole variables under one optimizer: the memory of each rank, and the steps of
 * one rank. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <strata/layers/attention.h>
#include <strata/layers/core.h>

#include "layers/layer.h"
#include "mesh/arena_parts.h"
#include "mesh/variants.h"
#include "training/optimizer.h"

/* --- memory --- */

/* Both sizes can be divided by every number of ranks here. */
enum { ROWS = 360, COLUMNS = 480, SMALL_CHANGE = 32 * 1024 };

static strata_variable *variable_of(strata_context *ctx, const char *name, strata_shape shape,
                                    strata__placement placement)
{
    strata_variable *variable =
        strata__variable_new(ctx, &(strata__variable_spec){.name = name,
                                                           .path = "layer",
                                                           .shape = shape,
                                                           .dtype = STRATA_FLOAT32,
                                                           .initializer = "RandomNormal(seed=5)",
                                                           .trainable = true,
                                                           .placement = placement});
    assert_all_ok(ctx);
    return variable;
}

/* Bytes that this rank has for arrays as large as models are, shared windows included. */
static int64_t bytes_of(const strata_context *ctx, const strata__optimizer *optimizer)
{
    int64_t bytes = ctx->memory.live_bytes;
    for (int a = 0; optimizer && a < 2; a++) {
        const strata__arena *arena = optimizer->pack->arenas[a];
        if (arena && arena->parts->memory->window != MPI_WIN_NULL)
            bytes += (int64_t)arena->parts->memory->bytes;
    }
    return bytes;
}

/* Floats of an arena of `count` on this rank with `kinds` slots: gradients; values, where the node
 * has one copy on its first rank; what arrives from other nodes; the own slices of the slots. */
static int64_t expected_floats(const strata__arena *arena, int64_t count, int kinds)
{
    const strata__group *group = &arena->ctx->mesh->groups[arena->axis];
    int64_t own = arena->slot_count, nodes = arena->parts->nodes;
    bool has_values = !arena->values_shared || group->node_rank == 0;
    return count * (has_values ? 2 : 1) + (nodes > 1 ? nodes * own : 0) + kinds * own;
}

static bool near(int64_t bytes, int64_t floats)
{
    bool right = llabs(bytes - floats * (int64_t)sizeof(float)) <= SMALL_CHANGE;
    if (!right)
        print_message("%lld bytes instead of %lld\n", (long long)bytes,
                      (long long)floats * (long long)sizeof(float));
    return right;
}

/* The members of a replica group have each slot once among them, in slices of about one size. */
static bool slots_are_cut(const strata__arena *arena)
{
    const strata__group *group = &arena->ctx->mesh->groups[arena->axis];
    int64_t all = arena->slot_count, lanes = (int64_t)arena->parts->nodes * arena->parts->lanes;
    strata__sum(arena->ctx, arena->axis, &all, 1, STRATA_INT64);
    return all == arena->count && arena->slot_count <= arena->count / lanes + 64 * group->size;
}

/* One variable alone, with Adam: `count` of its elements on this rank. */
static void check_memory(strata_context *ctx, strata_shape shape, strata__placement placement,
                         int64_t count)
{
    int64_t before = bytes_of(ctx, NULL);
    strata_variable *variable = variable_of(ctx, "kernel", shape, placement);
    assert_all(near(bytes_of(ctx, NULL) - before, count));
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, "adam", &optimizer);
    strata__optimizer_build(optimizer, 1, &variable);
    assert_all_ok(ctx);
    const strata__arena *arena = variable->arena;
    assert_all(arena->count >= count && arena->count < count + 16);
    assert_all(slots_are_cut(arena));
    assert_all(near(bytes_of(ctx, optimizer) - before, expected_floats(arena, count, 2)));
    strata__optimizer_free(optimizer);
    assert_all(near(bytes_of(ctx, NULL) - before, count));
    strata__variable_free(variable);
}

static void check_memories(strata_context *ctx, const variant *variant)
{
    (void)variant;
    const strata__mesh *mesh = ctx->mesh;
    int64_t all = (int64_t)ROWS * COLUMNS;
    check_memory(ctx, STRATA_SHAPE(ROWS, COLUMNS), STRATA__MATRIX, all / (mesh->rows * mesh->cols));
    check_memory(ctx, STRATA_SHAPE(all), STRATA__VECTOR, all / mesh->cols);
    check_memory(ctx, STRATA_SHAPE(all), STRATA__WHOLE, all);
}

/* Weights and gradients of a kernel take 1/(rows·cols) of a rank's memory, of a vector 1/cols;
 * slots that again over data, or data × rows. */
static void test_shards_take_their_share_of_memory(void **state)
{
    (void)state;
    for_each_mesh(check_memories);
}

/* --- memory of layers --- */

/* Heads and features can be divided by every number of ranks here. */
enum { HEADS = 12, FEATURES = 20, WIDTH = HEADS * FEATURES };

/* Floats of four projections of WIDTH features on this rank, those of key and value to `keys`. */
static int64_t share_of_projections(const strata__mesh *mesh, int64_t keys)
{
    int64_t kernels = 2 * WIDTH * (WIDTH + keys), biases = 2 * (WIDTH + keys);
    return kernels / (mesh->rows * mesh->cols) + biases / mesh->cols;
}

/* With Adam. */
static void check_layer(strata_layer *layer, int64_t count)
{
    strata_context *ctx = strata_layer_context(layer);
    strata_tensor *x = strata_input(ctx, .shape = {4, WIDTH}), *y;
    int64_t before = bytes_of(ctx, NULL), floats = 0, elements = 0;
    strata_layer_call_many(layer, 2, (strata_tensor *[]){x, x}, 0, &y);
    assert_all_ok(ctx);
    assert_all(near(bytes_of(ctx, NULL) - before, count));
    strata_variable *weights[8];
    assert_all_int_equal(strata_layer_weights(layer, weights, 8), 8);
    strata__optimizer *optimizer;
    strata__optimizer_new(ctx, "adam", &optimizer);
    strata__optimizer_build(optimizer, 8, weights);
    assert_all_ok(ctx);
    for (int a = 0; a < 2; a++) {
        const strata__arena *arena = optimizer->pack->arenas[a];
        if (!arena)
            continue;
        assert_all(slots_are_cut(arena));
        elements += arena->count;
        floats += expected_floats(arena, arena->count, 2);
    }
    assert_all(elements >= count && elements < count + 8 * 16);
    assert_all(near(bytes_of(ctx, optimizer) - before, floats));
    strata__optimizer_free(optimizer);
}

static void check_attention(strata_context *ctx, const variant *variant)
{
    (void)variant;
    check_layer(
        STRATA_NEW_LAYER(ctx, multi_head_attention, .num_heads = HEADS, .key_dim = FEATURES),
        share_of_projections(ctx->mesh, WIDTH));
    check_layer(STRATA_NEW_LAYER(ctx, group_query_attention, .num_query_heads = HEADS,
                                 .num_key_value_heads = HEADS / 2, .head_dim = FEATURES),
                share_of_projections(ctx->mesh, WIDTH / 2));
    strata__layers_free(ctx);
    strata__names_reset(ctx);
}

static void test_attention_takes_its_share_of_memory(void **state)
{
    (void)state;
    for_each_mesh(check_attention);
}

/* --- steps --- */

enum { VARIABLES = 4, STEPS = 7, MOST = 64 * 33 };

typedef struct run {
    strata_context *ctx;
    strata_variable *variables[VARIABLES];
    strata__optimizer *optimizer;
} run;

static int64_t size_of(const strata_variable *variable)
{
    return strata__product(&variable->shape, 0, variable->shape.rank);
}

/* What the ranks' parts of a gradient add up to: of few bits, so that they do so exactly. */
static float gradient_of(int variable, int step, int64_t i)
{
    return small_number(variable, step, i) / 32;
}

/* Member r's part: the last one has what the others' parts, which are much larger, leave. */
static float part_of(const strata__group *group, int variable, int step, int64_t i)
{
    float part = 0;
    if (group->rank < group->size - 1)
        return small_number(group->rank + 1, variable, step * MOST + i);
    for (int r = 0; r < group->size - 1; r++)
        part += small_number(r + 1, variable, step * MOST + i);
    return gradient_of(variable, step, i) - part;
}

static void give(run *r, int v, int step)
{
    strata_variable *variable = r->variables[v];
    const strata__group *group = &r->ctx->mesh->groups[variable->replicas];
    float whole[MOST];
    for (int64_t i = 0; i < size_of(variable); i++)
        whole[i] = part_of(group, v, step, i);
    strata__variable_cut(variable, whole, variable->value->sink);
    variable->value->sink_filled = true;
    strata__optimizer_complete(r->optimizer, variable);
}

/* In one step the backward pass does not reach a variable. */
static void take_step(run *r, int step)
{
    strata__optimizer_begin(r->optimizer);
    for (int v = VARIABLES - 1; v >= 0; v--) {
        if (step != 3 || v != 2)
            give(r, v, step);
    }
    strata__optimizer_apply(r->optimizer);
}

static run run_steps(strata_context *ctx, const char *optimizer)
{
    run r = {.ctx = ctx,
             .variables = {variable_of(ctx, "kernel", STRATA_SHAPE(64, 33), STRATA__MATRIX),
                           variable_of(ctx, "bias", STRATA_SHAPE(33), STRATA__VECTOR),
                           variable_of(ctx, "table", STRATA_SHAPE(7, 5), STRATA__WHOLE),
                           variable_of(ctx, "small", STRATA_SHAPE(2, 3), STRATA__MATRIX)}};
    strata__optimizer_new(ctx, optimizer, &r.optimizer);
    strata__optimizer_build(r.optimizer, VARIABLES, r.variables);
    for (int step = 0; step < STEPS; step++)
        take_step(&r, step);
    assert_all_ok(ctx);
    return r;
}

static void run_end(run *r)
{
    strata__optimizer_free(r->optimizer);
    for (int v = 0; v < VARIABLES; v++)
        strata__variable_free(r->variables[v]);
}

static void compare_values(run *ours, run *alone)
{
    for (int v = 0; v < VARIABLES; v++) {
        float a[MOST], b[MOST];
        strata_cross_read(ours->variables[v], a);
        strata_cross_read(alone->variables[v], b);
        assert_all_floats_near(a, b, size_of(ours->variables[v]), 2e-5);
    }
}

static void compare_slots(run *ours, run *alone)
{
    for (int k = 0; k < strata__optimizer_variable_count(ours->optimizer); k++) {
        strata__optimizer_variable slot = strata__optimizer_variable_at(ours->optimizer, k);
        float a[MOST], b[MOST];
        if (!slot.slot)
            continue;
        strata__optimizer_read(ours->optimizer, k, a);
        strata__optimizer_read(alone->optimizer, k, b);
        assert_all_floats_near(a, b, strata__product(&slot.shape, 0, slot.shape.rank), 2e-5);
    }
}

static const char *const optimizers[] = {
    "SGD(0.1, momentum=0.9, global_clipnorm=3.0)",
    "SGD(0.1, momentum=0.9, clipnorm=2.0)",
    "SGD(0.1, momentum=0.9, global_clipnorm=3.0, gradient_accumulation_steps=3)",
    "SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2)",
    "SGD(0.1, global_clipnorm=3.0, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.8)",
    "Adam(0.01, global_clipnorm=0.5, gradient_accumulation_steps=2, use_ema=True)",
    "AdamW(0.01, weight_decay=0.1, clipvalue=0.3, amsgrad=True)",
};

/* Each rank for itself. */
static strata_context *context_alone(void)
{
    strata_context *ctx = strata__context_new();
    strata__mesh_new(ctx, MPI_COMM_SELF, NULL);
    return ctx;
}

static void compare(strata_context *ctx, const char *optimizer)
{
    strata_context *self = context_alone();
    run ours = run_steps(ctx, optimizer), alone = run_steps(self, optimizer);
    compare_values(&ours, &alone);
    compare_slots(&ours, &alone);
    strata__optimizer_finalize(ours.optimizer);
    strata__optimizer_finalize(alone.optimizer);
    compare_values(&ours, &alone);
    run_end(&ours);
    run_end(&alone);
    strata__mesh_free(self);
    assert_all_int_equal(strata__context_free(self), 0);
}

/* Norms, means of several steps, and averages: each element of every variable counts once, however
 * many ranks have a copy or a part of its gradient. */
static void test_steps_are_those_of_one_rank(void **state)
{
    const char *mesh;
    (void)state;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(optimizers); k++)
            compare(ctx, optimizers[k]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_take_their_share_of_memory),
        cmocka_unit_test(test_attention_takes_its_share_of_memory),
        cmocka_unit_test(test_steps_are_those_of_one_rank),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
