/* One half of a test of resuming on other meshes: writes checkpoints on the meshes of this number
 * of ranks, or goes on from all of them. Not a test by itself: test_pairs.sh runs it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs.h"
#include "training/trainer.h"

/* Saved in the middle of the second epoch; then 53 more steps. */
enum { EPOCHS = 9, SAVED = 10, STEPS = EPOCHS * RUN_STEPS, MOST_FILES = 64, MOST_NAME = 64 };

static const char *folder;
static bool all; /* meshes, or some */

/* --- what is compared --- */

typedef struct record {
    run_values saved;     /* weights and slots */
    double losses[STEPS]; /* of each step */
    double means[EPOCHS]; /* of the losses of each epoch, from what it summed up */
} record;

/* Losses from the sums of the epoch, which a checkpoint in its middle holds too. */
typedef struct watch {
    double total, count; /* so far in the epoch, over all ranks */
    int step;
    record *record;
    const char *path; /* to save to; NULL: nothing is */
} watch;

static void read_sums(strata_model *model, double sums[2])
{
    const strata__metric *tracker = model->trainer->tracker;
    sums[0] = tracker->total;
    sums[1] = tracker->count;
    strata__sum(model->ctx, STRATA__BATCH, sums, 2, STRATA_FLOAT64);
}

static void begin(strata_callback *self, strata_model *model)
{
    watch *w = self->state;
    double sums[2];
    read_sums(model, sums);
    w->total = w->step > 0 ? sums[0] : 0;
    w->count = w->step > 0 ? sums[1] : 0;
}

static void note_step(strata_callback *self, strata_model *model, int64_t batch,
                      const strata_logs *logs)
{
    watch *w = self->state;
    double sums[2];
    (void)logs;
    if (batch == 0)
        w->total = w->count = 0;
    read_sums(model, sums);
    w->record->losses[w->step++] = (sums[0] - w->total) / (sums[1] - w->count);
    w->total = sums[0];
    w->count = sums[1];
    if (!w->path || w->step != SAVED)
        return;
    strata_checkpoint_save(model, w->path);
    run_values_read(model, &w->record->saved);
}

static void train(strata_model *model, watch *w)
{
    float x[RUN_SAMPLES * RUN_FEATURES];
    int32_t y[RUN_SAMPLES];
    strata_callback watching = {.state = w, .train_begin = begin, .train_batch_end = note_step};
    const strata_history *history =
        strata_fit(model, run_data(model->ctx, x, y), .batch_size = RUN_BATCH, .epochs = EPOCHS,
                   .verbose = "0", .callbacks = {&watching});
    assert_all_ok(model->ctx);
    assert_all_int_equal(w->step, STEPS);
    assert_all_int_equal(history->epochs, EPOCHS);
    memcpy(w->record->means, strata_history_get(history, "loss"), sizeof w->record->means);
}

/* --- files --- */

static const char *path_of(const char *name, const char *ending)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    return path;
}

static void write_record(const char *name, const record *r)
{
    if (test_rank() != 0)
        return;
    FILE *file = fopen(path_of(name, ".record"), "wb");
    assert_true(file && fwrite(r, sizeof *r, 1, file) == 1 && fclose(file) == 0);
    file = fopen(path_of("list", ""), "a");
    assert_true(file && fprintf(file, "%s\n", name) > 0 && fclose(file) == 0);
}

static void read_record(const char *name, record *r)
{
    FILE *file = fopen(path_of(name, ".record"), "rb");
    assert_true(file && fread(r, sizeof *r, 1, file) == 1);
    fclose(file);
}

static int read_list(char names[MOST_FILES][MOST_NAME])
{
    int count = 0;
    FILE *file = fopen(path_of("list", ""), "r");
    assert_non_null(file);
    while (count < MOST_FILES && fscanf(file, "%63s", names[count]) == 1)
        count++;
    fclose(file);
    return count;
}

/* --- the halves --- */

/* The index-th mesh that takes part, or NULL. Of each number of ranks about a third, with all axes
 * among them, when it is not all. */
static const char *chosen_mesh(int index)
{
    const char *mesh = NULL;
    for (int i = 0; index >= 0 && (mesh = test_mesh(i)); i++)
        index -= all || test_ranks() == 1 || i % 3 == 1;
    return mesh;
}

static strata_model *open_model(const char *mesh)
{
    return run_model(run_open(mesh), "Adam(0.002, use_ema=True, gradient_accumulation_steps=3)");
}

static void test_write(void **state)
{
    (void)state;
    char mesh[MOST_NAME];
    for (int i = 0; chosen_mesh(i); i++) {
        record r = {.losses = {0}};
        watch w = {.record = &r};
        snprintf(mesh, sizeof mesh, "%s", chosen_mesh(i));
        char *path = strdup(path_of(mesh, ".h5"));
        strata_model *model = open_model(mesh);
        w.path = path;
        train(model, &w);
        write_record(mesh, &r);
        run_close(model->ctx);
        free(path);
    }
}

static void assert_numbers_near(const double *a, const double *b, int count, double tolerance)
{
    for (int i = 0; i < count; i++)
        assert_all_near(a[i], b[i], tolerance * fabs(b[i]));
}

static void compare(const char *from, const char *to)
{
    record r, mine = {.losses = {0}};
    watch w = {.record = &mine, .step = SAVED};
    read_record(from, &r);
    strata_model *model = open_model(to);
    strata_checkpoint_load(model, path_of(from, ".h5"));
    assert_all_ok(model->ctx);
    run_values_read(model, &mine.saved);
    assert_all(memcmp(&mine.saved, &r.saved, sizeof r.saved) == 0);
    train(model, &w);
    double tolerance = strcmp(from, to) == 0 ? 0 : 1e-5;
    assert_numbers_near(mine.losses + SAVED, r.losses + SAVED, STEPS - SAVED, tolerance);
    assert_numbers_near(mine.means, r.means, EPOCHS, tolerance);
    run_close(model->ctx);
}

static void test_read(void **state)
{
    (void)state;
    char names[MOST_FILES][MOST_NAME], mesh[MOST_NAME];
    int count = read_list(names), pairs = 0;
    for (int i = 0; chosen_mesh(i); i++) {
        snprintf(mesh, sizeof mesh, "%s", chosen_mesh(i));
        for (int from = 0; from < count; from++, pairs++) {
            if (test_rank() == 0)
                print_message("from %s to %s\n", names[from], mesh);
            compare(names[from], mesh);
        }
    }
    assert_true(pairs > 0);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("Usage: pairs write|read FOLDER all|some\n", stderr);
        return EXIT_FAILURE;
    }
    bool writes = strcmp(argv[1], "write") == 0;
    folder = argv[2];
    all = strcmp(argv[3], "all") == 0;
    const struct CMUnitTest tests[] = {
        {.name = writes ? "write" : "read", .test_func = writes ? test_write : test_read}};
    return test_main(1, argv, tests, TEST_COUNT(tests));
}
