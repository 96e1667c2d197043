/* Tests of the profile: its tables, its trace, and who is said to be late. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/profile.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/clocks.h"
#include "mesh/collect.h"
#include "networks.h"
#include "training/profile_parts.h"

/* --- runs whose standard output goes to a file --- */

static int redirect(const char *path)
{
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDOUT_FILENO);
    close(file);
    return kept;
}

static void restore(int kept)
{
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
}

static strata_context *open_profiled(const char *mesh, const char *profile)
{
    strata_context *ctx =
        strata_init(MPI_COMM_WORLD, (strata_options){.mesh = mesh, .profile = profile});
    assert_all_ok(ctx);
    return ctx;
}

/* What rank 0 prints while the network is trained for 6 steps; "" on other ranks. */
static const char *printed(strata_context *ctx, const network *network, strata_callback *callback)
{
    char path[512];
    strata_dataset *data;
    strata_model *model = network->make(ctx, &data);
    snprintf(path, sizeof path, "%s", test_path("printed.txt"));
    int kept = redirect(ctx->rank == 0 ? path : "/dev/null");
    strata_fit(model, data, .batch_size = 4, .epochs = 2, .verbose = "0", .validation_data = data,
               .callbacks = {callback});
    restore(kept);
    return ctx->rank == 0 ? run_text(path) : "";
}

static bool has(const char *text, const char *words)
{
    return test_rank() != 0 || strstr(text, words) != NULL;
}

/* --- tables --- */

static void check_tables(strata_context *ctx, const char *text)
{
    static const char *const words[] = {"Profile of \"image_net\" on data=",
                                        ": 6 steps in ",
                                        "\nlayer ",
                                        " forward ",
                                        " backward ",
                                        " update ",
                                        " validation ",
                                        "\nconv2d ",
                                        "\nbatch_normalization ",
                                        "\nconv2d_1 ",
                                        "\nre_lu ",
                                        "\ndropout ",
                                        "\nout ",
                                        "\n(no layer) ",
                                        "\nall "};
    for (size_t i = 0; i < TEST_COUNT(words); i++)
        assert_all(has(text, words[i]));
    if (ctx->mesh->size > 1) {
        assert_all(has(text, "\ncollective "));
        assert_all(has(text, "\nmax on all ranks "));
        assert_all(has(text, "\ngradients on "));
        assert_all(has(text, "\nWaiting for those who came last took "));
    }
    if (ctx->mesh->rows > 1)
        assert_all(has(text, "\npieces of a product on rows "));
}

static void test_a_fit_ends_with_tables(void **state)
{
    (void)state;
    for (int index = 0; test_mesh(index); index++) {
        strata_context *ctx = open_profiled(test_mesh(index), "1");
        check_tables(ctx, printed(ctx, &networks[2], NULL));
        assert_all_ok(ctx);
        run_close(ctx);
    }
}

/* Nobody is told of what is announced. */
static void look_for_observer(strata_callback *self, strata_model *model, int64_t batch)
{
    (void)batch;
    *(bool *)self->state = strata_model_context(model)->activity.observe != NULL;
}

static void test_without_the_option_nothing_is_observed(void **state)
{
    (void)state;
    static const char *const profiles[] = {NULL, "0", "1"};
    for (size_t i = 0; i < TEST_COUNT(profiles); i++) {
        bool observed = false;
        strata_context *ctx = open_profiled(NULL, profiles[i]);
        strata_callback look = {.state = &observed, .train_batch_begin = look_for_observer};
        const char *text = printed(ctx, &networks[0], &look);
        assert_all_int_equal(observed, i == 2);
        assert_all(ctx->activity.observe == NULL);
        assert_all(i == 2 ? has(text, "Profile of") : !*text);
        run_close(ctx);
    }
}

static void test_settings_of_the_environment_and_the_command_line(void **state)
{
    (void)state;
    setenv("STRATA_PROFILE", "1", 1);
    setenv("STRATA_PLAN", "1", 1);
    strata_context *ctx = run_open(NULL);
    unsetenv("STRATA_PROFILE");
    unsetenv("STRATA_PLAN");
    const char *text = printed(ctx, &networks[0], NULL);
    assert_all(has(text, "Plan of \"dense_net\""));
    assert_all(has(text, "Profile of \"dense_net\""));
    run_close(ctx);
    char *words[] = {"program", "--plan", "--profile=a.json", "kept", "--profile", NULL};
    char **argv = words;
    int argc = 5;
    strata_options options = strata_options_from(&argc, &argv);
    assert_true(options.plan);
    assert_string_equal(options.profile, "1");
    assert_int_equal(argc, 2);
    assert_string_equal(argv[1], "kept");
}

/* --- the trace --- */

static json_t *trace_of(const char *path)
{
    json_error_t error;
    json_t *trace = test_rank() == 0 ? json_load_file(path, 0, &error) : NULL;
    assert_all(trace || test_rank() != 0);
    return trace;
}

typedef struct times {
    double begin, end;
} times;

static int by_begin(const void *a, const void *b)
{
    const times *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end < y->end) - (x->end > y->end);
}

/* Of a rank: spans lie within each other or apart, but for the rounding of nanoseconds. */
static bool spans_nest(times *spans, int count)
{
    static double ends[4 * STRATA__FRAMES];
    int depth = 0;
    qsort(spans, (size_t)count, sizeof *spans, by_begin);
    for (int i = 0; i < count; i++) {
        while (depth > 0 && ends[depth - 1] <= spans[i].begin + 0.0025)
            depth--;
        if (depth > 0 && spans[i].end > ends[depth - 1] + 0.0025)
            return false;
        ends[depth++] = spans[i].end;
    }
    return true;
}

static bool is_span(const json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "ph"));
    return kind && strcmp(kind, "X") == 0;
}

/* Spans of a rank of that category and name. */
static int count_spans(const json_t *trace, int rank, const char *category, const char *name)
{
    size_t i;
    json_t *event;
    int count = 0;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, event)
    {
        count += is_span(event) && json_integer_value(json_object_get(event, "pid")) == rank &&
                 strcmp(json_string_value(json_object_get(event, "cat")), category) == 0 &&
                 strcmp(json_string_value(json_object_get(event, "name")), name) == 0;
    }
    return count;
}

static bool rank_is_sound(const json_t *trace, int rank)
{
    static times spans[STRATA__SPANS];
    size_t i;
    json_t *event;
    int count = 0;
    bool sound = true;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, event)
    {
        if (!is_span(event) || json_integer_value(json_object_get(event, "pid")) != rank)
            continue;
        double begin = json_number_value(json_object_get(event, "ts"));
        double length = json_number_value(json_object_get(event, "dur"));
        sound &= length >= 0 && count < STRATA__SPANS;
        if (count < STRATA__SPANS)
            spans[count++] = (times){begin, begin + length};
    }
    return sound && spans_nest(spans, count);
}

/* 6 steps, and 2 validations of 3 steps each. */
static bool has_all_spans(const json_t *trace, int rank)
{
    return count_spans(trace, rank, "phase", "backward") == 6 &&
           count_spans(trace, rank, "phase", "validation") == 2 &&
           count_spans(trace, rank, "phase", "forward") == 12 &&
           count_spans(trace, rank, "layer", "hidden") >= 12 &&
           (test_ranks() == 1 || count_spans(trace, rank, "collective", "max on all ranks") >= 6);
}

static bool is_of_model(const json_t *trace, const char *name)
{
    const json_t *model = json_object_get(json_object_get(trace, "otherData"), "model");
    return json_is_string(model) && strcmp(json_string_value(model), name) == 0;
}

static void test_the_trace_has_the_spans_of_all_ranks(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("trace.json"));
    for (int index = 0; test_mesh(index); index++) {
        strata_context *ctx = open_profiled(test_mesh(index), path);
        printed(ctx, &networks[0], NULL);
        assert_all_ok(ctx);
        json_t *trace = trace_of(path);
        for (int rank = 0; rank < test_ranks(); rank++)
            assert_all(!trace || (has_all_spans(trace, rank) && rank_is_sound(trace, rank)));
        assert_all(!trace || is_of_model(trace, "dense_net"));
        json_decref(trace);
        run_close(ctx);
    }
}

/* Names that JSON must escape, and far more spans than are kept. */
static void announce(strata_callback *self, strata_model *model, int epoch)
{
    (void)self;
    (void)epoch;
    strata__activity *activity = &strata_model_context(model)->activity;
    for (int i = 0; i < STRATA__SPANS; i++) {
        const char *outer = strata__begin(activity, STRATA__LAYER, "\"quoted\\\"\n\x01 ×\xff");
        strata__end(activity, STRATA__LAYER, outer);
    }
}

/* As many spans as are kept, and each rank's name. */
static bool is_cut(const json_t *trace)
{
    const char *note =
        json_string_value(json_object_get(json_object_get(trace, "otherData"), "note"));
    size_t events = json_array_size(json_object_get(trace, "traceEvents"));
    return events == (size_t)test_ranks() * (STRATA__SPANS + 1) && note &&
           strstr(note, "earlier ones were dropped") && !strstr(note, "; 0 earlier");
}

static void test_a_trace_is_bounded(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("trace.json"));
    strata_context *ctx = open_profiled(NULL, path);
    strata_callback announces = {.epoch_begin = announce};
    printed(ctx, &networks[0], &announces);
    assert_all_ok(ctx);
    json_t *trace = trace_of(path);
    assert_all(!trace || is_cut(trace));
    json_decref(trace);
    run_close(ctx);
}

static void test_a_file_that_cannot_be_written(void **state)
{
    (void)state;
    strata_context *ctx = open_profiled(NULL, "/nowhere/trace.json");
    printed(ctx, &networks[0], NULL);
    assert_all_error(ctx, STRATA_IO, "profile '/nowhere/trace.json' cannot be written");
    run_close(ctx);
}

/* --- who was late: on a made-up day --- */

enum { TIMES = 5 };

/* At the i-th meeting of ranks, rank (i mod ranks) comes at i + 0.5, the others at i; all leave at
 * i
 * + 0.75. */
static double arrival(int i, int rank, int ranks)
{
    return i + (i % ranks == rank ? 0.5 : 0);
}

static void test_who_came_last_made_the_others_wait(void **state)
{
    (void)state;
    static double begins[TIMES], lengths[TIMES];
    int ranks = test_ranks(), rank = test_rank();
    strata_context *ctx = test_context(NULL);
    strata__profile *p = strata__calloc(ctx, 1, sizeof *p);
    double *caused = strata__calloc(ctx, (size_t)ranks, sizeof *caused);
    strata__waits(*waits)[STRATA__AXES] = strata__calloc(ctx, STRATA__COLLECTIVES, sizeof *waits);
    /* Every clock but rank 0's is wrong, more so at the end. */
    *p = (strata__profile){.ctx = ctx, .begun = 100.0 * rank, .ended = 100.0 * rank + 10};
    p->offset[0] = -100.0 * rank;
    p->offset[1] = -100.0 * rank;
    for (int i = 0; i < TIMES; i++) {
        begins[i] = arrival(i, rank, ranks) + 100.0 * rank;
        lengths[i] = i + 0.75 - arrival(i, rank, ranks);
    }
    p->meetings[STRATA__SUM][STRATA__WORLD] =
        (strata__meeting){.count = TIMES, .begins = begins, .lengths = lengths, .seconds = 1};
    /* Not as often on all ranks: not compared. */
    p->meetings[STRATA__MAX][STRATA__WORLD] = (strata__meeting){
        .count = rank == 0 ? TIMES - 1 : TIMES, .begins = begins, .lengths = lengths};
    strata__profile_waits(p, waits, caused);
    const strata__waits *sum = &waits[STRATA__SUM][STRATA__WORLD];
    assert_all_near(sum->count, TIMES * ranks, 0);
    assert_all_near(sum->seconds, ranks, 1e-9);
    assert_all_near(sum->waited, ranks > 1 ? TIMES * 0.5 * (ranks - 1) : 0, 1e-9);
    for (int r = 0; r < ranks; r++) {
        int late = 0;
        for (int i = 0; i < TIMES; i++)
            late += i % ranks == r;
        assert_all_near(caused[r], ranks > 1 ? late * 0.5 * (ranks - 1) : 0, 1e-9);
    }
    assert_all_int_equal(sum->latest, 0);
    assert_all_near(waits[STRATA__MAX][STRATA__WORLD].waited, 0, 0);
    strata__free(ctx, waits);
    strata__free(ctx, caused);
    strata__free(ctx, p);
}

/* An answer lies between question and arrival, on whatever clock. */
static void test_clocks(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    double uncertainty, offset = strata__clock_offset(ctx, false, &uncertainty);
    assert_all(offset == 0 && uncertainty == 0);
    offset = strata__clock_offset(ctx, true, &uncertainty);
    assert_all(fabs(offset) <= uncertainty / 2 + 1e-9);
    assert_all(isfinite(uncertainty) && (uncertainty > 0 || test_rank() == 0));
}

static void take(void *user, int rank, const void *block, int64_t bytes)
{
    const char *text = block;
    int *taken = user;
    bool right = bytes == 1000 * rank && *taken == rank;
    for (int64_t i = 0; i < bytes; i++)
        right &= text[i] == (char)('a' + rank);
    *taken += right;
}

static void test_blocks_come_to_rank_0(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    int rank = test_rank(), taken = 0;
    char *block = strata__alloc(ctx, 1000 * (size_t)rank);
    memset(block, 'a' + rank, 1000 * (size_t)rank);
    strata__collect(ctx, block, 1000 * rank, take, &taken);
    assert_all_int_equal(taken, rank == 0 ? test_ranks() : 0);
    strata__free(ctx, block);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fit_ends_with_tables),
        cmocka_unit_test(test_without_the_option_nothing_is_observed),
        cmocka_unit_test(test_settings_of_the_environment_and_the_command_line),
        cmocka_unit_test(test_the_trace_has_the_spans_of_all_ranks),
        cmocka_unit_test(test_a_trace_is_bounded),
        cmocka_unit_test(test_a_file_that_cannot_be_written),
        cmocka_unit_test(test_who_came_last_made_the_others_wait),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_blocks_come_to_rank_0),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
