/* Datasets from files: IDX and NPY, and one agreed error for those that are bad. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "data/dataset.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "sessions.h"

/* 3 images of 2 × 2, 3 labels. */
static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0,  0,
                                       0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9};
static const unsigned char more_labels[] = {0, 0, 8, 1, 0, 0, 0, 4, 7, 8, 9, 6};
static const unsigned char nonsense[] = "no numbers at all, but a text of some length";

static const char numbers_header[] = "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', "
                                     "'fortran_order': False, 'shape': (3, 2), }";

/* Rank 0 writes, all wait; the path, valid until the next call. */
static const char *file_with(strata_context *ctx, const char *name, const void *bytes, size_t size,
                             bool packed)
{
    const char *path = test_path(name);
    if (test_rank() == 0 && packed) {
        gzFile out = gzopen(path, "wb");
        gzwrite(out, bytes, (unsigned)size);
        gzclose(out);
    } else if (test_rank() == 0) {
        FILE *out = fopen(path, "wb");
        fwrite(bytes, 1, size, out);
        fclose(out);
    }
    strata__barrier(ctx, STRATA__WORLD);
    return path;
}

static void keep_path(char kept[512], const char *path)
{
    snprintf(kept, 512, "%s", path);
}

static void write_numbers(strata_context *ctx, char path[512])
{
    static const float values[6] = {0.5f, 1, 1.5f, 2, 2.5f, 3};
    char file[128 + sizeof values];
    memset(file, ' ', 128);
    memcpy(file, numbers_header, sizeof numbers_header - 1);
    file[127] = '\n';
    memcpy(file + 128, values, sizeof values);
    keep_path(path, file_with(ctx, "numbers.npy", file, sizeof file, false));
}

static void check_images(strata_context *ctx, bool packed)
{
    char x[512], y[512];
    keep_path(x, file_with(ctx, "images", images, sizeof images, packed));
    keep_path(y, file_with(ctx, "labels", labels, sizeof labels, packed));
    strata_dataset *data = strata_idx_dataset(ctx, .images = x, .labels = y);
    assert_all_ok(ctx);
    assert_all_int_equal(strata_dataset_size(data), 3);
    assert_all_int_equal(data->x[0].dtype, STRATA_UINT8);
    assert_all_int_equal(data->x[0].sample.rank, 2);
    assert_all(memcmp(data->x[0].data, images + 16, 12) == 0);
    assert_all(memcmp(data->y[0].data, labels + 8, 3) == 0);
}

static void test_images_and_labels(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++)
        check_images(test_session(test_mesh(i)), false);
}

static void test_packed_images_and_labels(void **state)
{
    (void)state;
    for (int i = 0; test_mesh(i); i++)
        check_images(test_session(test_mesh(i)), true);
}

static void test_names_bind_files_to_inputs(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    char path[512], named[600];
    write_numbers(ctx, path);
    snprintf(named, sizeof named, "left=%s", path);
    strata_dataset *data = strata_file_dataset(ctx, .x = {named, path});
    assert_all_ok(ctx);
    assert_all_int_equal(data->x_count, 2);
    assert_all_string_equal(data->x[0].name, "left");
    assert_all(data->x[1].name == NULL);
    assert_all_near(((const float *)data->x[0].data)[5], 3, 0);
    strata_dataset_free(data);
}

/* --- bad files --- */

static void test_bad_files_give_one_error(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const void *bytes;
        size_t size;
    } bad[] = {{"empty", images, 0},
               {"header-cut", images, 9},
               {"short", images, sizeof images - 1},
               {"nonsense", nonsense, sizeof nonsense}};
    strata_context *ctx = test_session(NULL);
    for (int packed = 0; packed <= 1; packed++) {
        for (size_t i = 0; i < TEST_COUNT(bad); i++) {
            const char *path = file_with(ctx, bad[i].name, bad[i].bytes, bad[i].size, packed);
            assert_all(strata_file_dataset(ctx, .x = {path}) == NULL);
            assert_all_error(ctx, STRATA_BAD_DATA, bad[i].name);
        }
    }
}

static void test_missing_files(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_all(strata_file_dataset(ctx, .x = {test_path("nowhere.npy")}) == NULL);
    assert_all_error(ctx, STRATA_NO_INPUT, "nowhere.npy");
    assert_all(strata_idx_dataset(ctx, .folder = test_path("nowhere"), .images = "i",
                                  .labels = "l") == NULL);
    assert_all_error(ctx, STRATA_NO_INPUT, "nowhere/i");
    assert_all(strata_idx_dataset(ctx, .images = "i") == NULL);
    assert_all_error(ctx, STRATA_INVALID, ".labels");
    assert_all(strata_file_dataset(ctx, .y = {"labels"}) == NULL);
    assert_all_error(ctx, STRATA_INVALID, "without x");
}

static void test_counts_that_disagree(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    char x[512];
    keep_path(x, file_with(ctx, "images", images, sizeof images, false));
    const char *y = file_with(ctx, "more", more_labels, sizeof more_labels, false);
    assert_all(strata_file_dataset(ctx, .x = {x}, .y = {y}) == NULL);
    assert_all_error(ctx, STRATA_INVALID, "4");
}

/* As on machines of which one lacks the file. */
static void test_what_one_rank_misses_fails_on_all(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    char here[512];
    keep_path(here, file_with(ctx, "images", images, sizeof images, false));
    bool last = test_rank() == test_ranks() - 1;
    assert_all(strata_file_dataset(ctx, .x = {last ? test_path("nowhere") : here}) == NULL);
    assert_all_error(ctx, STRATA_NO_INPUT, "nowhere");
    assert_all(strata_file_dataset(ctx, .x = {here}) != NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images_and_labels),
        cmocka_unit_test(test_packed_images_and_labels),
        cmocka_unit_test(test_names_bind_files_to_inputs),
        cmocka_unit_test(test_bad_files_give_one_error),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_counts_that_disagree),
        cmocka_unit_test(test_what_one_rank_misses_fails_on_all),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
