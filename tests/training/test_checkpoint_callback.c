/* The callback Checkpoint: when it saves, what it keeps, what it goes on from, what it bears. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runs.h"
#include "mesh/mesh.h"
#include "training/trainer.h"

enum { EPOCHS = 3, MOST_FILES = 32 };

static float x[RUN_SAMPLES * RUN_FEATURES];
static int32_t y[RUN_SAMPLES];

/* --- files --- */

/* Names of the checkpoints in a folder, in order; on rank 0, the others know how many. */
typedef struct files {
    int count;
    char names[MOST_FILES][256];
} files;

static int is_checkpoint(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".h5") == 0;
}

static files list_files(strata_context *ctx, const char *folder)
{
    files found = {0};
    struct dirent **entries = NULL;
    int count = ctx->rank == 0 ? scandir(folder, &entries, is_checkpoint, alphasort) : 0;
    for (int i = 0; i < count; i++) {
        if (found.count < MOST_FILES)
            snprintf(found.names[found.count++], sizeof *found.names, "%s", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    strata__broadcast(ctx, STRATA__WORLD, 0, &found, sizeof found);
    return found;
}

/* Flips a bit far behind in the file. */
static void damage(const char *folder, const char *name)
{
    char path[1024];
    if (test_rank() != 0)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+b");
    fseek(file, -40, SEEK_END);
    int byte = getc(file);
    fseek(file, -40, SEEK_END);
    putc(byte ^ 1, file);
    fclose(file);
}

/* --- runs --- */

/* `text`: the callback, with the folder for %s. */
typedef struct run_case {
    const char *text, *folder, *resume;
    int epochs;
    strata_callback *caller;
} run_case;

static void run_in(strata_context *ctx, const run_case *c, run_outcome *o)
{
    char text[700];
    strata_callback *callbacks[2] = {NULL, NULL};
    int count = 0;
    snprintf(text, sizeof text, c->text, c->folder);
    strata_model *model = run_model(ctx, "Adam(0.01)");
    if (c->caller)
        callbacks[count++] = c->caller;
    callbacks[count] = strata_callback_from_text(ctx, text);
    const strata_history *history =
        strata_fit(model, run_data(ctx, x, y), .batch_size = RUN_BATCH,
                   .epochs = c->epochs ? c->epochs : EPOCHS, .verbose = "0", .resume = c->resume,
                   .callbacks = {callbacks[0], callbacks[1]});
    run_note(model, history, o);
}

static run_outcome run(const run_case *c, files *left)
{
    run_outcome o;
    strata_context *ctx = run_open(NULL);
    run_in(ctx, c, &o);
    if (left)
        *left = list_files(ctx, c->folder);
    run_close(ctx);
    return o;
}

static void new_folder(char folder[512], const char *name)
{
    snprintf(folder, 512, "%s", test_path(name));
}

/* --- when, and how many --- */

typedef struct keeping {
    const char *name, *text;
    int count;
    const char *files[4];
} keeping;

static void test_the_last_ones_are_kept(void **state)
{
    (void)state;
    static const keeping keepings[] = {
        {"epochs",
         "Checkpoint('%s/a.h5')",
         3,
         {"a-000001-0000000007.h5", "a-000002-0000000014.h5", "a-000003-0000000021.h5"}},
        {"batches",
         "Checkpoint('%s/a.h5', save_freq=8, keep=2)",
         2,
         {"a-000001-0000000008.h5", "a-000002-0000000016.h5"}},
        {"folder",
         "Checkpoint('%s/', save_freq=5, keep=2)",
         2,
         {"checkpoint-000003-0000000015.h5", "checkpoint-000004-0000000020.h5"}},
        {"hours", "Checkpoint('%s/', save_freq='5h')", 0, {NULL}}};
    for (size_t i = 0; i < TEST_COUNT(keepings); i++) {
        char folder[512];
        files left;
        new_folder(folder, keepings[i].name);
        run_outcome o = run(&(run_case){.text = keepings[i].text, .folder = folder}, &left);
        assert_all_string_equal(o.message, "");
        assert_all_int_equal(left.count, keepings[i].count);
        for (int f = 0; f < left.count; f++)
            assert_all_string_equal(left.names[f], keepings[i].files[f]);
    }
}

static void sleep_once(strata_callback *self, strata_model *model, int64_t batch)
{
    (void)self;
    (void)model;
    if (batch == 3)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* However slow the machine is, so long a time has gone by after the fourth batch of an epoch. */
static void test_saves_by_the_clock(void **state)
{
    (void)state;
    char folder[512];
    files left;
    strata_callback sleeper = {.train_batch_begin = sleep_once};
    new_folder(folder, "clock");
    run_case c = {.text = "Checkpoint('%s/', save_freq='0.02s', keep=30)",
                  .folder = folder,
                  .caller = &sleeper};
    run(&c, &left);
    assert_all(left.count >= EPOCHS);
}

/* The rhythm of batches goes on over a stop. */
static void test_a_run_that_goes_on_saves_where_it_would_have(void **state)
{
    (void)state;
    char folder[512];
    files left;
    new_folder(folder, "rhythm");
    run_case c = {.text = "Checkpoint('%s/', save_freq=4, keep=30)", .folder = folder, .epochs = 2};
    run(&c, NULL);
    c.epochs = EPOCHS;
    c.resume = "auto";
    run(&c, &left);
    assert_all_int_equal(left.count, 5);
    assert_all_string_equal(left.names[3], "checkpoint-000004-0000000016.h5");
    assert_all_string_equal(left.names[4], "checkpoint-000005-0000000020.h5");
}

/* --- resume='auto' --- */

static void test_auto_starts_fresh_or_goes_on(void **state)
{
    (void)state;
    char folder[512], other[512];
    new_folder(folder, "auto");
    new_folder(other, "undisturbed");
    run_case c = {.text = "Checkpoint('%s/', save_freq=5)", .folder = folder, .resume = "auto"};
    run_outcome first = run(&c, NULL);
    run_outcome again = run(&c, NULL);
    run_outcome undisturbed = run(&(run_case){.text = "Checkpoint('%s/')", .folder = other}, NULL);
    run_assert_same(&first, &undisturbed);
    run_assert_same(&again, &undisturbed);
}

static void test_damaged_ones_are_passed_over(void **state)
{
    (void)state;
    char folder[512];
    files left;
    new_folder(folder, "damage");
    run_case c = {.text = "Checkpoint('%s/', save_freq=5)", .folder = folder, .resume = "auto"};
    run_outcome undisturbed = run(&c, &left);
    assert_all_int_equal(left.count, 3);
    damage(folder, left.names[2]);
    damage(folder, left.names[1]);
    run_outcome rest = run(&c, &left);
    run_assert_same(&rest, &undisturbed);
    for (int i = 0; i < left.count; i++)
        damage(folder, left.names[i]);
    rest = run(&c, NULL);
    assert_all_int_equal(rest.status, STRATA_BAD_DATA);
}

static void test_auto_needs_the_callback(void **state)
{
    (void)state;
    strata_context *ctx = run_open(NULL);
    strata_model *model = run_model(ctx, "sgd");
    assert_all(!strata_fit(model, run_data(ctx, x, y), .resume = "auto", .verbose = "0"));
    assert_all_error(ctx, STRATA_INVALID, "needs a Checkpoint callback");
    run_close(ctx);
}

/* --- what cannot be written --- */

/* In the second epoch a file stands where the folder was. */
typedef struct thief {
    const char *folder;
    bool calls; /* for an end of the run at that time */
} thief;

static void swap_folder(const thief *t, bool away)
{
    char aside[600];
    snprintf(aside, sizeof aside, "%s.aside", t->folder);
    if (test_rank() == 0 && away && rename(t->folder, aside) == 0)
        fclose(fopen(t->folder, "w"));
    else if (test_rank() == 0 && !away && remove(t->folder) == 0)
        rename(aside, t->folder);
}

static void steal(strata_callback *self, strata_model *model, int epoch)
{
    const thief *t = self->state;
    if (epoch == 1)
        swap_folder(t, true);
    if (epoch == 2)
        swap_folder(t, false);
    strata__barrier(model->ctx, STRATA__WORLD);
    if (epoch == 1 && t->calls)
        raise(SIGUSR1);
}

static strata_callback stealing(thief *t)
{
    return (strata_callback){.state = t, .epoch_begin = steal};
}

static void test_training_goes_on_without_a_checkpoint(void **state)
{
    (void)state;
    char folder[512], other[512];
    files left;
    new_folder(folder, "bears");
    new_folder(other, "bears-nothing");
    thief t = {.folder = folder};
    strata_callback callback = stealing(&t);
    run_case c = {
        .text = "Checkpoint('%s/', on_error='continue')", .folder = folder, .caller = &callback};
    run_outcome o = run(&c, &left);
    run_outcome undisturbed = run(&(run_case){.text = "Checkpoint('%s/')", .folder = other}, NULL);
    run_assert_same(&o, &undisturbed);
    assert_all_int_equal(left.count, 2);
    assert_all_string_equal(left.names[0], "checkpoint-000001-0000000007.h5");
    assert_all_string_equal(left.names[1], "checkpoint-000002-0000000021.h5");
}

static void test_training_ends_without_a_checkpoint(void **state)
{
    (void)state;
    char folder[512];
    new_folder(folder, "stops");
    thief t = {.folder = folder};
    strata_callback callback = stealing(&t);
    run_case c = {.text = "Checkpoint('%s/')", .folder = folder, .caller = &callback};
    run_outcome o = run(&c, NULL);
    assert_all_int_equal(o.status, STRATA_IO);
    swap_folder(&t, false);
}

/* Leaving with 75 would promise what is not there. */
static void test_a_run_that_is_stopped_must_be_saved(void **state)
{
    (void)state;
    char folder[512];
    run_outcome o;
    new_folder(folder, "called");
    thief t = {.folder = folder, .calls = true};
    strata_callback callback = stealing(&t);
    strata_context *ctx = run_open_with((strata_options){.signals = "USR1"});
    run_in(ctx,
           &(run_case){.text = "Checkpoint('%s/', on_error='continue')",
                       .folder = folder,
                       .caller = &callback},
           &o);
    run_close(ctx);
    assert_all_int_equal(o.status, STRATA_IO);
    swap_folder(&t, false);
}

static void test_a_place_where_nothing_can_be_saved(void **state)
{
    (void)state;
    char file[512];
    new_folder(file, "plain");
    if (test_rank() == 0)
        fclose(fopen(file, "w"));
    run_case c = {.text = "Checkpoint('%s/a.h5', on_error='continue')", .folder = file};
    run_outcome o = run(&c, NULL);
    assert_all_int_equal(o.status, STRATA_IO);
    assert_all(strstr(o.message, "plain") != NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_ones_are_kept),
        cmocka_unit_test(test_saves_by_the_clock),
        cmocka_unit_test(test_a_run_that_goes_on_saves_where_it_would_have),
        cmocka_unit_test(test_auto_starts_fresh_or_goes_on),
        cmocka_unit_test(test_damaged_ones_are_passed_over),
        cmocka_unit_test(test_auto_needs_the_callback),
        cmocka_unit_test(test_training_goes_on_without_a_checkpoint),
        cmocka_unit_test(test_training_ends_without_a_checkpoint),
        cmocka_unit_test(test_a_run_that_is_stopped_must_be_saved),
        cmocka_unit_test(test_a_place_where_nothing_can_be_saved),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
