/* Series of checkpoints: names, the last ones kept, damaged ones passed over, leftovers removed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "storage/leftovers.h"
#include "storage/rotation.h"
#include "storage/series.h"

enum { ELEMENTS = 40 };

/* --- what is saved: one array with one value, cut over the ranks --- */

typedef struct tiny {
    float values[ELEMENTS];
    strata__shard shard;
    strata__entry entry;
    strata__contents contents;
} tiny;

static void tiny_make(tiny *t, float value)
{
    strata__piece piece = strata__piece_of(ELEMENTS, test_ranks(), test_rank());
    for (int i = 0; i < ELEMENTS; i++)
        t->values[i] = value;
    t->shard = (strata__shard){
        .writes = true, .first = {piece.first}, .count = {piece.count}, .data = t->values};
    t->entry = (strata__entry){"weights/x", STRATA_FLOAT32, STRATA_SHAPE(ELEMENTS), &t->shard, 1};
    t->contents = (strata__contents){.entries = &t->entry, .count = 1, .document = "{}"};
}

static void save(strata__rotation *rotation, int64_t step)
{
    tiny t;
    tiny_make(&t, (float)step);
    strata__rotation_save(rotation, step, &t.contents);
}

static strata__rotation *rotate(strata_context *ctx, const char *base, strata__origin origin)
{
    strata__rotation *rotation;
    strata__rotation_new(ctx, base, 2, &origin, &rotation);
    assert_all_ok(ctx);
    return rotation;
}

/* Saves these steps, up to a 0, as one process does. */
static void save_steps(strata_context *ctx, const char *base, strata__origin origin,
                       const int64_t *steps)
{
    strata__rotation *rotation = rotate(ctx, base, origin);
    for (; *steps; steps++)
        save(rotation, *steps);
    assert_all_ok(ctx);
    strata__rotation_free(ctx, rotation);
}

/* The step of what is found, or -1. */
static int64_t load(strata_context *ctx, const char *base, strata__origin *origin)
{
    strata__checkpoint *checkpoint;
    tiny t;
    tiny_make(&t, -1);
    *origin = (strata__origin){0};
    if (strata__rotation_load(ctx, base, &checkpoint, origin) == STRATA_OK) {
        t.shard = (strata__shard){.count = {ELEMENTS}, .data = t.values};
        strata__checkpoint_read(ctx, checkpoint, &t.entry, 1);
        strata__checkpoint_close(ctx, checkpoint);
    }
    return (int64_t)t.values[ELEMENTS - 1];
}

static bool there(const char *name)
{
    strata_context *ctx = test_context(NULL);
    strata__barrier(ctx, STRATA__WORLD);
    bool is = access(test_path(name), F_OK) == 0;
    strata__barrier(ctx, STRATA__WORLD);
    return is;
}

/* On rank 0, before any other goes on. */
static void change_byte(strata_context *ctx, const char *path, int64_t at)
{
    if (test_rank() == 0) {
        int fd = open(path, O_RDWR);
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    strata__barrier(ctx, STRATA__WORLD);
}

static void write_file(strata_context *ctx, const char *path, const char *text)
{
    if (test_rank() == 0) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(text, file);
        assert_int_equal(fclose(file), 0);
    }
    strata__barrier(ctx, STRATA__WORLD);
}

/* --- names --- */

static void check_path(const char *base, const char *expected)
{
    strata_context *ctx = test_context_without_mesh();
    strata__series series;
    int64_t number, step;
    strata__series_of(ctx, base, &series);
    char *path = strata__series_path(ctx, &series, 12, 3000);
    assert_string_equal(path, expected);
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    assert_true(strata__series_parse(&series, name, strlen(name), &number, &step));
    assert_int_equal(number, 12);
    assert_int_equal(step, 3000);
    assert_false(strata__series_parse(&series, name, strlen(name) - 1, &number, &step));
    strata__free(ctx, path);
    strata__series_free(ctx, &series);
}

static void test_names_of_a_series(void **state)
{
    (void)state;
    check_path("runs/mnist.h5", "runs/mnist-000012-0000003000.h5");
    check_path("mnist", "mnist-000012-0000003000");
    check_path(".hidden", ".hidden-000012-0000003000");
    check_path("a.b/c", "a.b/c-000012-0000003000");
    check_path("runs/", "runs/checkpoint-000012-0000003000.h5");
    check_path("/", "/checkpoint-000012-0000003000.h5");
}

static void test_names_that_are_not_of_the_series(void **state)
{
    (void)state;
    static const char *const others[] = {
        "a.h5",
        "a-1-0000000001.h5",
        "a-000001-000000001.h5",
        "a-000001-0000000001.h5.bak",
        "b-000001-0000000001.h5",
        "a-00000x-0000000001.h5",
        "a-000001-0000000001",
        "a--000001-0000000001.h5",
        "a-0000000000000000001-0000000001.h5",
        ".a-000001-0000000001.h5",
        "",
    };
    strata_context *ctx = test_context_without_mesh();
    strata__series series;
    int64_t number, step;
    strata__series_of(ctx, "a.h5", &series);
    for (size_t i = 0; i < TEST_COUNT(others); i++)
        assert_false(strata__series_parse(&series, others[i], strlen(others[i]), &number, &step));
    strata__series_free(ctx, &series);
}

/* --- keeping --- */

static void test_the_last_two_are_kept(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("a.h5"), (strata__origin){0}, (int64_t[]){10, 20, 30, 40, 0});
    assert_all(!there("a-000001-0000000010.h5") && !there("a-000002-0000000020.h5"));
    assert_all(there("a-000003-0000000030.h5") && there("a-000004-0000000040.h5"));
    assert_all_int_equal(load(ctx, test_path("a.h5"), &origin), 40);
    assert_all_ok(ctx);
    assert_all_int_equal(origin.number, 4);
    assert_all(origin.run != 0);
}

static void test_a_run_that_goes_on_removes_its_old_files(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("b.h5"), (strata__origin){0}, (int64_t[]){10, 20, 0});
    load(ctx, test_path("b.h5"), &origin);
    save_steps(ctx, test_path("b.h5"), origin, (int64_t[]){30, 0});
    assert_all(!there("b-000001-0000000010.h5"));
    assert_all(there("b-000002-0000000020.h5") && there("b-000003-0000000030.h5"));
}

/* Another run's files are newer than nothing of this one, and none of its business. */
static void test_files_of_another_run_stay(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    write_file(ctx, test_path("c-000001-0000000001.h5"), "of a stranger");
    save_steps(ctx, test_path("c.h5"), (strata__origin){0}, (int64_t[]){500, 600, 0});
    save_steps(ctx, test_path("c.h5"), (strata__origin){0}, (int64_t[]){10, 20, 30, 0});
    assert_all(there("c-000001-0000000001.h5"));
    assert_all(there("c-000002-0000000500.h5") && there("c-000003-0000000600.h5"));
    assert_all(!there("c-000004-0000000010.h5") && there("c-000006-0000000030.h5"));
    assert_all_int_equal(load(ctx, test_path("c.h5"), &origin), 30);
}

/* What a run has left by going back makes room first. */
static void test_the_abandoned_future_leaves_first(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("d.h5"), (strata__origin){0}, (int64_t[]){10, 20, 0});
    load(ctx, test_path("d-000001-0000000010.h5"), &origin);
    origin.number = 1;
    save_steps(ctx, test_path("d.h5"), origin, (int64_t[]){15, 0});
    assert_all(there("d-000001-0000000010.h5") && there("d-000003-0000000015.h5"));
    assert_all(!there("d-000002-0000000020.h5"));
    assert_all_int_equal(load(ctx, test_path("d.h5"), &origin), 15);
}

static void test_fewer_than_two_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__rotation *rotation;
    strata__rotation_new(ctx, test_path("e.h5"), 1, &(strata__origin){0}, &rotation);
    assert_all_error(ctx, STRATA_INVALID, "to keep");
    assert_all(rotation == NULL);
}

/* --- finding --- */

static void test_a_damaged_newest_is_passed_over(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("f.h5"), (strata__origin){0}, (int64_t[]){10, 20, 0});
    change_byte(ctx, test_path("f-000002-0000000020.h5"), 700);
    assert_all_int_equal(load(ctx, test_path("f.h5"), &origin), 10);
    assert_all_ok(ctx);
    assert_all_int_equal(origin.number, 1);
    save_steps(ctx, test_path("f.h5"), origin, (int64_t[]){20, 0});
    assert_all(there("f-000001-0000000010.h5") && !there("f-000002-0000000020.h5"));
    assert_all_int_equal(load(ctx, test_path("f.h5"), &origin), 20);
}

static void test_when_none_is_sound(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("g.h5"), (strata__origin){0}, (int64_t[]){10, 20, 0});
    change_byte(ctx, test_path("g-000001-0000000010.h5"), 700);
    change_byte(ctx, test_path("g-000002-0000000020.h5"), 700);
    load(ctx, test_path("g.h5"), &origin);
    assert_all_error(ctx, STRATA_BAD_DATA, "g-000001-0000000010.h5");
    load(ctx, test_path("none.h5"), &origin);
    assert_all_error(ctx, STRATA_NO_INPUT, "none-000001-0000000001.h5");
    load(ctx, test_path("no/such/run.h5"), &origin);
    assert_all_error(ctx, STRATA_NO_INPUT, "cannot find");
}

/* Going back in silence would lose what was learnt. */
static void test_a_newer_format_is_not_passed_over(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("h.h5"), (strata__origin){0}, (int64_t[]){10, 20, 0});
    change_byte(ctx, test_path("h-000002-0000000020.h5"), 8);
    load(ctx, test_path("h.h5"), &origin);
    assert_all_error(ctx, STRATA_UNSUPPORTED, "format version");
}

static void test_one_file_is_taken_as_it_is(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    tiny t;
    tiny_make(&t, 7);
    strata__checkpoint_save(ctx, test_path("single.h5"), &t.contents);
    assert_all_int_equal(load(ctx, test_path("single.h5"), &origin), 7);
    assert_all_ok(ctx);
    assert_all(origin.run == 0 && origin.number == 0);
}

/* The hint may name a file that the directory does not show; otherwise it decides nothing. */
static void test_the_hint_is_only_a_hint(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__origin origin;
    save_steps(ctx, test_path("i.h5"), (strata__origin){0}, (int64_t[]){10, 20, 0});
    assert_all(there("i.h5.latest"));
    write_file(ctx, test_path("i.h5.latest"), "i-000001-0000000010.h5\n");
    assert_all_int_equal(load(ctx, test_path("i.h5"), &origin), 20);
    write_file(ctx, test_path("i.h5.latest"), "../../../etc/passwd\n");
    assert_all_int_equal(load(ctx, test_path("i.h5"), &origin), 20);
    write_file(ctx, test_path("i.h5.latest"), "i-000009-0000000090.h5");
    assert_all_int_equal(load(ctx, test_path("i.h5"), &origin), 20);
    assert_all_ok(ctx);
}

/* --- leftovers --- */

/* The name of a temporary file that a process of this machine with that number has left. */
static void leftover_name(strata_context *ctx, long process, char name[256])
{
    char own[64], *made = strata__temporary_name(ctx, "j-000001-0000000010.h5");
    snprintf(own, sizeof own, "pid-%ld-", (long)getpid());
    const char *owner = strstr(made, own);
    assert_non_null(owner);
    snprintf(name, 256, "%.*spid-%ld-%s", (int)(owner - made), made, process, owner + strlen(own));
    strata__free(ctx, made);
}

/* A process that is gone. */
static long dead_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    return (long)child;
}

typedef struct leftover {
    char name[256];
    bool stays;
} leftover;

static void check_leftovers(strata_context *ctx, const leftover *files, int count)
{
    for (int i = 0; i < count; i++)
        write_file(ctx, test_path(files[i].name), "half a checkpoint");
    strata__rotation_free(ctx, rotate(ctx, test_path("j.h5"), (strata__origin){0}));
    for (int i = 0; i < count; i++)
        assert_all(there(files[i].name) == files[i].stays);
}

static void test_leftovers_of_the_dead_are_removed(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    leftover files[5] = {
        {.stays = false}, {.stays = true}, {.stays = true}, {.stays = true}, {.stays = true}};
    if (test_rank() == 0) {
        long dead = dead_process();
        leftover_name(ctx, dead, files[0].name);
        leftover_name(ctx, (long)getpid(), files[1].name);
        snprintf(files[2].name, 256, ".j-000001-0000000010.h5.pid-%ld-other.%016d.part", dead, 7);
        snprintf(files[3].name, 256, ".j-000001-0000000010.h5.job-4711.%016d.part", 7);
        memcpy(files[4].name, files[0].name, sizeof files[4].name);
        files[4].name[1] = 'k';
    }
    strata__broadcast(ctx, STRATA__WORLD, 0, files, sizeof files);
    check_leftovers(ctx, files, 5);
}

static void test_leftovers_of_the_same_job_are_removed(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    leftover files[2] = {{.name = ".j-000001-0000000010.h5.job-4711.0000000000000007.part"},
                         {".j-000001-0000000010.h5.job-4712.0000000000000007.part", true}};
    setenv("SLURM_JOB_ID", "4711", 1);
    check_leftovers(ctx, files, 2);
    unsetenv("SLURM_JOB_ID");
}

static void test_a_locked_leftover_is_in_use(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    leftover file = {".j-000001-0000000020.h5.job-4711.0000000000000007.part", true};
    write_file(ctx, test_path(file.name), "in use");
    int fd = open(test_path(file.name), O_RDWR);
    if (test_rank() == 0)
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    setenv("SLURM_JOB_ID", "4711", 1);
    check_leftovers(ctx, &file, 1);
    unsetenv("SLURM_JOB_ID");
    close(fd);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_a_series),
        cmocka_unit_test(test_names_that_are_not_of_the_series),
        cmocka_unit_test(test_the_last_two_are_kept),
        cmocka_unit_test(test_a_run_that_goes_on_removes_its_old_files),
        cmocka_unit_test(test_files_of_another_run_stay),
        cmocka_unit_test(test_the_abandoned_future_leaves_first),
        cmocka_unit_test(test_fewer_than_two_are_refused),
        cmocka_unit_test(test_a_damaged_newest_is_passed_over),
        cmocka_unit_test(test_when_none_is_sound),
        cmocka_unit_test(test_a_newer_format_is_not_passed_over),
        cmocka_unit_test(test_one_file_is_taken_as_it_is),
        cmocka_unit_test(test_the_hint_is_only_a_hint),
        cmocka_unit_test(test_leftovers_of_the_dead_are_removed),
        cmocka_unit_test(test_leftovers_of_the_same_job_are_removed),
        cmocka_unit_test(test_a_locked_leftover_is_in_use),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
