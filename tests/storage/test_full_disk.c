/* Writes that fail on one rank: one error for all, the old file stands, nothing else is left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "harness.h"
#include "mesh/mesh.h"
#include "storage/archive.h"
#include "storage/checkpoint.h"
#include "storage/npy.h"

enum { ELEMENTS = 20000 };

/* On this rank no file may be longer, as on a full disk; 0: as long as it likes. */
static void limit_files(bool here, rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = here && bytes ? bytes : limit.rlim_max;
    signal(SIGXFSZ, SIG_IGN); /* write() fails instead */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int count_files(void)
{
    DIR *directory = opendir(test_path(""));
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

typedef void save_function(strata_context *ctx, const char *path, float value);

static float *make_values(float value)
{
    float *values = malloc(ELEMENTS * sizeof *values);
    for (int i = 0; i < ELEMENTS; i++)
        values[i] = value;
    return values;
}

static strata__weights_writer *write_weights(strata_context *ctx, const char *path, float value)
{
    strata__weights_writer *writer;
    float *values = make_values(value);
    strata__weights_create(ctx, path, &writer);
    assert_all_ok(ctx);
    strata__weights_add(writer, "layers/dense", "dense");
    strata__weights_write(writer, "layers/dense", 0, STRATA_FLOAT32, STRATA_SHAPE(ELEMENTS),
                          values);
    free(values);
    return writer;
}

static void save_weights(strata_context *ctx, const char *path, float value)
{
    strata__weights_finish(ctx, write_weights(ctx, path, value));
}

static void save_archive(strata_context *ctx, const char *path, float value)
{
    strata__archive_finish(ctx, write_weights(ctx, path, value), "{}", "{}");
}

static void save_checkpoint(strata_context *ctx, const char *path, const char *driver, float value)
{
    setenv("STRATA_CHECKPOINT_DRIVER", driver, 1);
    float *values = make_values(value);
    strata__piece piece = strata__piece_of(ELEMENTS, test_ranks(), test_rank());
    strata__shard shard = {
        .writes = true, .first = {piece.first}, .count = {piece.count}, .data = values};
    strata__entry entry = {"weights/x", STRATA_FLOAT32, STRATA_SHAPE(ELEMENTS), &shard, 1};
    strata__checkpoint_save(ctx, path, &(strata__contents){&entry, 1, "{}", 0});
    free(values);
}

static void save_by_pwrite(strata_context *ctx, const char *path, float value)
{
    save_checkpoint(ctx, path, "pwrite", value);
}

static void save_by_mpi_io(strata_context *ctx, const char *path, float value)
{
    save_checkpoint(ctx, path, "mpiio", value);
}

/* The first value in the file. */
static float first_value(strata_context *ctx, const char *path)
{
    strata__weights *weights;
    strata__archive archive = {0};
    float value = 0;
    if (strstr(path, ".keras")) {
        strata__archive_open(ctx, path, &archive);
        strata__weights_open_bytes(ctx, &archive.weights, &weights);
    } else {
        strata__weights_open(ctx, path, &weights);
    }
    assert_all_ok(ctx);
    strata__weights_read(ctx, weights, "layers/dense", 0, (int64_t[]){0}, (int64_t[]){1},
                         STRATA_FLOAT32, &value);
    strata__weights_close(ctx, weights);
    strata__archive_close(ctx, &archive);
    return value;
}

static float first_value_of_checkpoint(strata_context *ctx, const char *path)
{
    strata__checkpoint *checkpoint;
    float value = 0;
    strata__shard shard = {.count = {1}, .data = &value};
    strata__entry entry = {"weights/x", STRATA_FLOAT32, STRATA_SHAPE(ELEMENTS), &shard, 1};
    strata__checkpoint_open(ctx, path, &checkpoint);
    assert_all_ok(ctx);
    strata__checkpoint_read(ctx, checkpoint, &entry, 1);
    strata__checkpoint_close(ctx, checkpoint);
    return value;
}

/* Saves 1, then tries to save 2 with files limited on `rank`, at many lengths. */
static void check_old_file_stands(const char *name, save_function *save, int rank,
                                  float (*load)(strata_context *ctx, const char *path))
{
    strata_context *ctx = test_context(NULL);
    save(ctx, test_path(name), 1);
    assert_all_ok(ctx);
    int files = count_files();
    strata__barrier(ctx, STRATA__WORLD);
    for (rlim_t bytes = 1; bytes < ELEMENTS * sizeof(float); bytes += 9001) {
        limit_files(test_rank() == rank, bytes);
        save(ctx, test_path(name), 2);
        limit_files(false, 0);
        assert_all_error(ctx, STRATA_IO, name);
        assert_all_int_equal(count_files(), files);
    }
    assert_all(load(ctx, test_path(name)) == 1);
    assert_all_ok(ctx);
    save(ctx, test_path(name), 2);
    assert_all(load(ctx, test_path(name)) == 2);
    assert_all_ok(ctx);
}

static void test_weights_on_a_full_disk(void **state)
{
    (void)state;
    check_old_file_stands("full.weights.h5", save_weights, 0, first_value);
}

static void test_archive_on_a_full_disk(void **state)
{
    (void)state;
    check_old_file_stands("full.keras", save_archive, 0, first_value);
}

/* Which reserves the space. */
static void test_checkpoint_on_a_full_disk_of_rank_0(void **state)
{
    (void)state;
    check_old_file_stands("full.strata", save_by_pwrite, 0, first_value_of_checkpoint);
    check_old_file_stands("full-mpi.strata", save_by_mpi_io, 0, first_value_of_checkpoint);
}

/* The last rank writes the end of the file, so that it meets every limit. */
static void test_checkpoint_on_a_full_disk_of_another_rank(void **state)
{
    (void)state;
    check_old_file_stands("other.strata", save_by_pwrite, test_ranks() - 1,
                          first_value_of_checkpoint);
}

/* With MPI-IO another rank may write for the last one: then it meets no limit. */
static void test_checkpoint_by_mpi_io_on_a_full_disk_of_another_rank(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    const char *name = "other-mpi.strata";
    float stands = 1;
    save_by_mpi_io(ctx, test_path(name), stands);
    for (int i = 2; i < 8; i++) {
        limit_files(test_rank() == test_ranks() - 1, (rlim_t)i * 9001);
        save_by_mpi_io(ctx, test_path(name), (float)i);
        limit_files(false, 0);
        if (ctx->status == STRATA_OK)
            stands = (float)i;
        else
            assert_all_error(ctx, STRATA_IO, name);
        float found = first_value_of_checkpoint(ctx, test_path(name));
        assert_all(found == stands);
        assert_all_ok(ctx);
    }
}

static void test_npy_on_a_full_disk(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__npy_writer writer;
    char name[32];
    snprintf(name, sizeof name, "%d.npy", test_rank());
    strata__npy_create(ctx, test_path(name), STRATA_UINT8, STRATA_SHAPE(100), &writer);
    assert_all_ok(ctx);
    limit_files(true, 140);
    strata__npy_write(ctx, &writer, 0, 100, (char[100]){0});
    limit_files(false, 0);
    assert_all_error(ctx, STRATA_IO, name);
    strata__npy_discard(ctx, &writer);
    strata__array *array;
    strata__array_open(ctx, test_path(name), &array);
    assert_all_error(ctx, STRATA_NO_INPUT, name);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_on_a_full_disk),
        cmocka_unit_test(test_archive_on_a_full_disk),
        cmocka_unit_test(test_checkpoint_on_a_full_disk_of_rank_0),
        cmocka_unit_test(test_checkpoint_on_a_full_disk_of_another_rank),
        cmocka_unit_test(test_checkpoint_by_mpi_io_on_a_full_disk_of_another_rank),
        cmocka_unit_test(test_npy_on_a_full_disk),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
