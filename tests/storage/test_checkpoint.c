/* Checkpoints: saved by some ranks in some pieces, loaded by others in other pieces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "storage/checkpoint.h"
#include "storage/crc32c.h"
#include "storage/tree.h"

enum { ROWS = 7, COLUMNS = 5, DEPTH = 3, LENGTH = 11, ENTRIES = 5 };

static const char document[] = "{\"step\": 12}";

/* The pieces of one rank, and the arrays that they belong to. */
typedef struct model {
    float kernel[ROWS * COLUMNS];       /* a block: rows or columns over the ranks */
    float cube[ROWS * COLUMNS * DEPTH]; /* a block: the middle axis over the ranks */
    double slot[LENGTH];                /* flat: a run over the ranks */
    int64_t step;                       /* the same on all ranks, written by the last */
    uint8_t flags[2];                   /* bool, as step */
    strata__shard shards[ENTRIES];
    strata__entry entries[ENTRIES];
} model;

static float kernel_value(int64_t row, int64_t column)
{
    return (float)(100 * row + column) + 0.25f;
}

static float cube_value(int64_t row, int64_t column, int64_t layer)
{
    return (float)(10000 * row + 100 * column + layer);
}

static strata__shard split(int axis, const strata_shape *shape, bool flat, void *data)
{
    strata__shard shard = {.flat = flat, .writes = true, .data = data};
    for (int i = 0; i < (flat ? 1 : shape->rank); i++) {
        strata__piece piece = {0, shape->dims[i]};
        if (i == axis)
            piece = strata__piece_of(shape->dims[i], test_ranks(), test_rank());
        shard.first[i] = piece.first;
        shard.count[i] = piece.count;
    }
    return shard;
}

/* How the model lies on the ranks: the kernel is cut along `axis`; nothing has values yet. */
static void lay_model(model *m, int axis)
{
    const strata_shape kernel = {.dims = {ROWS, COLUMNS}, .rank = 2};
    const strata_shape cube = {.dims = {ROWS, COLUMNS, DEPTH}, .rank = 3};
    const strata_shape slot = {.dims = {LENGTH}, .rank = 1};
    bool last = test_rank() == test_ranks() - 1;
    *m = (model){.step = 0};
    m->shards[0] = split(axis, &kernel, false, m->kernel);
    m->shards[1] = split(1, &cube, false, m->cube);
    m->shards[2] = split(0, &slot, true, m->slot);
    m->shards[3] = (strata__shard){.writes = last, .data = &m->step};
    m->shards[4] = (strata__shard){.writes = last, .count = {2}, .data = m->flags};
    m->entries[0] = (strata__entry){"weights/dense/kernel", STRATA_FLOAT32, kernel, NULL, 1};
    m->entries[1] = (strata__entry){"weights/conv/kernel", STRATA_FLOAT32, cube, NULL, 1};
    m->entries[2] = (strata__entry){"optimizer/momentum", STRATA_FLOAT64, slot, NULL, 1};
    m->entries[3] = (strata__entry){"optimizer/iteration", STRATA_INT64, {{0}, 0}, NULL, 1};
    m->entries[4] = (strata__entry){"state/flags", STRATA_BOOL, {{2}, 1}, NULL, 1};
    for (int i = 0; i < ENTRIES; i++)
        m->entries[i].shards = &m->shards[i];
}

/* Goes over the block of a shard in its order: calls back with the place of each element. */
typedef void visit(model *m, const int64_t at[3], int64_t number);

static void each_element(model *m, const strata__shard *shard, int rank, visit *call)
{
    int64_t count[3] = {1, 1, 1}, number = 0, i[3];
    for (int axis = 0; axis < rank; axis++)
        count[axis] = shard->count[axis];
    for (i[0] = 0; i[0] < count[0]; i[0]++) {
        for (i[1] = 0; i[1] < count[1]; i[1]++) {
            for (i[2] = 0; i[2] < count[2]; i[2]++) {
                int64_t at[3] = {shard->first[0] + i[0], shard->first[1] + i[1],
                                 shard->first[2] + i[2]};
                call(m, at, number++);
            }
        }
    }
}

static void fill_kernel(model *m, const int64_t at[3], int64_t number)
{
    m->kernel[number] = kernel_value(at[0], at[1]);
}

static void fill_cube(model *m, const int64_t at[3], int64_t number)
{
    m->cube[number] = cube_value(at[0], at[1], at[2]);
}

static void fill_slot(model *m, const int64_t at[3], int64_t number)
{
    m->slot[number] = 1.0 / (double)(at[0] + 1);
}

static void fill_model(model *m)
{
    each_element(m, &m->shards[0], 2, fill_kernel);
    each_element(m, &m->shards[1], 3, fill_cube);
    each_element(m, &m->shards[2], 1, fill_slot);
    m->step = 1234567890123;
    m->flags[1] = 1;
}

static bool holds_the_same(const model *a, const model *b)
{
    return memcmp(a->kernel, b->kernel, sizeof a->kernel) == 0 &&
           memcmp(a->cube, b->cube, sizeof a->cube) == 0 &&
           memcmp(a->slot, b->slot, sizeof a->slot) == 0 && a->step == b->step &&
           memcmp(a->flags, b->flags, sizeof a->flags) == 0;
}

static void save_model(strata_context *ctx, const char *path, int axis)
{
    model m;
    lay_model(&m, axis);
    fill_model(&m);
    strata__contents contents = {
        .entries = m.entries, .count = ENTRIES, .document = test_rank() == 0 ? document : NULL};
    strata__checkpoint_save(ctx, path, &contents);
}

static void check_loaded(strata_context *ctx, const strata__checkpoint *checkpoint, int axis)
{
    model expected, found;
    lay_model(&expected, axis);
    fill_model(&expected);
    lay_model(&found, axis);
    strata__checkpoint_read(ctx, checkpoint, found.entries, ENTRIES);
    assert_all_ok(ctx);
    assert_all(holds_the_same(&expected, &found));
}

static void test_crc32c_of_the_standard(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0};
    assert_int_equal(strata__crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(strata__crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(strata__crc32c(strata__crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

/* Bit by bit, as the polynomial says. */
static uint32_t plain_crc32c(const unsigned char *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < 8 * size; i++) {
        bool odd = (crc ^ data[i / 8] >> i % 8) & 1;
        crc = crc >> 1 ^ (odd ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* Lengths around those of the strands that are summed up at a time, at any alignment. */
static void test_crc32c_of_long_runs(void **state)
{
    (void)state;
    static const size_t sizes[] = {7, 1023, 3071, 3072, 3073, 6143, 6144, 9999};
    unsigned char data[10008];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * i >> 5);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        const unsigned char *at = data + i;
        uint32_t sum = plain_crc32c(at, sizes[i]);
        assert_int_equal(strata__crc32c(0, at, sizes[i]), sum);
        assert_int_equal(strata__crc32c(strata__crc32c(0, at, 5), at + 5, sizes[i] - 5), sum);
    }
}

static void test_saved_by_rows_and_loaded_by_columns(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__checkpoint *checkpoint;
    save_model(ctx, test_path("a.strata"), 0);
    assert_all_ok(ctx);
    strata__checkpoint_open(ctx, test_path("a.strata"), &checkpoint);
    assert_all_ok(ctx);
    assert_all_string_equal(strata__checkpoint_document(checkpoint), document);
    check_loaded(ctx, checkpoint, 0);
    check_loaded(ctx, checkpoint, 1);
    strata__checkpoint_close(ctx, checkpoint);
}

/* One rank alone, on a mesh of its own, reads everything in whole. */
static void test_loaded_by_one_rank(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    save_model(ctx, test_path("b.strata"), 1);
    assert_all_ok(ctx);
    strata_context *alone = strata__context_new();
    test_adopt(alone, strata__mesh_free);
    strata__mesh_new(alone, MPI_COMM_SELF, NULL);
    float kernel[ROWS][COLUMNS];
    strata__shard whole = {.flat = true, .count = {ROWS * COLUMNS}, .data = kernel};
    strata__entry entry = {"weights/dense/kernel", STRATA_FLOAT32, STRATA_SHAPE(ROWS, COLUMNS),
                           &whole, 1};
    float cube[ROWS * COLUMNS * DEPTH];
    strata__shard block = {.count = {ROWS, COLUMNS, DEPTH}, .data = cube};
    strata__entry other = {"weights/conv/kernel", STRATA_FLOAT32,
                           STRATA_SHAPE(ROWS, COLUMNS, DEPTH), &block, 1};
    strata__checkpoint *checkpoint;
    strata__checkpoint_open(alone, test_path("b.strata"), &checkpoint);
    assert_all_ok(alone);
    strata__checkpoint_read(alone, checkpoint, (strata__entry[]){entry, other}, 2);
    assert_all_ok(alone);
    assert_all(kernel[3][4] == kernel_value(3, 4) && kernel[6][0] == kernel_value(6, 0));
    assert_all(cube[(2 * COLUMNS + 4) * DEPTH + 1] == cube_value(2, 4, 1));
    strata__checkpoint_close(alone, checkpoint);
}

static void test_entries_are_listed_by_name(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__checkpoint *checkpoint;
    save_model(ctx, test_path("c.strata"), 0);
    strata__checkpoint_open(ctx, test_path("c.strata"), &checkpoint);
    assert_all_ok(ctx);
    assert_all_string_equal(strata__checkpoint_entry(checkpoint, 0)->name, "optimizer/iteration");
    assert_all_string_equal(strata__checkpoint_entry(checkpoint, 4)->name, "weights/dense/kernel");
    assert_all_int_equal(strata__checkpoint_entry(checkpoint, 4)->shape.dims[0], ROWS);
    assert_all(strata__checkpoint_entry(checkpoint, 5) == NULL);
    strata__checkpoint_close(ctx, checkpoint);
}

/* Reads a.strata with one thing changed in the model. */
static void check_refused(void (*change)(model *m), strata_status status, const char *words)
{
    strata_context *ctx = test_context(NULL);
    strata__checkpoint *checkpoint;
    model m;
    save_model(ctx, test_path("d.strata"), 0);
    strata__checkpoint_open(ctx, test_path("d.strata"), &checkpoint);
    assert_all_ok(ctx);
    lay_model(&m, 0);
    change(&m);
    strata__checkpoint_read(ctx, checkpoint, m.entries, ENTRIES);
    assert_all_error(ctx, status, words);
    strata__checkpoint_close(ctx, checkpoint);
}

static void rename_kernel(model *m)
{
    m->entries[0].name = "weights/dense/matrix";
}

static void transpose_kernel(model *m)
{
    m->entries[0].shape = STRATA_SHAPE(COLUMNS, ROWS);
}

static void widen_kernel(model *m)
{
    m->entries[0].dtype = STRATA_FLOAT64;
}

static void drop_kernel(model *m)
{
    m->entries[0] = m->entries[1];
}

static void test_another_model_is_told_what_differs(void **state)
{
    (void)state;
    check_refused(rename_kernel, STRATA_BAD_DATA, "has no 'weights/dense/matrix'");
    check_refused(transpose_kernel, STRATA_BAD_DATA,
                  "'weights/dense/kernel' is float32 (7, 5) in checkpoint");
    check_refused(widen_kernel, STRATA_BAD_DATA, "but float64 (7, 5) here");
    check_refused(drop_kernel, STRATA_BAD_DATA,
                  "has 'weights/dense/kernel', which is not there in this model");
}

static void check_not_saved(void (*change)(model *m), strata_status status, const char *words)
{
    strata_context *ctx = test_context(NULL);
    model m;
    lay_model(&m, 0);
    fill_model(&m);
    change(&m);
    strata__contents contents = {.entries = m.entries, .count = ENTRIES, .document = document};
    strata__checkpoint_save(ctx, test_path("e.strata"), &contents);
    assert_all_error(ctx, status, words);
    assert_all(access(test_path("e.strata"), F_OK) != 0);
}

static void write_twice(model *m)
{
    if (test_rank() == 0)
        m->shards[3].writes = m->shards[4].writes = true;
    m->shards[4].count[0] = test_ranks() == 1 ? 1 : 2;
}

static void name_it_shards(model *m)
{
    m->entries[0].name = "shards";
}

static void name_a_way_up(model *m)
{
    m->entries[0].name = "weights/../kernel";
}

static void name_two_alike(model *m)
{
    m->entries[0].name = m->entries[2].name;
}

static void name_a_group(model *m)
{
    m->entries[2].name = "weights";
}

static void test_what_cannot_be_saved_is_told(void **state)
{
    (void)state;
    check_not_saved(write_twice, STRATA_INTERNAL, "would be written");
    check_not_saved(name_it_shards, STRATA_INVALID, "'shards' cannot be the name");
    check_not_saved(name_a_way_up, STRATA_INVALID, "cannot be the name");
    check_not_saved(name_two_alike, STRATA_INVALID, "are called 'optimizer/momentum'");
    check_not_saved(name_a_group, STRATA_INVALID, "make room");
}

/* Number of files in the directory of the tests. */
static int count_files(void)
{
    DIR *directory = opendir(test_path(""));
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static void test_nothing_is_left_beside_the_checkpoint(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    save_model(ctx, test_path("f.strata"), 0);
    assert_all_ok(ctx);
    int before = count_files();
    strata__barrier(ctx, STRATA__WORLD);
    save_model(ctx, test_path("f.strata"), 1);
    assert_all_ok(ctx);
    assert_all_int_equal(count_files(), before);
    strata__barrier(ctx, STRATA__WORLD);
    save_model(ctx, test_path("no/such/f.strata"), 1);
    assert_all_error(ctx, STRATA_IO, "f.strata");
    assert_all_int_equal(count_files(), before);
}

static void change_byte(const char *path, int64_t at, int bits)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (unsigned char)bits;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_a_changed_value_is_named(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__checkpoint *checkpoint;
    strata__bytes bytes;
    strata__tree *tree;
    save_model(ctx, test_path("h.strata"), 0);
    strata__bytes_open(ctx, test_path("h.strata"), &bytes);
    strata__tree_open(ctx, &bytes, &tree);
    assert_all_ok(ctx);
    int64_t at = strata__tree_find(tree, "optimizer/momentum")->offset;
    strata__tree_close(ctx, tree);
    strata__barrier(ctx, STRATA__WORLD);
    if (test_rank() == 0)
        change_byte(test_path("h.strata"), at + 8 * LENGTH - 1, 1);
    strata__checkpoint_open(ctx, test_path("h.strata"), &checkpoint);
    assert_all_error(ctx, STRATA_BAD_DATA, "'optimizer/momentum' in checkpoint");
}

static void test_a_newer_format_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__checkpoint *checkpoint;
    save_model(ctx, test_path("i.strata"), 0);
    if (test_rank() == 0)
        change_byte(test_path("i.strata"), 8, STRATA__CHECKPOINT_VERSION ^ 2);
    strata__checkpoint_open(ctx, test_path("i.strata"), &checkpoint);
    assert_all_error(ctx, STRATA_UNSUPPORTED, "format version 2");
    strata__checkpoint_open(ctx, test_golden("files/sequential_dense.weights.h5"), &checkpoint);
    assert_all_error(ctx, STRATA_BAD_DATA, "not a checkpoint");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_of_the_standard),
        cmocka_unit_test(test_crc32c_of_long_runs),
        cmocka_unit_test(test_saved_by_rows_and_loaded_by_columns),
        cmocka_unit_test(test_loaded_by_one_rank),
        cmocka_unit_test(test_entries_are_listed_by_name),
        cmocka_unit_test(test_another_model_is_told_what_differs),
        cmocka_unit_test(test_what_cannot_be_saved_is_told),
        cmocka_unit_test(test_nothing_is_left_beside_the_checkpoint),
        cmocka_unit_test(test_a_changed_value_is_named),
        cmocka_unit_test(test_a_newer_format_is_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
