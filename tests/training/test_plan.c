/* Tests of the plan: what it says against what a step does, and against what must travel. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/plan.h"

#include <stdlib.h>
#include <string.h>

#include "../mesh/mpi_calls.h"
#include "networks.h"
#include "training/step.h"

/* --- a step as it is --- */

typedef struct seen {
    strata__traffic ours[STRATA__AXES]; /* by plain axis */
    mpi_calls theirs;
} seen;

static seen step_once(strata_context *ctx, strata_model *model, strata_dataset *data)
{
    seen s = {0};
    strata__traffic before[STRATA__AXES];
    strata__binding binding;
    strata__batch batch;
    strata__feed *feed;
    strata__bind(model, data, true, &binding);
    strata__feed_new(data, &(strata__feed_options){.batch_size = NETWORK_BATCH}, &feed);
    strata__feed_start(feed, 0, 0);
    strata_scope_begin(ctx);
    assert_all(strata__feed_next(feed, &batch));
    memcpy(before, ctx->mesh->traffic, sizeof before);
    mpi_calls_begin();
    strata__step_run(model->trainer, &binding, &batch, true, NULL);
    s.theirs = mpi_calls_end();
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
        strata__traffic gained = strata__traffic_between(&before[axis], &ctx->mesh->traffic[axis]);
        strata__traffic_add(&s.ours[strata__axis_plain(ctx->mesh, axis)], &gained);
    }
    strata_scope_end(ctx);
    strata__feed_free(feed);
    assert_all_ok(ctx);
    return s;
}

static strata__traffic sum_of(const strata__traffic traffic[STRATA__AXES])
{
    strata__traffic sum = {0};
    for (strata__axis axis = 0; axis < STRATA__AXES; axis++)
        strata__traffic_add(&sum, &traffic[axis]);
    return sum;
}

/* MPI saw what the library counted, and on every axis that is what was planned. */
static void check_plan(strata_context *ctx, const network *network)
{
    strata_dataset *data;
    strata_model *model = network->make(ctx, &data);
    strata__plan plan;
    assert_all_int_equal(strata__plan_make(model->trainer, data, NETWORK_BATCH, &plan), STRATA_OK);
    for (int repeat = 0; repeat < 2; repeat++) {
        seen step = step_once(ctx, model, data);
        strata__traffic all = sum_of(step.ours);
        assert_all(step.theirs.others == 0);
        assert_all_int_equal(step.theirs.calls, all.calls);
        assert_all_int_equal(step.theirs.sent, all.sent);
        for (strata__axis axis = 0; axis < STRATA__AXES; axis++) {
            strata__traffic planned = strata__plan_total(&plan, axis);
            assert_all_int_equal(planned.sent, step.ours[axis].sent);
            assert_all_int_equal(planned.read, step.ours[axis].read);
        }
    }
    strata__plan_free(&plan);
}

static void check_networks(strata_context *ctx, const guise *guise)
{
    (void)guise;
    for (int i = 0; i < network_count; i++)
        check_plan(ctx, &networks[i]);
}

static void test_steps_exchange_what_is_planned(void **state)
{
    (void)state;
    for_each_guise(check_networks);
}

/* --- what must travel: two dense layers 7 → 20 → 6, mean squared error --- */

/* Pieces of this rank, in floats. */
typedef struct pieces {
    const strata__mesh *mesh;
    int64_t samples; /* of the batch */
} pieces;

static int64_t of_rows(const pieces *p, int64_t count)
{
    return strata__piece_of(count, p->mesh->rows, p->mesh->row).count;
}

static int64_t of_cols(const pieces *p, int64_t count)
{
    return strata__piece_of(count, p->mesh->cols, p->mesh->col).count;
}

/*
 * Products by SUMMA, all through MPI. On rows: the own piece of the kernel goes to the others, once
 * for y = x·W and once more for dx = dy·Wᵀ; of dW = xᵀ·dy, the others' pieces go to them.
 */
static int64_t kernel_on_rows(const pieces *p, int64_t k, int64_t n, bool wants_dx)
{
    int64_t own = of_rows(p, k) * of_cols(p, n);
    return (p->mesh->rows - 1) * own * (wants_dx ? 2 : 1) + k * of_cols(p, n) - own;
}

/* On cols an input that is split goes to the others for y and for dW; of dx the others' columns go
 * to them. */
static int64_t input_on_cols(const pieces *p, int64_t k)
{
    int64_t own = p->samples * of_cols(p, k);
    return (p->mesh->cols - 1) * own * 2 + p->samples * k - own;
}

/* One number a sample, the loss of the own columns, summed on cols: short sums are read from all.
 */
static strata__traffic joined(const pieces *p)
{
    const strata__group *cols = &p->mesh->groups[STRATA__COLS];
    bool near = cols->exchange && cols->nodes == 1;
    if (cols->size == 1)
        return (strata__traffic){0};
    return (strata__traffic){.sent = near ? 0 : 4 * p->samples,
                             .read = near ? 4 * p->samples * (cols->size - 1) : 0};
}

/* Of all members of the arena's group together, in bytes: sums to where they are added, and new
 * values to the other nodes. */
static void add_arena(const pieces *p, bool share, strata__axis axis, int64_t floats,
                      strata__traffic all[STRATA__AXES])
{
    const strata__group *group = &p->mesh->groups[axis];
    int nodes = share ? group->nodes : group->size;
    int64_t room = (floats + 15) / 16 * 16;
    strata__traffic traffic = {.sent = 4 * 2 * (nodes - 1) * room,
                               .read = 4 * (group->size - nodes) * room};
    strata__traffic_add(&all[axis], &traffic);
}

static void expect_dense(const pieces *p, bool share, strata__traffic own[STRATA__AXES],
                         strata__traffic arenas[STRATA__AXES])
{
    const strata__mesh *mesh = p->mesh;
    bool grid = mesh->rows * mesh->cols > 1;
    strata__axis kernels = grid ? STRATA__DATA : STRATA__BATCH;
    own[STRATA__ROWS].sent = 4 * (kernel_on_rows(p, 7, 20, false) + kernel_on_rows(p, 20, 6, true));
    own[STRATA__COLS] = joined(p);
    own[STRATA__COLS].sent += mesh->cols > 1 ? 4 * input_on_cols(p, 20) : 0;
    add_arena(p, share, kernels, of_rows(p, 7) * of_cols(p, 20), arenas);
    add_arena(p, share, kernels, of_rows(p, 20) * of_cols(p, 6), arenas);
    add_arena(p, share, STRATA__BATCH, of_cols(p, 20), arenas);
    add_arena(p, share, STRATA__BATCH, of_cols(p, 6), arenas);
}

static void sum_over(strata_context *ctx, strata__axis axis, strata__traffic *traffic)
{
    int64_t numbers[2] = {traffic->sent, traffic->read};
    strata__sum(ctx, axis, numbers, 2, STRATA_INT64);
    *traffic = (strata__traffic){.sent = numbers[0], .read = numbers[1]};
}

/* On rows and cols each rank's own numbers are known, of arenas those of a group together: slices
 * of small ones are uneven. */
static void check_dense(strata_context *ctx, const guise *guise)
{
    const strata__mesh *mesh = ctx->mesh;
    const strata__group *batch = &mesh->groups[STRATA__BATCH];
    pieces p = {mesh, strata__piece_of(NETWORK_BATCH, batch->size, batch->rank).count};
    strata__traffic own[STRATA__AXES] = {0}, arenas[STRATA__AXES] = {0};
    strata_dataset *data;
    strata_model *model = dense_network(ctx, "sgd", &data);
    strata__plan plan;
    assert_all_int_equal(strata__plan_make(model->trainer, data, NETWORK_BATCH, &plan), STRATA_OK);
    expect_dense(&p, guise->shared[0] == '1', own, arenas);
    for (strata__axis axis = STRATA__DATA; axis <= STRATA__BATCH; axis++) {
        if (mesh->groups[axis].size == 1)
            continue;
        strata__traffic planned = {0}, expected = {0};
        for (strata__axis a = 0; a < STRATA__AXES; a++) {
            if (strata__axis_plain(mesh, a) != axis)
                continue;
            strata__traffic arena = arenas[a];
            sum_over(ctx, axis, &own[a]);
            strata__traffic_add(&expected, &own[a]);
            strata__traffic_add(&expected, &arena);
        }
        if (strata__axis_plain(mesh, axis) == axis) {
            planned = strata__plan_total(&plan, axis);
            sum_over(ctx, axis, &planned);
        }
        assert_all_int_equal(planned.sent, expected.sent);
        assert_all_int_equal(planned.read, expected.read);
    }
    strata__plan_free(&plan);
}

static void test_dense_layers_exchange_what_must_travel(void **state)
{
    (void)state;
    for_each_guise(check_dense);
}

/* --- memory --- */

/* Whole variables of 7·20 + 20 + 20·6 + 6 elements, each rounded up to 16; two slots of Adam. */
static void test_memory_of_replicas(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_dataset *data;
    strata_model *model = dense_network(ctx, "adam", &data);
    strata__plan plan;
    assert_all_int_equal(strata__plan_make(model->trainer, data, NETWORK_BATCH, &plan), STRATA_OK);
    int64_t slots[2] = {plan.rows[0].slots, plan.rows[1].slots};
    strata__sum(ctx, STRATA__WORLD, slots, 2, STRATA_INT64);
    assert_all_int_equal(plan.row_count, 3);
    assert_all_int_equal(plan.rows[0].gradients, 4 * (144 + 32));
    assert_all_int_equal(plan.rows[1].gradients, 4 * (128 + 16));
    assert_all_int_equal(slots[0], 2 * 4 * (144 + 32));
    assert_all_int_equal(slots[1], 2 * 4 * (128 + 16));
    /* the outputs, and room for the bookkeeping of a few tensors */
    int64_t samples = strata__piece_of(NETWORK_BATCH, test_ranks(), test_rank()).count;
    assert_all(plan.rows[0].activations >= 4 * samples * 20);
    assert_all(plan.rows[0].activations <= 4 * samples * 20 + 8192);
    assert_all(plan.peak > plan.rows[0].activations + plan.rows[1].activations);
    strata__plan_free(&plan);
    run_close(ctx);
}

/* --- a plan leaves no trace --- */

enum { ROOM = 4096 };

static FILE *nowhere(void)
{
    FILE *stream = fopen("/dev/null", "w");
    assert_non_null(stream);
    return stream;
}

static int train(const network *network, const char *mesh, bool plans, double weights[ROOM])
{
    strata_context *ctx = run_open(mesh);
    strata_dataset *data;
    strata_model *model = network->make(ctx, &data);
    FILE *stream = nowhere();
    for (int i = 0; i < 2; i++) {
        if (plans)
            assert_all_int_equal(strata_plan_print(model, data, 4, stream), STRATA_OK);
        strata_fit(model, data, .batch_size = 4, .epochs = 2, .verbose = "0");
    }
    fclose(stream);
    assert_all_ok(ctx);
    int count = run_weights(model, weights, ROOM);
    run_close(ctx);
    return count;
}

static void test_training_goes_on_as_without(void **state)
{
    (void)state;
    static double with[ROOM], without[ROOM];
    for (int i = 0; i < network_count; i++) {
        for (int index = 0; test_mesh(index); index++) {
            int count = train(&networks[i], test_mesh(index), true, with);
            assert_all_int_equal(train(&networks[i], test_mesh(index), false, without), count);
            assert_all(memcmp(with, without, (size_t)count * sizeof *with) == 0);
        }
    }
}

/* --- what is printed --- */

static const char *printed(strata_model *model, strata_dataset *data)
{
    const char *path = test_path("plan.txt");
    FILE *stream = fopen(test_rank() == 0 ? path : "/dev/null", "w");
    assert_all_int_equal(strata_plan_print(model, data, NETWORK_BATCH, stream), STRATA_OK);
    fclose(stream);
    return test_rank() == 0 ? run_text(path) : "";
}

static bool has(const char *text, const char *words)
{
    return test_rank() != 0 || strstr(text, words);
}

static void test_the_table_has_a_row_a_layer(void **state)
{
    (void)state;
    for (int index = 0; test_mesh(index); index++) {
        strata_context *ctx = run_open(test_mesh(index));
        const strata__mesh *mesh = ctx->mesh;
        strata_dataset *data;
        strata_model *model = networks[2].make(ctx, &data);
        const char *text = printed(model, data);
        char words[64];
        snprintf(words, sizeof words, "\"image_net\" on data=%d,rows=%d,cols=%d, batch 10",
                 mesh->data, mesh->rows, mesh->cols);
        assert_all(has(text, words));
        static const char *const rows[] = {"\nlayer ",
                                           "\nconv2d ",
                                           "\nbatch_normalization ",
                                           "\nconv2d_1 ",
                                           "\nre_lu ",
                                           "\ndropout ",
                                           "\nout ",
                                           "\n(losses)",
                                           "\na rank, at most ",
                                           "Activations with their gradients"};
        for (size_t i = 0; i < TEST_COUNT(rows); i++)
            assert_all(has(text, rows[i]));
        assert_all(has(text, mesh->rows * mesh->cols > 1 ? "summa" : "local"));
        snprintf(words, sizeof words, mesh->cols > 1 ? "5/%d)" : "5)", mesh->cols);
        assert_all(has(text, words));
        assert_all(!has(text, "cols  ") || mesh->cols > 1 || test_rank() != 0);
        run_close(ctx);
    }
}

/* What the row of a layer says that attention gathers. */
static bool row_says(const char *text, const char *layer, strata__attention_gathers gathers)
{
    static const char *const words[] = {"", ", gathers keys", ", gathers heads"};
    if (test_rank() != 0)
        return true;
    const char *row = strstr(text, layer), *end = row ? strchr(row + 1, '\n') : NULL;
    const char *said = row ? strstr(row, ", gathers") : NULL;
    bool silent = !said || said > end;
    return end && (gathers ? !silent && strncmp(said, words[gathers], strlen(words[gathers])) == 0
                           : silent);
}

static void test_rows_of_attention_say_what_is_gathered(void **state)
{
    (void)state;
    for (int index = 0; test_mesh(index); index++) {
        strata_context *ctx = run_open(test_mesh(index));
        int cols = ctx->mesh->cols;
        strata_dataset *data;
        strata_model *model = attention_network(ctx, &data);
        const char *text = printed(model, data);
        strata__attention_gathers three =
            cols % 3 == 0 || cols == 1 ? STRATA__GATHERS_NOTHING : STRATA__GATHERS_ALL;
        strata__attention_gathers four = cols == 4   ? STRATA__GATHERS_KEYS
                                         : cols == 3 ? STRATA__GATHERS_ALL
                                                     : STRATA__GATHERS_NOTHING;
        assert_all(row_says(text, "\nmulti_head_attention ", three));
        assert_all(row_says(text, "\ngrouped_query_attention ", four));
        run_close(ctx);
    }
}

static void plan_within(strata_callback *self, strata_model *model, int epoch)
{
    (void)epoch;
    strata_plan_print(model, self->state, NETWORK_BATCH, stdout);
}

static void test_errors(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_dataset *data, *other;
    strata_model *model = networks[0].make(ctx, &data), *images = networks[2].make(ctx, &other);
    strata_plan_print(model, other, 4, stdout);
    assert_all_error(ctx, STRATA_INVALID, "dense_net");
    strata_callback within = {.state = data, .epoch_begin = plan_within};
    strata_fit(model, data, .verbose = "0", .callbacks = {&within});
    assert_all_error(ctx, STRATA_INVALID, "asked for during fit");
    strata_tensor *input = strata_input(ctx, .shape = {3});
    strata_model *raw = strata_functional(input, strata_dense(input, .units = 2), .name = "raw");
    strata_plan_print(raw, data, 4, stdout);
    assert_all_error(ctx, STRATA_INVALID, "You must call `compile()`");
    FILE *stream = nowhere();
    assert_all_int_equal(strata_plan_print(images, other, 0, stream), STRATA_OK);
    fclose(stream);
    run_close(ctx);
}

/* --- what cannot be placed --- */

static void test_a_node_that_cannot_hold_the_model(void **state)
{
    (void)state;
    setenv("STRATA_NODE_MEMORY", "1000", 1);
    strata_context *ctx = run_open(NULL);
    unsetenv("STRATA_NODE_MEMORY");
    strata_dataset *data;
    strata_model *model = networks[0].make(ctx, &data);
    strata_fit(model, data, .verbose = "0");
    assert_all_error(ctx, STRATA_INVALID, "'dense_net' cannot be placed on the mesh data=");
    run_close(ctx);
}

/* More ranks, rows or columns than there is of anything to cut. */
static void test_pieces_may_be_empty(void **state)
{
    (void)state;
    for (int index = 0; test_mesh(index); index++) {
        strata_context *ctx = run_open(test_mesh(index));
        float x[] = {1}, y[] = {2};
        strata_dataset *data =
            strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(1, 1), STRATA_FLOAT32}},
                                 .y = {{y, STRATA_SHAPE(1, 1), STRATA_FLOAT32}});
        strata_tensor *input = strata_input(ctx, .shape = {1});
        strata_tensor *z = strata_dense(strata_dense(input, .units = 1), .units = 1);
        strata_model *model = strata_functional(input, z);
        strata_compile(model, .loss = "mse");
        FILE *stream = nowhere();
        assert_all_int_equal(strata_plan_print(model, data, 1, stream), STRATA_OK);
        fclose(stream);
        strata_fit(model, data, .verbose = "0");
        assert_all_ok(ctx);
        run_close(ctx);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_exchange_what_is_planned),
        cmocka_unit_test(test_dense_layers_exchange_what_must_travel),
        cmocka_unit_test(test_memory_of_replicas),
        cmocka_unit_test(test_training_goes_on_as_without),
        cmocka_unit_test(test_the_table_has_a_row_a_layer),
        cmocka_unit_test(test_rows_of_attention_say_what_is_gathered),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_a_node_that_cannot_hold_the_model),
        cmocka_unit_test(test_pieces_may_be_empty),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
