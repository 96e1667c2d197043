/* Runs cmocka tests on all ranks in step: start and end of a test, its outcome, its contexts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "assertions.h"

#define MOST_CONTEXTS 16 /* 8 ranks can be laid out in 10 ways */

static struct {
    MPI_Comm comm;
    int rank, ranks;
    bool failed;     /* the running test has not come to its end on this rank */
    FILE *heard;     /* stderr of the process */
    char *whispered; /* what a rank other than 0 has printed in this test */
    size_t whispered_size;
    strata_context *contexts[MOST_CONTEXTS];
    void (*mesh_frees[MOST_CONTEXTS])(strata_context *);
    int context_count;
} run;

int test_rank(void)
{
    return run.rank;
}

int test_ranks(void)
{
    return run.ranks;
}

MPI_Comm test_comm(void)
{
    return run.comm;
}

void test_adopt(strata_context *ctx, void (*mesh_free)(strata_context *))
{
    assert_true(run.context_count < MOST_CONTEXTS);
    run.contexts[run.context_count] = ctx;
    run.mesh_frees[run.context_count++] = mesh_free;
}

strata_context *test_context_without_mesh(void)
{
    strata_context *ctx = strata__context_new();
    assert_all(ctx != NULL);
    test_adopt(ctx, NULL);
    return ctx;
}

static int64_t take_down_contexts(void)
{
    int64_t blocks_left = 0;
    while (run.context_count > 0) {
        int last = --run.context_count;
        if (run.mesh_frees[last])
            run.mesh_frees[last](run.contexts[last]);
        blocks_left += strata__context_free(run.contexts[last]);
    }
    return blocks_left;
}

/* What a rank other than 0 has to say about a test that failed there. */
static void speak_up(void)
{
    if (run.rank == 0)
        return;
    fflush(stdout);
    const char *end = run.whispered + run.whispered_size;
    for (const char *line = run.whispered; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;
        fprintf(run.heard, "rank %d: %.*s%s", run.rank, (int)(next - line), line,
                newline ? "" : "\n");
        line = next;
    }
}

/* A rank failed alone: the others stand in some collective of the test and will not come. */
static void give_up(void)
{
    speak_up();
    fprintf(run.heard, "rank %d failed alone; what ranks may see differently is for assert_all\n",
            run.rank);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Seconds that a failed rank waits for the others. */
static double patience(void)
{
    const char *text = getenv("STRATA_TEST_PATIENCE");
    return text ? atof(text) : 20;
}

static void wait_for_outcome(MPI_Request *request, bool passed)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    double deadline = MPI_Wtime() + patience();
    int done = 0;
    while (MPI_Test(request, &done, MPI_STATUS_IGNORE), !done) {
        if (!passed && MPI_Wtime() > deadline)
            give_up();
        if (!passed)
            nanosleep(&pause, NULL);
    }
}

/* Lowest rank on which the test failed, or the number of ranks. */
static int agree_on_outcome(bool passed)
{
    int mine = passed ? run.ranks : run.rank;
    int first;
    MPI_Request request;
    MPI_Iallreduce(&mine, &first, 1, MPI_INT, MPI_MIN, run.comm, &request);
    wait_for_outcome(&request, passed);
    return first;
}

/* Before the next test, or at the end: by then cmocka has written down why the last one failed. */
static void settle_failure(void)
{
    if (!run.failed)
        return;
    run.failed = false;
    if (agree_on_outcome(false) == run.rank)
        speak_up();
}

static int set_up(void **state)
{
    const struct CMUnitTest *test = *state;
    settle_failure();
    run.failed = true;
    if (run.rank != 0)
        fseek(stdout, 0, SEEK_SET);
    void *inner = test->initial_state;
    return test->setup_func ? test->setup_func(&inner) : 0;
}

static void run_body(void **state)
{
    const struct CMUnitTest *test = *state;
    void *inner = test->initial_state;
    test->test_func(&inner);
    run.failed = false;
    int first = agree_on_outcome(true);
    if (first < run.ranks)
        fail_msg("rank %d failed", first);
    test_all_int_equal(take_down_contexts(), 0, "blocks of memory left", __FILE__, __LINE__);
}

/* Contexts of a failed test are left alone: their end is collective, and the ranks may be anywhere.
 */
static int tear_down(void **state)
{
    const struct CMUnitTest *test = *state;
    run.context_count = 0;
    void *inner = test->initial_state;
    return test->teardown_func ? test->teardown_func(&inner) : 0;
}

/*
 * Results go to the process's stdout in order, on rank 0; other ranks keep theirs. Only the C
 * streams are moved: what a sanitizer writes to file descriptor 2 is always heard.
 */
static void choose_voice(void)
{
    run.heard = stderr;
    if (run.rank == 0) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        stderr = stdout;
        return;
    }
    stdout = stderr = open_memstream(&run.whispered, &run.whispered_size);
}

static void drop_voice(void)
{
    if (run.rank != 0)
        fclose(stdout);
    free(run.whispered);
    stderr = run.heard;
}

static struct CMUnitTest *wrap(const struct CMUnitTest *tests, size_t count, const char *words,
                               size_t *chosen)
{
    struct CMUnitTest *wrapped = calloc(count, sizeof *wrapped);
    *chosen = 0;
    for (size_t i = 0; i < count; i++) {
        if (!words || strstr(tests[i].name, words))
            wrapped[(*chosen)++] = (struct CMUnitTest){.name = tests[i].name,
                                                       .test_func = run_body,
                                                       .setup_func = set_up,
                                                       .teardown_func = tear_down,
                                                       .initial_state = (void *)&tests[i]};
    }
    return wrapped;
}

int test_main(int argc, char **argv, const struct CMUnitTest *tests, size_t count)
{
    int provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_dup(MPI_COMM_WORLD, &run.comm);
    MPI_Comm_rank(run.comm, &run.rank);
    MPI_Comm_size(run.comm, &run.ranks);
    choose_voice();
    size_t chosen;
    struct CMUnitTest *wrapped = wrap(tests, count, argc > 1 ? argv[1] : NULL, &chosen);
    int failed = _cmocka_run_group_tests("tests", wrapped, chosen, NULL, NULL);
    settle_failure();
    free(wrapped);
    test_remove_directory();
    drop_voice();
    MPI_Comm_free(&run.comm);
    MPI_Finalize();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
