/* Checkpoints with any byte changed, or cut anywhere: refused on the mesh that wrote them and
 * others. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <strata/context.h>

#include "harness.h"
#include "mesh/mesh.h"
#include "storage/rotation.h"

enum { ROWS = 6, COLUMNS = 3, LENGTH = 5, MOST_PARTS = 2 };

/* Where the version of the format stands in the seal. */
enum { VERSION_FIRST = 8, VERSION_LAST = 15 };

/* Every byte is changed on one rank and in make check-faults, elsewhere one of some. */
static int64_t step_of_flips(void)
{
    const char *faults = getenv("STRATA_FAULTS");
    return test_ranks() == 1 || (faults && strcmp(faults, "all") == 0) ? 1 : 13;
}

/* --- the mesh that writes and the one that reads --- */

/* A context of this rank alone. */
static strata_context *alone(void)
{
    strata_context *ctx = strata__context_new();
    test_adopt(ctx, strata__mesh_free);
    strata__mesh_new(ctx, MPI_COMM_SELF, NULL);
    return ctx;
}

/* Rows of a matrix and runs of a vector, each rank's own cut into `parts`. */
static void save(strata_context *ctx, const char *path, int parts)
{
    float kernel[ROWS][COLUMNS];
    double slot[LENGTH] = {1, 2, 3, 4, 5};
    strata__shard kernels[MOST_PARTS], slots[MOST_PARTS];
    for (int i = 0; i < ROWS * COLUMNS; i++)
        kernel[i / COLUMNS][i % COLUMNS] = (float)i;
    for (int i = 0; i < parts; i++) {
        int all = parts * ctx->mesh->size, own = parts * ctx->mesh->rank + i;
        strata__piece rows = strata__piece_of(ROWS, all, own);
        strata__piece run = strata__piece_of(LENGTH, all, own);
        kernels[i] = (strata__shard){.writes = true,
                                     .first = {rows.first},
                                     .count = {rows.count, COLUMNS},
                                     .data = kernel[rows.first]};
        slots[i] = (strata__shard){.flat = true,
                                   .writes = true,
                                   .first = {run.first},
                                   .count = {run.count},
                                   .data = &slot[run.first]};
    }
    const strata__entry entries[] = {
        {"weights/kernel", STRATA_FLOAT32, STRATA_SHAPE(ROWS, COLUMNS), kernels, parts},
        {"optimizer/slot", STRATA_FLOAT64, STRATA_SHAPE(LENGTH), slots, parts}};
    strata__checkpoint_save(ctx, path, &(strata__contents){entries, 2, "{\"step\": 3}", 7});
}

/* What opening comes to, and whether that is told in one line. Collective on the mesh. */
static strata_status try_to_open(strata_context *ctx, const char *path, bool *told)
{
    strata__checkpoint *checkpoint;
    strata_status status = strata__checkpoint_open(ctx, path, &checkpoint);
    strata__checkpoint_close(ctx, checkpoint);
    *told = strstr(ctx->message, path) != NULL && strchr(ctx->message, '\n') == NULL;
    strata_error_clear(ctx);
    return status;
}

/* --- damage --- */

/* On rank 0, between two barriers of all. */
static void change_byte(strata_context *all, const char *path, int64_t at, int bits)
{
    strata__barrier(all, STRATA__WORLD);
    if (test_rank() == 0) {
        int fd = open(path, O_RDWR);
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (unsigned char)bits;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    strata__barrier(all, STRATA__WORLD);
}

static int64_t size_of(strata_context *all, const char *path)
{
    struct stat about;
    strata__barrier(all, STRATA__WORLD);
    assert_int_equal(stat(path, &about), 0);
    strata__barrier(all, STRATA__WORLD);
    return about.st_size;
}

/* A version that has grown is one of the future, everything else is damage. */
static void check_flip(strata_context *all, strata_context *reader, const char *path, int64_t at,
                       int bits)
{
    bool told, versioned = at >= VERSION_FIRST && at <= VERSION_LAST;
    change_byte(all, path, at, bits);
    strata_status status = try_to_open(reader, path, &told);
    change_byte(all, path, at, bits);
    assert_all(status == STRATA_BAD_DATA || (versioned && status == STRATA_UNSUPPORTED));
    assert_all(told);
}

typedef struct flip_case {
    const char *name;
    bool one_writes, one_reads; /* rank by rank alone, or all together */
    int parts;                  /* of each writer */
} flip_case;

static void check_flips(const flip_case *c)
{
    strata_context *all = test_context(NULL), *self = alone();
    strata_context *reader = c->one_reads ? self : all;
    char path[512];
    bool told;
    snprintf(path, sizeof path, "%s", test_path(c->name));
    if (!c->one_writes)
        save(all, path, c->parts);
    else if (test_rank() == 0)
        save(self, path, c->parts);
    int64_t size = size_of(all, path), step = step_of_flips();
    strata_status status = try_to_open(reader, path, &told);
    assert_all(status == STRATA_OK);
    for (int64_t at = 0; at < size; at += step) {
        check_flip(all, reader, path, at, 0x80);
        check_flip(all, reader, path, at, 0x01);
    }
}

static void test_any_changed_byte_is_found(void **state)
{
    (void)state;
    static const flip_case cases[] = {
        {"all.h5", false, false, 1},
        {"one-to-all.h5", true, false, 1},
        {"all-to-one.h5", false, true, 1},
        {"two-parts.h5", true, false, 2},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        check_flips(&cases[i]);
}

static void test_a_checkpoint_cut_anywhere_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    char path[512];
    bool told;
    snprintf(path, sizeof path, "%s", test_path("cut.h5"));
    save(ctx, path, 1);
    assert_all_ok(ctx);
    for (int64_t size = size_of(ctx, path) - 1; size >= 0; size -= size > 600 ? 89 : 7) {
        strata__barrier(ctx, STRATA__WORLD);
        if (test_rank() == 0)
            assert_int_equal(truncate(path, size), 0);
        strata__barrier(ctx, STRATA__WORLD);
        strata_status status = try_to_open(ctx, path, &told);
        assert_all(status == STRATA_BAD_DATA && told);
    }
}

/* --- the list of a series --- */

/* Three steps, of which the last two stay. */
static void save_series(strata_context *ctx, const char *base)
{
    strata__rotation *rotation;
    int64_t value;
    strata__shard shard = {.writes = test_rank() == 0, .data = &value};
    strata__entry entry = {"weights/step", STRATA_INT64, STRATA_SCALAR, &shard, 1};
    strata__rotation_new(ctx, base, 2, &(strata__origin){0}, &rotation);
    assert_all_ok(ctx);
    for (value = 1; value <= 3; value++)
        strata__rotation_save(rotation, value, &(strata__contents){&entry, 1, "{}", 0});
    assert_all_ok(ctx);
    strata__rotation_free(ctx, rotation);
}

/* The file that tells which is newest may say anything. */
static void test_a_list_with_any_byte_changed_misleads_nobody(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    char base[512], list[600];
    snprintf(base, sizeof base, "%s", test_path("series.h5"));
    snprintf(list, sizeof list, "%s.latest", base);
    save_series(ctx, base);
    int64_t size = size_of(ctx, list);
    assert_true(size > 0);
    for (int64_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            strata__checkpoint *checkpoint;
            strata__origin origin = {0};
            change_byte(ctx, list, at, 1 << bit);
            strata__rotation_load(ctx, base, &checkpoint, &origin);
            assert_all_ok(ctx);
            assert_all_int_equal(origin.number, 3);
            strata__checkpoint_close(ctx, checkpoint);
            change_byte(ctx, list, at, 1 << bit);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_changed_byte_is_found),
        cmocka_unit_test(test_a_checkpoint_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_list_with_any_byte_changed_misleads_nobody),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
