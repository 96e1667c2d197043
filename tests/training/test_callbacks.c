/* Callbacks: when they stop, what they save and write, in which order they are called. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runs.h"
#include "training/callback.h"
#include "training/trainer.h"

static float x[RUN_SAMPLES * RUN_FEATURES];
static int32_t y[RUN_SAMPLES];

static strata_callback *make(strata_context *ctx, const char *format, const char *path)
{
    char text[800];
    snprintf(text, sizeof text, format, path);
    strata_callback *callback = strata_callback_from_text(ctx, text);
    assert_all_ok(ctx);
    return callback;
}

static void epoch_end(strata_callback *callback, strata_model *model, int epoch, const char *name,
                      double value)
{
    callback->epoch_end(callback, model, epoch, &(strata_logs){1, &name, &value});
}

/* The file is there, on rank 0's word. */
static bool exists(strata_context *ctx, const char *name)
{
    int32_t there = access(test_path(name), F_OK) == 0;
    strata__min(ctx, STRATA__WORLD, &there, 1, STRATA_INT32);
    return there;
}

/* --- EarlyStopping --- */

static const struct {
    const char *text, *name;
    double values[6];
    int stops; /* epoch, or -1 */
} stoppings[] = {
    {"EarlyStopping('loss')", "loss", {3, 2, 2, 1, 1, 1}, 2},
    {"EarlyStopping('loss', patience=2)", "loss", {3, 2, 2.5, 2.5, 1, 1}, 3},
    {"EarlyStopping('loss', patience=2)", "loss", {3, 2, 2.5, 1.5, 1.6, 1.7}, 5},
    {"EarlyStopping('loss', min_delta=0.5, patience=1)", "loss", {3, 2.8, 2.6, 0, 0, 0}, 1},
    {"EarlyStopping('loss', min_delta=-0.5, patience=1)", "loss", {3, 2.8, 2.6, 0, 0, 0}, 1},
    {"EarlyStopping('accuracy')", "accuracy", {0.1, 0.2, 0.3, 0.2, 0.9, 1}, 3},
    {"EarlyStopping('val_accuracy', patience=1)", "val_accuracy", {0.3, 0.2, 1, 1, 1, 1}, 1},
    {"EarlyStopping('accuracy', mode='min')", "accuracy", {0.1, 0.2, 0, 0, 0, 0}, 1},
    {"EarlyStopping('mine', mode='max')", "mine", {1, 2, 3, 3, 4, 5}, 3},
    /* Better than before but not than the baseline: the patience is not reset, and runs out at the
     * first epoch that is no improvement. */
    {"EarlyStopping('loss', baseline=1, patience=2)", "loss", {3, 2.5, 2, 1.9, 1.95, 1}, 4},
    {"EarlyStopping('loss', baseline=1, patience=2)", "loss", {3, 0.5, 0.6, 0.7, 0, 0}, 3},
    {"EarlyStopping('loss', start_from_epoch=3)", "loss", {1, 2, 3, 2, 2.5, 3}, 4},
    {"EarlyStopping('loss')", "loss", {6, 5, 4, 3, 2, 1}, -1},
    {"EarlyStopping('val_loss')", "loss", {1, 2, 3, 4, 5, 6}, -1},
    {"EarlyStopping('loss')", "loss", {1, NAN, 0, 0, 0, 0}, 1},
};

static void test_when_early_stopping_stops(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_evaluate(model, run_data(ctx, x, y), .verbose = "0"); /* "accuracy" finds its class */
    for (size_t i = 0; i < TEST_COUNT(stoppings); i++) {
        strata_callback *callback = make(ctx, stoppings[i].text, "");
        int stopped = -1;
        model->trainer->stop = false;
        callback->train_begin(callback, model);
        for (int epoch = 0; epoch < 6 && stopped < 0; epoch++) {
            epoch_end(callback, model, epoch, stoppings[i].name, stoppings[i].values[epoch]);
            stopped = model->trainer->stop ? epoch : -1;
        }
        if (stopped != stoppings[i].stops)
            print_message("%s (row %zu)\n", stoppings[i].text, i);
        assert_all_int_equal(stopped, stoppings[i].stops);
    }
    run_close(ctx);
}

static void test_an_unknown_direction_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_callback *callback = make(ctx, "EarlyStopping('mine')", "");
    epoch_end(callback, model, 0, "mine", 1);
    assert_all_error(ctx, STRATA_INVALID, "mode='max'");
    run_close(ctx);
}

enum { WEIGHTS = 256 };

static void shift_weights(strata_model *model)
{
    strata_variable *weights[32];
    int count = strata_layer_weights(strata_model_layer(model), weights, 32);
    for (int i = 0; i < count; i++) {
        float whole[WEIGHTS];
        strata_cross_read(weights[i], whole);
        for (int e = 0; e < WEIGHTS; e++)
            whole[e] += 1;
        strata_cross_assign(weights[i], whole);
    }
}

/* While packed: after a fit the values lie in memory that the ranks of a node share. */
static void restore_best(const char *mesh)
{
    strata_context *ctx = run_open(mesh);
    strata_model *model = run_model(ctx, "sgd");
    strata_fit(model, run_data(ctx, x, y), .verbose = "0", .batch_size = RUN_BATCH);
    strata_callback *callback =
        make(ctx, "EarlyStopping('loss', restore_best_weights=True, patience=9)", "");
    double best[WEIGHTS], last[WEIGHTS], end[WEIGHTS];
    callback->train_begin(callback, model);
    epoch_end(callback, model, 0, "loss", 2);
    shift_weights(model);
    epoch_end(callback, model, 1, "loss", 1);
    int count = run_weights(model, best, WEIGHTS);
    shift_weights(model);
    epoch_end(callback, model, 2, "loss", 3);
    run_weights(model, last, WEIGHTS);
    callback->train_end(callback, model, NULL);
    run_weights(model, end, WEIGHTS);
    for (int i = 0; i < count; i++) {
        assert_all_near(end[i], best[i], 2e-7 * fabs(best[i]));
        assert_all(last[i] > end[i] + 0.5);
    }
    run_close(ctx);
}

static void test_the_best_weights_come_back(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++)
        restore_best(test_mesh(i));
}

static void test_fit_ends_early(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    const strata_history *history =
        strata_fit(model, run_data(ctx, x, y), .epochs = 9, .batch_size = RUN_BATCH, .verbose = "0",
                   .callbacks = {make(ctx, "EarlyStopping('loss', mode='max', patience=1)", "")});
    assert_all_ok(ctx);
    assert_all_int_equal(history->epochs, 2);
    run_close(ctx);
}

/* --- ModelCheckpoint --- */

static void test_models_are_saved_each_epoch(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = run_open(test_mesh(i));
        strata_model *model = run_model(ctx, "sgd");
        double trained[WEIGHTS], loaded[WEIGHTS];
        strata_fit(
            model, run_data(ctx, x, y), .epochs = 2, .batch_size = RUN_BATCH, .verbose = "0",
            .callbacks = {make(ctx, "ModelCheckpoint('%s-{epoch:02d}.keras')", test_path("m")),
                          make(ctx,
                               "ModelCheckpoint('%s-{epoch}.weights.h5', "
                               "save_weights_only=True)",
                               test_path("w"))});
        assert_all_ok(ctx);
        assert_all(exists(ctx, "m-01.keras") && exists(ctx, "w-1.weights.h5"));
        run_weights(model, trained, WEIGHTS);
        strata_model *copy = strata_load(ctx, test_path("m-02.keras"));
        assert_all_ok(ctx);
        int count = run_weights(copy, loaded, WEIGHTS);
        for (int e = 0; e < count; e++)
            assert_all_near(loaded[e], trained[e], 2e-7 * fabs(trained[e]));
        run_close(ctx);
    }
}

static void test_only_the_best_model_is_saved(void **state)
{
    (void)state;
    static const double losses[] = {3.5, 3, 4, 2, 2, 2.5};
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_callback *callback = make(ctx,
                                     "ModelCheckpoint('%s-{epoch}-{loss:.1f}.weights.h5', 'loss', "
                                     "save_best_only=True, save_weights_only=True, "
                                     "initial_value_threshold=3.2)",
                                     test_path("best"));
    for (int epoch = 0; epoch < 6; epoch++) {
        callback->epoch_begin(callback, model, epoch);
        epoch_end(callback, model, epoch, "loss", losses[epoch]);
    }
    assert_all_ok(ctx);
    assert_all(!exists(ctx, "best-1-3.5.weights.h5"));
    assert_all(exists(ctx, "best-2-3.0.weights.h5"));
    assert_all(!exists(ctx, "best-3-4.0.weights.h5"));
    assert_all(exists(ctx, "best-4-2.0.weights.h5"));
    assert_all(!exists(ctx, "best-5-2.0.weights.h5") && !exists(ctx, "best-6-2.5.weights.h5"));
    run_close(ctx);
}

/* Batches 3 and 6 of the first epoch, then 2 and 5 of the second. */
static void test_models_are_saved_every_so_many_batches(void **state)
{
    (void)state;
    static const char *const names[] = {"b-1-3", "b-1-6", "b-2-2", "b-2-5"};
    char file[64];
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_fit(model, run_data(ctx, x, y), .epochs = 2, .batch_size = RUN_BATCH, .verbose = "0",
               .callbacks = {make(ctx,
                                  "ModelCheckpoint('%s-{epoch}-{batch}.weights.h5', "
                                  "save_weights_only=True, save_freq=3)",
                                  test_path("b"))});
    assert_all_ok(ctx);
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        snprintf(file, sizeof file, "%s.weights.h5", names[i]);
        assert_all(exists(ctx, file));
    }
    assert_all(!exists(ctx, "b-1-7.weights.h5") && !exists(ctx, "b-2-1.weights.h5"));
    run_close(ctx);
}

/* --- CSVLogger --- */

static void log_epochs(strata_callback *callback, strata_model *model, int first, int last)
{
    static const char *const names[] = {"loss", "accuracy", "val_loss"};
    callback->train_begin(callback, model);
    for (int epoch = first; epoch < last; epoch++) {
        const double values[] = {0.1 * epoch, epoch == 1 ? NAN : 0.5, 1e-7};
        callback->epoch_end(callback, model, epoch,
                            &(strata_logs){3 - (epoch == 2), names, values});
    }
    callback->train_end(callback, model, NULL);
}

static void test_rows_of_numbers(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_callback *plain = make(ctx, "CSVLogger('%s')", test_path("log.csv"));
    strata_callback *more = make(ctx, "CSVLogger('%s', append=True)", test_path("log.csv"));
    log_epochs(plain, model, 3, 5);
    log_epochs(plain, model, 0, 2);
    log_epochs(more, model, 2, 4);
    assert_all_ok(ctx);
    assert_all_string_equal(run_text(test_path("log.csv")), "epoch,accuracy,loss,val_loss\n"
                                                            "0,0.5,0.0,1e-07\n"
                                                            "1,nan,0.1,1e-07\n"
                                                            "2,0.5,0.2,NA\n"
                                                            "3,0.5,0.30000000000000004,1e-07\n");
    run_close(ctx);
}

static void test_columns_of_validation_to_come(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_callback *callback =
        make(ctx, "CSVLogger('%s', separator=';')", test_path("columns.csv"));
    callback->train_begin(callback, model);
    epoch_end(callback, model, 0, "a \"b\";c", 2);
    epoch_end(callback, model, 1, "val_a \"b\";c", 3);
    callback->train_end(callback, model, NULL);
    assert_all_string_equal(run_text(test_path("columns.csv")),
                            "epoch;\"a \"\"b\"\";c\";\"val_a \"\"b\"\";c\"\n"
                            "0;2.0;NA\n"
                            "1;NA;3.0\n");
    run_close(ctx);
}

/* A run that goes on keeps the columns that stand in the file. */
static void test_columns_of_a_file_are_kept(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_callback *first = make(ctx, "CSVLogger('%s', separator='; ')", test_path("kept.csv"));
    strata_callback *second =
        make(ctx, "CSVLogger('%s', separator='; ', append=True)", test_path("kept.csv"));
    first->train_begin(first, model);
    epoch_end(first, model, 0, "a \"b\"; c", 2);
    first->train_end(first, model, NULL);
    second->train_begin(second, model);
    epoch_end(second, model, 1, "loss", 3);
    epoch_end(second, model, 2, "val_a \"b\"; c", 4);
    second->train_end(second, model, NULL);
    assert_all_ok(ctx);
    assert_all_string_equal(run_text(test_path("kept.csv")),
                            "epoch; \"a \"\"b\"\"; c\"; \"val_a \"\"b\"\"; c\"\n"
                            "0; 2.0; NA\n1; NA; NA\n2; NA; 4.0\n");
    run_close(ctx);
}

static void test_logs_that_cannot_be_written(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    strata_callback *nowhere = make(ctx, "CSVLogger('%s')", test_path("no/such/folder.csv"));
    strata_callback *full = make(ctx, "CSVLogger('/dev/full')", "");
    nowhere->train_begin(nowhere, model);
    assert_all_error(ctx, STRATA_IO, "cannot open");
    full->train_begin(full, model);
    epoch_end(full, model, 0, "loss", 1);
    assert_all_error(ctx, STRATA_IO, "cannot write '/dev/full'");
    run_close(ctx);
}

/* --- TerminateOnNaN, LearningRateScheduler --- */

static void count_batches(strata_callback *self, strata_model *model, int64_t batch,
                          const strata_logs *logs)
{
    (void)model;
    (void)batch;
    assert_null(logs); /* nobody asked for them */
    ++*(int *)self->state;
}

static void test_training_ends_when_the_loss_is_no_number(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = run_open(test_mesh(i));
        strata_model *model = run_model(ctx, "sgd");
        strata_dataset *data = run_data(ctx, x, y);
        int batches = 0;
        strata_callback counter = {.state = &batches, .train_batch_end = count_batches};
        x[20 * RUN_FEATURES] = NAN;
        strata_fit(model, data, .epochs = 3, .batch_size = RUN_BATCH, .shuffle = "False",
                   .verbose = "0", .callbacks = {make(ctx, "TerminateOnNaN", ""), &counter});
        assert_all_ok(ctx);
        assert_all_int_equal(batches, 3);
        run_close(ctx);
    }
}

/* --- the caller's own --- */

typedef struct diary {
    char text[256];
    bool fine; /* numbers are there where they must be */
    int destroyed;
} diary;

static void note(strata_callback *self, char what)
{
    diary *d = self->state;
    size_t length = strlen(d->text);
    if (length + 1 < sizeof d->text) {
        d->text[length] = what;
        d->text[length + 1] = '\0';
    }
}

static void note_train_begin(strata_callback *self, strata_model *model)
{
    (void)model;
    note(self, '<');
}

static void note_train_end(strata_callback *self, strata_model *model, const strata_logs *logs)
{
    (void)model;
    (void)logs;
    note(self, '>');
}

static void note_epoch_begin(strata_callback *self, strata_model *model, int epoch)
{
    (void)model;
    note(self, (char)('0' + epoch));
}

static void note_epoch_end(strata_callback *self, strata_model *model, int epoch,
                           const strata_logs *logs)
{
    diary *d = self->state;
    (void)model;
    note(self, '.');
    d->fine &= logs->count == (epoch == 1 ? 4 : 2) && strcmp(logs->names[0], "loss") == 0;
    d->fine &= isnan(strata_logs_get(logs, "val_loss")) == (epoch == 0);
}

static void note_train_batch_end(strata_callback *self, strata_model *model, int64_t batch,
                                 const strata_logs *logs)
{
    diary *d = self->state;
    (void)model;
    note(self, 'b');
    d->fine &= batch < RUN_STEPS && logs && strata_logs_get(logs, "loss") > 0;
}

static void note_test_begin(strata_callback *self, strata_model *model)
{
    (void)model;
    note(self, '(');
}

static void note_test_batch_end(strata_callback *self, strata_model *model, int64_t batch,
                                const strata_logs *logs)
{
    diary *d = self->state;
    (void)model;
    (void)batch;
    note(self, 't');
    d->fine &= logs && strcmp(logs->names[0], "loss") == 0;
}

static void note_test_end(strata_callback *self, strata_model *model, const strata_logs *logs)
{
    (void)model;
    (void)logs;
    note(self, ')');
}

static void note_destroyed(strata_callback *self)
{
    ((diary *)self->state)->destroyed++;
}

static void test_hooks_are_called_in_order(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++) {
        diary d = {.fine = true};
        const strata_callback hooks = {.state = &d,
                                       .train_begin = note_train_begin,
                                       .train_end = note_train_end,
                                       .epoch_begin = note_epoch_begin,
                                       .epoch_end = note_epoch_end,
                                       .train_batch_end = note_train_batch_end,
                                       .test_begin = note_test_begin,
                                       .test_batch_end = note_test_batch_end,
                                       .test_end = note_test_end,
                                       .destroy = note_destroyed,
                                       .batch_logs = true};
        strata_context *ctx = run_open(test_mesh(i));
        strata_model *model = run_model(ctx, "sgd");
        strata_dataset *data = run_data(ctx, x, y);
        strata_fit(model, data, .epochs = 2, .batch_size = RUN_BATCH, .verbose = "0",
                   .validation_data = strata_dataset_slice(data, 0, 10), .validation_freq = 2,
                   .callbacks = {strata_callback_new(ctx, &hooks)});
        assert_all_ok(ctx);
        assert_all_string_equal(d.text, "<0bbbbbbb.1bbbbbbb(tt).>");
        assert_all(d.fine);
        run_close(ctx);
        assert_all_int_equal(d.destroyed, 1);
    }
}

static void stop_in_third_batch(strata_callback *self, strata_model *model, int64_t batch,
                                const strata_logs *logs)
{
    (void)logs;
    ++*(int *)self->state;
    if (batch == 2)
        strata_model_stop_training(model);
}

static void test_a_callback_ends_training_after_its_batch(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    int batches = 0;
    strata_callback stopper = {.state = &batches, .train_batch_end = stop_in_third_batch};
    const strata_history *history =
        strata_fit(run_model(ctx, "sgd"), run_data(ctx, x, y), .epochs = 3, .batch_size = RUN_BATCH,
                   .verbose = "0", .callbacks = {&stopper});
    assert_all_ok(ctx);
    assert_all_int_equal(batches, 3);
    assert_all_int_equal(history->epochs, 1);
    run_close(ctx);
}

/* --- texts --- */

static void test_wrong_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        strata_status status;
        const char *words;
    } wrong[] = {
        {"EarlyStoping()", STRATA_INVALID, "did you mean 'EarlyStopping'"},
        {"EarlyStopping(patience=-1)", STRATA_INVALID, "patience"},
        {"EarlyStopping(mode='up')", STRATA_INVALID, "mode"},
        {"EarlyStopping(monitor=None)", STRATA_INVALID, "monitor"},
        {"EarlyStopping(patiense=1)", STRATA_INVALID, "patiense"},
        {"ModelCheckpoint()", STRATA_INVALID, "filepath"},
        {"ModelCheckpoint('m.h5')", STRATA_INVALID, "must end in `.keras`"},
        {"ModelCheckpoint('m.keras', save_weights_only=True)", STRATA_INVALID, ".weights.h5"},
        {"ModelCheckpoint('m-{epoch.keras')", STRATA_INVALID, "{epoch.keras"},
        {"ModelCheckpoint('m.keras', save_freq=0)", STRATA_INVALID, "save_freq=0"},
        {"ModelCheckpoint('m.keras', save_freq='batch')", STRATA_INVALID, "save_freq"},
        {"ModelCheckpoint('m.keras', save_freq=1.5)", STRATA_INVALID, "save_freq=1.5"},
        {"Checkpoint('run.h5', 'sometimes')", STRATA_INVALID, "save_freq"},
        {"Checkpoint()", STRATA_INVALID, "filepath"},
        {"CSVLogger()", STRATA_INVALID, "filename"},
        {"CSVLogger('l.csv', separator='')", STRATA_INVALID, "separator"},
        {"TerminateOnNaN(1)", STRATA_INVALID, "TerminateOnNaN"},
        {"None", STRATA_INVALID, "None"},
        {"TensorBoard('logs')", STRATA_UNSUPPORTED, "not supported yet"},
        {"ReduceLROnPlateau", STRATA_UNSUPPORTED, "not supported yet"},
        {"LearningRateScheduler(f)", STRATA_INVALID, "strata_learning_rate_scheduler()"},
    };
    strata_context *ctx = run_open(NULL);
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_all(strata_callback_from_text(ctx, wrong[i].text) == NULL);
        assert_all_error(ctx, wrong[i].status, wrong[i].words);
    }
    run_close(ctx);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_early_stopping_stops),
        cmocka_unit_test(test_an_unknown_direction_is_refused),
        cmocka_unit_test(test_the_best_weights_come_back),
        cmocka_unit_test(test_fit_ends_early),
        cmocka_unit_test(test_models_are_saved_each_epoch),
        cmocka_unit_test(test_only_the_best_model_is_saved),
        cmocka_unit_test(test_models_are_saved_every_so_many_batches),
        cmocka_unit_test(test_rows_of_numbers),
        cmocka_unit_test(test_columns_of_validation_to_come),
        cmocka_unit_test(test_columns_of_a_file_are_kept),
        cmocka_unit_test(test_logs_that_cannot_be_written),
        cmocka_unit_test(test_training_ends_when_the_loss_is_no_number),
        cmocka_unit_test(test_hooks_are_called_in_order),
        cmocka_unit_test(test_a_callback_ends_training_after_its_batch),
        cmocka_unit_test(test_wrong_texts),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
