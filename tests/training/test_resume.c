/* A run that was interrupted ends as the one that was not, bit for bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "runs.h"
#include "training/trainer.h"

enum { EPOCHS = RUN_EPOCHS, CUTS = 4 };

/* --- what runs --- */

typedef struct run_case {
    const char *name;
    strata_model *(*model)(strata_context *ctx, const char *optimizer);
    const char *optimizer;
    strata_fit_options options;
    const char *callback; /* in Keras notation; NULL: none */
    bool schedules;       /* with a LearningRateScheduler */
    bool wobbles;         /* with two callbacks that have states of their own */
} run_case;

/* A shared dropout, constraints, penalties on weights and outputs, and a second metric. */
static strata_model *shared_model(strata_context *ctx, const char *optimizer)
{
    strata_tensor *input = strata_input(ctx, .shape = {RUN_FEATURES});
    strata_layer *dropout =
        STRATA_NEW_LAYER(ctx, dropout, .rate = 0.4, .seed = 3, .name = "shared");
    strata_tensor *x = strata_dense(input, .units = 10, .activation = "tanh", .name = "a",
                                    .kernel_constraint = "MaxNorm(1.0)");
    x = strata_layer_call(dropout, x);
    x = strata_dense(x, .units = 7, .name = "b", .activity_regularizer = "L2(0.01)");
    x = strata_layer_call(dropout, x);
    x = strata_batch_normalization(x, .momentum = 0.9, .name = "norm");
    x = strata_dense(x, .units = RUN_CLASSES, .kernel_regularizer = "L1(0.001)", .name = "last");
    strata_model *model = strata_functional(input, x, .name = "net");
    strata_compile(
        model, .optimizer = optimizer, .loss = "SparseCategoricalCrossentropy(from_logits=True)",
        .metrics = {"accuracy"}, .weighted_metrics = {"SparseTopKCategoricalAccuracy(k=2)"});
    assert_all_ok(ctx);
    return model;
}

/* Optimizers in the middle of their cycles, all orders of samples, a short last batch of which some
 * ranks have nothing. */
static const run_case cases[] = {
    {.name = "accumulation_and_average",
     .model = run_model,
     .optimizer = "Adam(0.01, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3, "
                  "gradient_accumulation_steps=3)"},
    {.name = "schedule_and_clipping",
     .model = shared_model,
     .optimizer = "SGD(ExponentialDecay(0.1, 5, 0.9), momentum=0.9, nesterov=True, "
                  "global_clipnorm=0.5, use_ema=True)",
     .options = {.validation_split = 0.3, .validation_freq = 2}},
    {.name = "shuffled_batches_and_rate",
     .model = shared_model,
     .optimizer = "AdamW(0.02, amsgrad=True, clipnorm=0.3)",
     .options = {.shuffle = "batch", .validation_split = 0.2},
     .schedules = true},
    {.name = "in_order_and_fewer_steps",
     .model = run_model,
     .optimizer = "RMSprop(0.01, centered=True, momentum=0.5)",
     .options = {.shuffle = "False", .steps_per_epoch = 5}},
    {.name = "stops_early_with_best_weights",
     .model = shared_model,
     .optimizer = "Adam(0.05)",
     .callback = "EarlyStopping(monitor='accuracy', mode='auto', patience=0, "
                 "restore_best_weights=True)"},
    {.name = "has_waited_for_an_epoch",
     .model = run_model,
     .optimizer = "Adam(0.01)",
     .callback = "EarlyStopping(monitor='loss', mode='max', patience=2)"},
    {.name = "own_callbacks", .model = run_model, .optimizer = "SGD(0.1)", .wobbles = true},
};

/* --- callbacks of the caller's --- */

/* A learning rate that depends on all steps so far. */
static void wobble(strata_callback *self, strata_model *model, int64_t batch)
{
    uint32_t *number = self->state;
    (void)batch;
    *number = *number * 1664525 + 1013904223;
    double rate = strata_model_learning_rate(model);
    strata_model_set_learning_rate(model, 0.9 * rate + 0.01 * *number / UINT32_MAX);
}

static size_t save_wobble(strata_callback *self, void *bytes, size_t room)
{
    if (room >= sizeof(uint32_t))
        memcpy(bytes, self->state, sizeof(uint32_t));
    return sizeof(uint32_t);
}

static strata_status load_wobble(strata_callback *self, const void *bytes, size_t size)
{
    if (size != sizeof(uint32_t))
        return STRATA_BAD_DATA;
    memcpy(self->state, bytes, size);
    return STRATA_OK;
}

static strata_callback wobbling(uint32_t *number)
{
    return (strata_callback){.name = "wobble",
                             .state = number,
                             .train_batch_begin = wobble,
                             .save = save_wobble,
                             .load = load_wobble};
}

/* --- runs --- */

/* Saves after so many steps of the run. */
typedef struct interruption {
    int done;
    int cuts[CUTS];
    char paths[CUTS][512];
} interruption;

static void save_at_cut(strata_callback *self, strata_model *model, int64_t batch,
                        const strata_logs *logs)
{
    interruption *i = self->state;
    (void)batch;
    (void)logs;
    i->done++;
    for (int c = 0; c < CUTS; c++) {
        if (i->done == i->cuts[c])
            strata_checkpoint_save(model, i->paths[c]);
    }
}

static double falling_rate(int epoch, double rate, void *user)
{
    (void)epoch;
    (void)user;
    return rate * 0.7;
}

static run_outcome run(const run_case *c, const char *mesh, strata_callback *saver,
                       const char *resume)
{
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    run_outcome o;
    int count = 0;
    uint32_t numbers[2] = {1, 2};
    strata_callback wobblers[2] = {wobbling(&numbers[0]), wobbling(&numbers[1])};
    strata_context *ctx = run_open(mesh);
    ctx->settings.seed += resume != NULL; /* the file's seed holds */
    strata_model *model = c->model(ctx, c->optimizer);
    strata_fit_options options = c->options;
    options.batch_size = RUN_BATCH;
    options.epochs = EPOCHS;
    options.verbose = "0";
    options.resume = resume;
    if (c->callback)
        options.callbacks[count++] = strata_callback_from_text(ctx, c->callback);
    if (c->schedules)
        options.callbacks[count++] = strata_learning_rate_scheduler(ctx, falling_rate, NULL);
    for (int i = 0; i < 2 && c->wobbles; i++)
        options.callbacks[count++] = &wobblers[i];
    options.callbacks[count] = saver;
    const strata_history *history = strata_fit_from(model, run_data(ctx, x, y), &options);
    run_note(model, history, &o);
    run_close(ctx);
    return o;
}

/* In the first epoch, after the last batch of one, in the middle of cycles of 2 and 3 steps, and
 * when EarlyStopping has already waited for an epoch. */
static interruption make_cuts(int steps)
{
    static const char *const names[] = {"first.h5", "second.h5", "third.h5", "fourth.h5"};
    interruption i = {.cuts = {1, steps, 2 * steps - 1, 2 * steps + 2}};
    for (int c = 0; c < CUTS; c++)
        snprintf(i.paths[c], sizeof i.paths[c], "%s", test_path(names[c]));
    return i;
}

static int steps_of(const run_case *c)
{
    int samples = (int)(RUN_SAMPLES * (1 - c->options.validation_split));
    return c->options.steps_per_epoch ? (int)c->options.steps_per_epoch
                                      : (samples + RUN_BATCH - 1) / RUN_BATCH;
}

static void check_case(const run_case *c, const char *mesh)
{
    interruption i = make_cuts(steps_of(c));
    strata_callback saver = {.state = &i, .train_batch_end = save_at_cut};
    run_outcome whole = run(c, mesh, &saver, NULL);
    for (int cut = 0; cut < CUTS && i.cuts[cut] <= i.done; cut++) {
        run_outcome rest = run(c, mesh, NULL, i.paths[cut]);
        run_assert_same(&rest, &whole);
    }
}

static void test_a_run_goes_on(void **state)
{
    for (int m = 0; test_mesh(m); m++) {
        char mesh[64];
        snprintf(mesh, sizeof mesh, "%s", test_mesh(m));
        check_case(*state, mesh);
    }
}

/* --- draws --- */

static strata_layer *find_layer(strata_model *model, const char *name)
{
    strata_layer *layer = strata_model_layer(model);
    for (int i = 0; i < layer->sublayers.count; i++) {
        strata_layer *sublayer = ((strata__sublayer *)layer->sublayers.items[i])->layer;
        if (strcmp(sublayer->name, name) == 0)
            return sublayer;
    }
    return NULL;
}

/* A layer that was called outside of fit before the file was written. */
static void test_random_streams_go_on(void **state)
{
    (void)state;
    uint64_t next = 0;
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("draws.h5"));
    for (int loads = 0; loads <= 1; loads++) {
        strata_context *ctx = run_open(NULL);
        strata_model *model = shared_model(ctx, "SGD(0.1)");
        strata_layer *dropout = find_layer(model, "shared");
        for (int i = 0; i < (loads ? 5 : 2); i++)
            strata__layer_draw(dropout);
        if (loads)
            strata_checkpoint_load(model, path);
        else
            strata_checkpoint_save(model, path);
        assert_all_ok(ctx);
        uint64_t drawn = strata__layer_draw(dropout);
        assert_all(!loads || drawn == next);
        next = drawn;
        run_close(ctx);
    }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[TEST_COUNT(cases) + 1];
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = test_a_run_goes_on,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    tests[TEST_COUNT(cases)] = (struct CMUnitTest)cmocka_unit_test(test_random_streams_go_on);
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
