/* Every call to the system that a save or a load makes fails in turn, on each of two ranks. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <strata/context.h>

#include "base/memory.h"
#include "faults/faults.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "storage/checkpoint.h"

/* Rows that one rank alone writes in several pieces. */
enum { ROWS = 3, COLUMNS = 70001, LENGTH = 50 };

/* Where files go: all faults are for files of this directory, and for itself. */
static char directory[200], path[256];

static void set_path(const char *name)
{
    snprintf(directory, sizeof directory, "%s", test_path(""));
    snprintf(path, sizeof path, "%s", test_path(name));
}

/* --- what is saved: a matrix cut by columns, a vector in runs; all elements have one value --- */

typedef struct small {
    float *matrix, *vector;
    strata__shard shards[2];
    strata__entry entries[2];
    strata__contents contents;
} small;

static void small_make(strata_context *ctx, small *s, float value)
{
    strata__piece columns = strata__piece_of(COLUMNS, test_ranks(), test_rank());
    strata__piece run = strata__piece_of(LENGTH, test_ranks(), test_rank());
    s->matrix = strata__alloc(ctx, ROWS * COLUMNS * sizeof(float));
    s->vector = strata__alloc(ctx, LENGTH * sizeof(float));
    assert_all_ok(ctx);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        s->matrix[i] = value;
    for (int i = 0; i < LENGTH; i++)
        s->vector[i] = value;
    s->shards[0] = (strata__shard){.writes = true,
                                   .first = {0, columns.first},
                                   .count = {ROWS, columns.count},
                                   .data = s->matrix};
    s->shards[1] = (strata__shard){.flat = true,
                                   .writes = true,
                                   .first = {run.first},
                                   .count = {run.count},
                                   .data = s->vector};
    s->entries[0] = (strata__entry){"weights/matrix", STRATA_FLOAT32, STRATA_SHAPE(ROWS, COLUMNS),
                                    &s->shards[0], 1};
    s->entries[1] =
        (strata__entry){"weights/vector", STRATA_FLOAT32, STRATA_SHAPE(LENGTH), &s->shards[1], 1};
    s->contents = (strata__contents){s->entries, 2, "{}", 0};
}

static void small_free(strata_context *ctx, small *s)
{
    strata__free(ctx, s->matrix);
    strata__free(ctx, s->vector);
}

static bool small_is(const small *s, float value)
{
    bool good = true;
    int64_t elements = s->shards[0].count[0] * s->shards[0].count[1];
    for (int64_t i = 0; i < elements; i++)
        good &= s->matrix[i] == value;
    for (int64_t i = 0; i < s->shards[1].count[0]; i++)
        good &= s->vector[i] == value;
    return good;
}

/* --- a save or load that meets a fault --- */

/* With the plan on one rank from the beginning to the end. Collective. */
static strata_status save(strata_context *ctx, const small *s, const fault_plan *plan, int rank,
                          bool *hit)
{
    if (plan && test_rank() == rank)
        fault_set(plan);
    strata_status status = strata__checkpoint_save(ctx, path, &s->contents);
    *hit = plan && fault_count() >= plan->at;
    fault_set(NULL);
    return status;
}

static strata_status load(strata_context *ctx, small *s, const fault_plan *plan, int rank,
                          bool *hit)
{
    strata__checkpoint *checkpoint;
    if (plan && test_rank() == rank)
        fault_set(plan);
    strata_status status = strata__checkpoint_open(ctx, path, &checkpoint);
    if (status == STRATA_OK)
        status = strata__checkpoint_read(ctx, checkpoint, s->entries, 2);
    strata__checkpoint_close(ctx, checkpoint);
    *hit = plan && fault_count() >= plan->at;
    fault_set(NULL);
    return status;
}

static bool any(strata_context *ctx, bool here)
{
    int32_t some = here;
    strata__max(ctx, STRATA__WORLD, &some, 1, STRATA_INT32);
    return some;
}

static int count_files(void)
{
    DIR *stream = opendir(directory);
    int files = 0;
    for (const struct dirent *entry; (entry = readdir(stream));)
        files += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return files;
}

/* Every rank says the same. */
static void check_message(strata_context *ctx)
{
    char message[STRATA__MESSAGE_SIZE];
    memcpy(message, ctx->message, sizeof message);
    strata__broadcast(ctx, STRATA__WORLD, 0, message, sizeof message);
    assert_all(strcmp(message, ctx->message) == 0);
    assert_all(ctx->status == STRATA_OK || *message);
}

/* The file holds this value, and nothing else is there. */
static void check_file(strata_context *ctx, float value)
{
    small s;
    bool hit;
    strata_error_clear(ctx);
    assert_all_int_equal(count_files(), 1);
    small_make(ctx, &s, -1);
    load(ctx, &s, NULL, 0, &hit);
    assert_all_ok(ctx);
    assert_all(small_is(&s, value));
    small_free(ctx, &s);
}

/*
 * Saves with the fault at the first, second, … call, until there is none left: after a success the
 * file holds the new value, after a failure the old one. Returns the number of calls.
 */
static long sweep_saves(fault_plan plan, int rank, strata_status expected, bool may_succeed)
{
    strata_context *ctx = test_context(NULL);
    small values[2];
    int now = 0; /* which of them is in the file */
    bool hit;
    set_path("a.h5");
    for (int i = 0; i < 2; i++)
        small_make(ctx, &values[i], (float)(i + 1));
    save(ctx, &values[0], NULL, 0, &hit);
    assert_all_ok(ctx);
    if (!*plan.path)
        snprintf(plan.path, sizeof plan.path, "%s", directory);
    for (plan.at = 1;; plan.at++) {
        strata__memory_trim(ctx);
        strata_status status = save(ctx, &values[!now], &plan, rank, &hit);
        assert_all(status == STRATA_OK || status == expected);
        assert_all(ctx->status == status);
        check_message(ctx);
        hit = any(ctx, hit);
        assert_all(may_succeed || !hit || status != STRATA_OK);
        now = status == STRATA_OK ? !now : now;
        check_file(ctx, (float)(now + 1));
        if (!hit)
            break;
    }
    small_free(ctx, &values[0]);
    small_free(ctx, &values[1]);
    return plan.at - 1;
}

static void sweep_both_ranks(fault_plan plan, strata_status expected, bool may_succeed)
{
    long calls = sweep_saves(plan, 0, expected, may_succeed);
    assert_true(calls > 0);
    if (test_ranks() > 1)
        sweep_saves(plan, test_ranks() - 1, expected, may_succeed);
}

static void test_saves_when_files_cannot_be_opened(void **state)
{
    (void)state; /* one of them opens the directory to sync it, which is only warned about */
    sweep_both_ranks((fault_plan){.call = FAULT_OPEN, .error = EMFILE}, STRATA_IO, true);
}

static void test_saves_on_a_full_disk(void **state)
{
    (void)state;
    sweep_both_ranks((fault_plan){.call = FAULT_WRITE, .error = ENOSPC}, STRATA_IO, false);
    sweep_saves((fault_plan){.call = FAULT_RESERVE, .error = ENOSPC}, 0, STRATA_IO, false);
}

static void test_saves_on_a_failing_disk(void **state)
{
    (void)state;
    sweep_both_ranks((fault_plan){.call = FAULT_WRITE, .error = EIO}, STRATA_IO, false);
    sweep_both_ranks((fault_plan){.call = FAULT_WRITE, .error = EIO, .lasting = true}, STRATA_IO,
                     false);
    sweep_both_ranks((fault_plan){.call = FAULT_READ, .error = EIO}, STRATA_IO, false);
    sweep_both_ranks((fault_plan){.call = FAULT_SYNC, .error = EIO, .path = ".part"}, STRATA_IO,
                     false);
}

static void test_saves_with_short_writes_and_reads(void **state)
{
    (void)state;
    sweep_both_ranks((fault_plan){.call = FAULT_WRITE, .way = FAULT_SHORT}, STRATA_OK, true);
    sweep_both_ranks((fault_plan){.call = FAULT_READ, .way = FAULT_SHORT}, STRATA_OK, true);
}

static void test_saves_with_interrupted_calls(void **state)
{
    (void)state;
    sweep_both_ranks((fault_plan){.call = FAULT_WRITE, .error = EINTR}, STRATA_OK, true);
    sweep_both_ranks((fault_plan){.call = FAULT_READ, .error = EINTR}, STRATA_OK, true);
    sweep_saves((fault_plan){.call = FAULT_RESERVE, .error = EINTR}, 0, STRATA_OK, true);
}

/* The disk says that all is well: only reading back can tell. Zeros that were lost are there. */
static void test_saves_with_lost_writes(void **state)
{
    (void)state;
    sweep_both_ranks((fault_plan){.call = FAULT_WRITE, .way = FAULT_LOSE}, STRATA_IO, true);
}

static void test_saves_that_cannot_be_put_in_place(void **state)
{
    (void)state;
    sweep_saves((fault_plan){.call = FAULT_RENAME, .error = EACCES}, 0, STRATA_IO, false);
    sweep_both_ranks((fault_plan){.call = FAULT_CLOSE, .error = EIO}, STRATA_IO, true);
    sweep_saves((fault_plan){.call = FAULT_SYNC, .error = EIO}, 0, STRATA_IO, true);
}

static void test_saves_without_memory(void **state)
{
    (void)state;
    sweep_both_ranks((fault_plan){.call = FAULT_MEMORY}, STRATA_NO_MEMORY, true);
    sweep_both_ranks((fault_plan){.call = FAULT_MEMORY, .lasting = true}, STRATA_NO_MEMORY, true);
}

/* --- the other driver --- */

/* On more ranks ROMIO may wait for ever after an error, which the time limit ends: sweep.sh. */
static void test_saves_by_mpi_io(void **state)
{
    (void)state;
    setenv("STRATA_CHECKPOINT_DRIVER", "mpiio", 1);
    sweep_saves((fault_plan){.call = FAULT_WRITE, .way = FAULT_SHORT}, 0, STRATA_IO, true);
    sweep_saves((fault_plan){.call = FAULT_WRITE, .way = FAULT_LOSE}, 0, STRATA_IO, true);
    if (test_ranks() == 1)
        sweep_saves((fault_plan){.call = FAULT_WRITE, .error = EIO}, 0, STRATA_IO, true);
    setenv("STRATA_CHECKPOINT_DRIVER", "pwrite", 1);
}

/* --- loading --- */

/* Loads with the fault at the first, second, … call, until there is none left. */
static void sweep_loads(fault_plan plan, int rank, strata_status expected)
{
    strata_context *ctx = test_context(NULL);
    small s;
    bool hit;
    set_path("b.h5");
    small_make(ctx, &s, 1);
    save(ctx, &s, NULL, 0, &hit);
    assert_all_ok(ctx);
    snprintf(plan.path, sizeof plan.path, "%s", directory);
    for (plan.at = 1;; plan.at++) {
        strata__memory_trim(ctx);
        memset(s.matrix, 0, ROWS * COLUMNS * sizeof(float));
        strata_status status = load(ctx, &s, &plan, rank, &hit);
        assert_all(status == expected || (status == STRATA_OK && small_is(&s, 1)));
        check_message(ctx);
        strata_error_clear(ctx);
        if (!any(ctx, hit))
            break;
    }
    assert_true(plan.at > 1 || rank > 0);
    small_free(ctx, &s);
}

static void test_loads_that_meet_faults(void **state)
{
    (void)state;
    for (int rank = 0; rank<test_ranks(); rank += test_ranks()> 1 ? test_ranks() - 1 : 1) {
        sweep_loads((fault_plan){.call = FAULT_OPEN, .error = ENOENT}, rank, STRATA_NO_INPUT);
        sweep_loads((fault_plan){.call = FAULT_READ, .error = EIO}, rank, STRATA_IO);
        sweep_loads((fault_plan){.call = FAULT_READ, .way = FAULT_SHORT}, rank, STRATA_OK);
        sweep_loads((fault_plan){.call = FAULT_MEMORY}, rank, STRATA_NO_MEMORY);
        sweep_loads((fault_plan){.call = FAULT_MEMORY, .lasting = true}, rank, STRATA_NO_MEMORY);
    }
}

/* --- killed --- */

/* A process that is killed at a call; whether it was. */
static bool save_and_be_killed(strata_context *ctx, const small *s, const fault_plan *plan)
{
    int how;
    bool hit;
    pid_t child = fork();
    if (child == 0) {
        save(ctx, s, plan, 0, &hit);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFSIGNALED(how);
}

static void remove_all_but(const char *name)
{
    DIR *stream = opendir(directory);
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (strcmp(entry->d_name, name) != 0)
            unlinkat(dirfd(stream), entry->d_name, 0);
    }
    closedir(stream);
}

static void sweep_kills(fault_call call)
{
    strata_context *ctx = test_context(NULL);
    small old, new, found;
    bool hit;
    set_path("c.h5");
    small_make(ctx, &old, 1);
    small_make(ctx, &new, 2);
    small_make(ctx, &found, 0);
    fault_plan plan = {.call = call, .way = FAULT_KILL, .at = 1};
    snprintf(plan.path, sizeof plan.path, "%s", directory);
    for (bool killed = true; killed; plan.at++) {
        save(ctx, &old, NULL, 0, &hit);
        killed = save_and_be_killed(ctx, &new, &plan);
        load(ctx, &found, NULL, 0, &hit);
        assert_all_ok(ctx);
        assert_true(small_is(&found, 2) || (killed && small_is(&found, 1)));
        remove_all_but("c.h5");
    }
    assert_true(plan.at > 2);
    small_free(ctx, &old);
    small_free(ctx, &new);
    small_free(ctx, &found);
}

/* Of one rank, which is a process of its own; tests/faults/sweep.sh kills one of several. */
static void test_a_save_killed_at_any_call(void **state)
{
    (void)state;
    if (test_ranks() > 1)
        skip();
    for (fault_call call = FAULT_OPEN; call < FAULT_MEMORY; call++)
        sweep_kills(call);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saves_when_files_cannot_be_opened),
        cmocka_unit_test(test_saves_on_a_full_disk),
        cmocka_unit_test(test_saves_on_a_failing_disk),
        cmocka_unit_test(test_saves_with_short_writes_and_reads),
        cmocka_unit_test(test_saves_with_interrupted_calls),
        cmocka_unit_test(test_saves_with_lost_writes),
        cmocka_unit_test(test_saves_that_cannot_be_put_in_place),
        cmocka_unit_test(test_saves_without_memory),
        cmocka_unit_test(test_saves_by_mpi_io),
        cmocka_unit_test(test_loads_that_meet_faults),
        cmocka_unit_test(test_a_save_killed_at_any_call),
    };
    setenv("STRATA_CHECKPOINT_DRIVER", "pwrite", 1);
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
