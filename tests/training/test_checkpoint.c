/* Checkpoints of runs: any mesh loads them, and a run goes on as if it had never stopped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runs.h"
#include "training/trainer.h"

enum { MOST = RUN_MOST, EPOCHS = RUN_EPOCHS, MESHES = 16 };

static char meshes[MESHES][64];

static int list_meshes(void)
{
    int count = 0;
    for (; count < MESHES && test_mesh(count); count++)
        snprintf(meshes[count], sizeof meshes[count], "%s", test_mesh(count));
    return count;
}

static void keep_path(char kept[512], const char *name)
{
    snprintf(kept, 512, "%s", test_path(name));
}

/* --- values --- */

/* Moving averages are means over the replicas, which may round. */
static void assert_same_values(const run_values *a, const run_values *b)
{
    assert_all_int_equal(a->weight_count, b->weight_count);
    for (int i = 0; i < a->weight_count; i++)
        assert_all_near(a->weights[i], b->weights[i], 2e-7 * fabs(b->weights[i]));
    assert_all_int_equal(a->slot_count, b->slot_count);
    assert_true(a->slot_count > 0);
    assert_all(memcmp(a->slots, b->slots, (size_t)a->slot_count * sizeof *a->slots) == 0);
}

static const char *const optimizers[] = {"Adam(0.01)", "SGD(0.05, momentum=0.9, use_ema=True)",
                                         "RMSprop(gradient_accumulation_steps=2, momentum=0.5)"};

static void save_at(const char *mesh, const char *optimizer, const char *path, run_values *saved)
{
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    strata_context *ctx = run_open(mesh);
    strata_model *model = run_model(ctx, optimizer);
    strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH, .verbose = "0");
    run_values_read(model, saved);
    strata_checkpoint_save(model, path);
    assert_all_ok(ctx);
    run_close(ctx);
}

static void load_at(const char *mesh, const char *optimizer, const char *path,
                    const run_values *saved)
{
    run_values loaded;
    strata_context *ctx = run_open(mesh);
    strata_model *model = run_model(ctx, optimizer);
    strata_checkpoint_load(model, path);
    assert_all_ok(ctx);
    run_values_read(model, &loaded);
    assert_same_values(&loaded, saved);
    assert_all_int_equal(model->trainer->optimizer->iteration, RUN_STEPS);
    assert_all_int_equal(ctx->step, RUN_STEPS);
    run_close(ctx);
}

static void test_every_mesh_loads_what_another_saved(void **state)
{
    (void)state;
    char path[512];
    run_values saved;
    int count = list_meshes();
    keep_path(path, "values.h5");
    for (size_t o = 0; o < TEST_COUNT(optimizers); o++) {
        for (int from = 0; from < count; from++) {
            save_at(meshes[from], optimizers[o], path, &saved);
            for (int to = 0; to < count; to++)
                load_at(meshes[to], optimizers[o], path, &saved);
        }
    }
}

/* --- going on --- */

typedef struct outcome {
    run_outcome end;
    double rates[EPOCHS]; /* at the end of the epochs that this run made */
} outcome;

typedef struct interruption {
    const char *path;
    int epoch, epochs_done;
    int64_t batch; /* saves after it; -1: at the end of the epoch */
    outcome *outcome;
} interruption;

static void save_at_epoch_end(strata_callback *self, strata_model *model, int epoch,
                              const strata_logs *logs)
{
    interruption *i = self->state;
    (void)logs;
    i->outcome->rates[epoch] = strata_model_learning_rate(model);
    i->epochs_done = epoch + 1;
    if (i->path && i->batch < 0 && epoch == i->epoch)
        strata_checkpoint_save(model, i->path);
}

static void save_at_batch_end(strata_callback *self, strata_model *model, int64_t batch,
                              const strata_logs *logs)
{
    interruption *i = self->state;
    (void)logs;
    if (i->path && batch == i->batch && i->epochs_done == i->epoch)
        strata_checkpoint_save(model, i->path);
}

static double falling_rate(int epoch, double rate, void *user)
{
    (void)epoch;
    (void)user;
    return rate * 0.5;
}

/* A whole run that saves on its way, or one that goes on from there. */
static outcome run(const char *mesh, interruption *saves, const char *resume, const char *optimizer)
{
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    outcome o = {0};
    strata_context *ctx = run_open(mesh);
    strata_model *model = run_model(ctx, optimizer);
    strata_dataset *data = run_data(ctx, x, y);
    saves->outcome = &o;
    strata_callback saver = {
        .state = saves, .epoch_end = save_at_epoch_end, .train_batch_end = save_at_batch_end};
    const strata_history *history =
        strata_fit(model, data, .batch_size = RUN_BATCH, .epochs = EPOCHS, .verbose = "0",
                   .validation_data = strata_dataset_slice(data, 0, 11), .validation_freq = 2,
                   .resume = resume,
                   .callbacks = {strata_learning_rate_scheduler(ctx, falling_rate, NULL), &saver});
    run_note(model, history, &o.end);
    run_close(ctx);
    return o;
}

static void assert_near_outcome(const run_outcome *a, const run_outcome *b)
{
    assert_all_int_equal(a->epochs, b->epochs);
    assert_all_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        for (int e = 0; e < a->epochs; e++) {
            assert_all(isnan(a->history[i][e]) == isnan(b->history[i][e]));
            if (!isnan(a->history[i][e]))
                assert_all_near(a->history[i][e], b->history[i][e], 1e-5 * fabs(b->history[i][e]));
        }
    }
}

/* Interrupted there on the first mesh, resumed on all of them. */
static void check_resume(int epoch, int64_t batch, const char *optimizer)
{
    char path[512];
    int count = list_meshes();
    keep_path(path, "run.h5");
    for (int from = 0; from < count; from++) {
        interruption saves = {.path = path, .epoch = epoch, .batch = batch};
        outcome whole = run(meshes[from], &saves, NULL, optimizer);
        for (int to = 0; to < count; to++) {
            interruption none = {0};
            outcome rest = run(meshes[to], &none, path, optimizer);
            if (to == from)
                run_assert_same(&rest.end, &whole.end);
            else
                assert_near_outcome(&rest.end, &whole.end);
            for (int e = epoch + (batch < 0); e < EPOCHS; e++)
                assert_all_near(rest.rates[e], whole.rates[e], 0);
        }
    }
}

static void test_a_run_goes_on_in_the_middle_of_an_epoch(void **state)
{
    (void)state;
    check_resume(1, 2, "Adam(0.01)");
}

static void test_a_run_goes_on_after_the_last_batch_of_an_epoch(void **state)
{
    (void)state;
    check_resume(1, RUN_STEPS - 1, "SGD(0.05, momentum=0.9)");
}

static void test_a_run_goes_on_between_epochs(void **state)
{
    (void)state;
    check_resume(1, -1, "AdamW(0.01)");
}

/* --- what callbacks remember --- */

/* Weights that differ from epoch to epoch, worst at last; the best ones come back after a resume.
 */
static void test_the_best_weights_survive(void **state)
{
    (void)state;
    static const char *const stopping =
        "EarlyStopping(monitor='loss', mode='max', patience=1, restore_best_weights=True)";
    char path[512], text[600];
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    keep_path(path, "best.h5");
    snprintf(text, sizeof text, "Checkpoint('%s')", path);
    for (int i = 0; test_mesh(i); i++) {
        double ends[2][MOST];
        for (int resumed = 0; resumed <= 1; resumed++) {
            strata_context *ctx = run_open(test_mesh(i));
            strata_model *model = run_model(ctx, "Adam(0.02)");
            strata_callback *callbacks[] = {strata_callback_from_text(ctx, text),
                                            strata_callback_from_text(ctx, stopping)};
            const strata_history *history =
                strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH, .epochs = EPOCHS,
                           .verbose = "0", .resume = resumed ? path : NULL,
                           .callbacks = {callbacks[0], callbacks[1]});
            assert_all_ok(ctx);
            assert_all_int_equal(history->epochs, 2);
            run_weights(model, ends[resumed], MOST);
            run_close(ctx);
        }
        for (int e = 0; e < RUN_FEATURES * 9; e++)
            assert_all_near(ends[1][e], ends[0][e], 0);
    }
}

static void test_a_log_has_no_row_twice(void **state)
{
    (void)state;
    char path[512], csv[512], log[600], text[600], whole[1 << 12];
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    keep_path(path, "log.h5");
    keep_path(csv, "log.csv");
    snprintf(text, sizeof text, "Checkpoint('%s', save_freq=10)", path);
    snprintf(log, sizeof log, "CSVLogger('%s')", csv);
    for (int resumed = 0; resumed <= 1; resumed++) {
        strata_context *ctx = run_open(NULL);
        strata_model *model = run_model(ctx, "Adam(0.02)");
        strata_callback *callbacks[] = {strata_callback_from_text(ctx, text),
                                        strata_callback_from_text(ctx, log)};
        strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH, .epochs = 2, .verbose = "0",
                   .resume = resumed ? path : NULL,
                   .callbacks = {callbacks[resumed ? 1 : 0], resumed ? NULL : callbacks[1]});
        assert_all_ok(ctx);
        run_close(ctx);
        if (!resumed)
            snprintf(whole, sizeof whole, "%s", run_text(csv));
    }
    assert_all_string_equal(run_text(csv), whole);
    assert_all(strstr(whole, "\n1,") != NULL && strstr(whole, "\n2,") == NULL);
}

static bool is_written(const char *name)
{
    return access(test_path(name), F_OK) == 0;
}

/* Two epochs of 7 batches, then two more. The loss falls, so that the first one has the highest. */
static void test_model_checkpoints_go_on(void **state)
{
    (void)state;
    char path[512], text[3][700];
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    keep_path(path, "models.h5");
    snprintf(text[0], sizeof text[0], "Checkpoint('%s')", path);
    snprintf(text[1], sizeof text[1],
             "ModelCheckpoint('%s', monitor='loss', mode='max', save_best_only=True, "
             "save_weights_only=True)",
             test_path("best-{epoch}.weights.h5"));
    snprintf(text[2], sizeof text[2], "ModelCheckpoint('%s', save_freq=9, save_weights_only=True)",
             test_path("ninth-{epoch}.weights.h5"));
    for (int resumed = 0; resumed <= 1; resumed++) {
        strata_context *ctx = run_open(NULL);
        strata_callback *callbacks[3];
        for (int i = 0; i < 3; i++)
            callbacks[i] = strata_callback_from_text(ctx, text[i]);
        strata_fit(run_model(ctx, "Adam(0.02)"), run_data(ctx, x, y), .batch_size = RUN_BATCH,
                   .epochs = resumed ? 4 : 2, .verbose = "0", .resume = resumed ? path : NULL,
                   .callbacks = {callbacks[1], callbacks[2], callbacks[0]});
        assert_all_ok(ctx);
        run_close(ctx);
    }
    assert_all(is_written("best-1.weights.h5") && !is_written("best-3.weights.h5"));
    assert_all(is_written("ninth-2.weights.h5") && is_written("ninth-3.weights.h5"));
}

/* --- what cannot be --- */

static strata_model *other_model(strata_context *ctx)
{
    strata_tensor *input = strata_input(ctx, .shape = {RUN_FEATURES});
    strata_tensor *x = strata_dense(input, .units = 8, .name = "first");
    strata_model *model =
        strata_functional(input, strata_dense(x, .units = RUN_CLASSES, .name = "other"));
    strata_compile(model, .optimizer = "Adam(0.01)", .loss = "mse");
    return model;
}

static void test_checkpoints_of_others_are_refused(void **state)
{
    (void)state;
    char path[512];
    run_values saved;
    keep_path(path, "other.h5");
    save_at(test_mesh(0), "Adam(0.01)", path, &saved);
    strata_context *ctx = run_open(NULL);
    strata_checkpoint_load(other_model(ctx), path);
    assert_all_error(ctx, STRATA_BAD_DATA, "weights/first/kernel");
    strata_checkpoint_load(run_model(ctx, "SGD(0.1, momentum=0.9)"), path);
    assert_all_error(ctx, STRATA_BAD_DATA, "optimizer/");
    strata_checkpoint_load(run_model(ctx, "SGD(0.1)"), path);
    assert_all_error(ctx, STRATA_BAD_DATA,
                     "other.h5' was saved with the optimizer Adam, the model has SGD");
    strata_checkpoint_load(run_model(ctx, "AdamW(0.01)"), path);
    assert_all_error(ctx, STRATA_BAD_DATA, "the model has AdamW");
    strata_checkpoint_load(run_model(ctx, "Adam(0.01)"), test_path("nowhere.h5"));
    assert_all_error(ctx, STRATA_NO_INPUT, "nowhere.h5");
    run_close(ctx);
}

static void test_a_damaged_checkpoint_is_refused(void **state)
{
    (void)state;
    char path[512];
    run_values saved;
    keep_path(path, "damaged.h5");
    save_at(test_mesh(0), "Adam(0.01)", path, &saved);
    if (test_rank() == 0) {
        FILE *file = fopen(path, "r+b");
        fseek(file, -40, SEEK_END);
        int byte = getc(file);
        fseek(file, -40, SEEK_END);
        putc(byte ^ 1, file);
        fclose(file);
    }
    strata_context *ctx = run_open(NULL);
    strata_checkpoint_load(run_model(ctx, "Adam(0.01)"), path);
    assert_all_error(ctx, STRATA_BAD_DATA, "damaged.h5");
    run_close(ctx);
}

/* What another order of samples is, and the words of the message. */
typedef struct other_order {
    strata_fit_options options;
    const char *words;
} other_order;

static void test_another_order_cannot_go_on_within_an_epoch(void **state)
{
    (void)state;
    static const other_order others[] = {
        {{.batch_size = 5},
         "50 samples in 7 batches of 8, shuffle=True; this fit has 50 in 10 of 5"},
        {{.batch_size = RUN_BATCH, .steps_per_epoch = 6},
         "this fit has 50 in 6 of 8, shuffle=True"},
        {{.batch_size = RUN_BATCH, .shuffle = "batch"}, "in 7 of 8, shuffle=batch"},
        {{.batch_size = RUN_BATCH, .validation_split = 0.1}, "this fit has 45 in 6 of 8"}};
    char path[512];
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    keep_path(path, "batches.h5");
    interruption saves = {.path = path, .epoch = 1, .batch = 2};
    run(test_mesh(0), &saves, NULL, "Adam(0.01)");
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "Adam(0.01)");
    strata_dataset *data = run_data(ctx, x, y);
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        strata_fit_options options = others[i].options;
        options.verbose = "0";
        options.resume = path;
        assert_all(strata_fit_from(model, data, &options) == NULL);
        assert_all_error(ctx, STRATA_INVALID, others[i].words);
    }
    run_close(ctx);
}

static void test_only_compiled_models_have_checkpoints(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_tensor *input = strata_input(ctx, .shape = {2});
    strata_model *model = strata_functional(input, strata_dense(input, .units = 1));
    strata_checkpoint_save(model, test_path("none.h5"));
    assert_all_error(ctx, STRATA_INVALID, "compile");
    run_close(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mesh_loads_what_another_saved),
        cmocka_unit_test(test_a_run_goes_on_in_the_middle_of_an_epoch),
        cmocka_unit_test(test_a_run_goes_on_after_the_last_batch_of_an_epoch),
        cmocka_unit_test(test_a_run_goes_on_between_epochs),
        cmocka_unit_test(test_the_best_weights_survive),
        cmocka_unit_test(test_a_log_has_no_row_twice),
        cmocka_unit_test(test_model_checkpoints_go_on),
        cmocka_unit_test(test_checkpoints_of_others_are_refused),
        cmocka_unit_test(test_a_damaged_checkpoint_is_refused),
        cmocka_unit_test(test_another_order_cannot_go_on_within_an_epoch),
        cmocka_unit_test(test_only_compiled_models_have_checkpoints),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
