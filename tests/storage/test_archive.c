/* .keras archives: Keras's are read, ours hold what was put in, in the form that Keras gives them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <zip.h>

#include "base/memory.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "storage/archive.h"

static const char config[] = "{\"module\": \"keras\"}";
static const char metadata[] = "{\"keras_version\": \"3.7.0\"}";
static const float values[] = {1, 2, 3};

static void test_members_of_a_keras_archive(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__archive archive;
    strata__weights *weights;
    strata__archive_open(ctx, test_golden("files/sequential_dense.keras"), &archive);
    assert_all_ok(ctx);
    assert_all(strstr(archive.config, "Sequential") != NULL);
    assert_all(strstr(archive.metadata, "keras_version") != NULL);
    assert_all_int_equal(strlen(archive.config), archive.config_size);
    strata__weights_open_bytes(ctx, &archive.weights, &weights);
    assert_all_ok(ctx);
    assert_all_int_equal(strata__weights_count(ctx, weights, "layers/dense"), 2);
    strata__weights_close(ctx, weights);
    strata__archive_close(ctx, &archive);
}

/* The member of an archive and the file of its own say the same. */
static void test_archive_and_weights_file_agree(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__archive archive;
    strata__weights *inner, *outer;
    float a[20] = {0}, b[20] = {1};
    strata__archive_open(ctx, test_golden("files/sequential_dense.keras"), &archive);
    strata__weights_open_bytes(ctx, &archive.weights, &inner);
    strata__weights_open(ctx, test_golden("files/sequential_dense.weights.h5"), &outer);
    assert_all_ok(ctx);
    strata__weights_read(ctx, inner, "layers/dense", 0, NULL, NULL, STRATA_FLOAT32, a);
    strata__weights_read(ctx, outer, "layers/dense", 0, NULL, NULL, STRATA_FLOAT32, b);
    assert_all_ok(ctx);
    assert_all(memcmp(a, b, sizeof a) == 0);
    strata__weights_close(ctx, inner);
    strata__weights_close(ctx, outer);
    strata__archive_close(ctx, &archive);
}

static void write_archive(strata_context *ctx, const char *path)
{
    strata__weights_writer *writer;
    strata__weights_create(ctx, path, &writer);
    assert_all_ok(ctx);
    bool root = ctx->mesh->rank == 0;
    strata__weights_add(writer, "layers/dense", "dense");
    strata__weights_write(writer, "layers/dense", 0, STRATA_FLOAT32, STRATA_SHAPE(3),
                          root ? values : NULL);
    strata__archive_finish(ctx, writer, root ? metadata : NULL, root ? config : NULL);
    assert_all_ok(ctx);
}

static void test_what_was_written_comes_back(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__archive archive;
    strata__weights *weights;
    float read[3] = {0};
    write_archive(ctx, test_path("ours.keras"));
    strata__archive_open(ctx, test_path("ours.keras"), &archive);
    assert_all_ok(ctx);
    assert_all_string_equal(archive.config, config);
    assert_all_string_equal(archive.metadata, metadata);
    strata__weights_open_bytes(ctx, &archive.weights, &weights);
    strata__weights_read(ctx, weights, "layers/dense", 0, NULL, NULL, STRATA_FLOAT32, read);
    assert_all_ok(ctx);
    assert_all(memcmp(read, values, sizeof read) == 0);
    strata__weights_close(ctx, weights);
    strata__archive_close(ctx, &archive);
}

/* Where the file is too large to be copied, every rank reads its own pieces out of the archive. */
static void test_weights_are_read_in_place(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__bytes bytes = {0};
    char all[64] = "", start[8] = "";
    if (test_rank() == 0)
        strata__bytes_open(ctx, test_golden("files/sequential_dense.keras"), &bytes);
    strata__bytes_share(ctx, &bytes, 0);
    assert_all_ok(ctx);
    assert_all(bytes.memory == NULL && bytes.size > 64);
    strata__bytes_read(ctx, &bytes, 0, all, sizeof all);
    bytes.first += 10;
    bytes.size = 54;
    strata__bytes_read(ctx, &bytes, 4, start, sizeof start);
    assert_all_ok(ctx);
    assert_all(memcmp(all, "PK\3\4", 4) == 0 && memcmp(all + 14, start, sizeof start) == 0);
    strata__bytes_read(ctx, &bytes, 50, start, sizeof start);
    assert_all_error(ctx, STRATA_BAD_DATA, "ends too early");
    strata__bytes_free(ctx, &bytes);
}

static void check_member(zip_t *zip, zip_uint64_t index, const char *name, bool dated)
{
    zip_stat_t about;
    zip_uint8_t system;
    zip_uint32_t attributes;
    zip_uint64_t data;
    assert_int_equal(zip_stat_index(zip, index, 0, &about), 0);
    assert_string_equal(about.name, name);
    assert_int_equal(about.comp_method, ZIP_CM_STORE);
    zip_file_get_external_attributes(zip, index, 0, &system, &attributes);
    assert_int_equal(system, ZIP_OPSYS_UNIX);
    assert_int_equal(attributes, 0600u << 16);
    data = (zip_uint64_t)zip_file_extra_fields_count(zip, index, ZIP_FL_LOCAL | ZIP_FL_CENTRAL);
    assert_int_equal(data, 0);
    struct tm date;
    localtime_r(&about.mtime, &date);
    assert_true(dated ? date.tm_year > 100 : date.tm_year == 80 && date.tm_mon == 0);
}

static void test_members_look_like_those_of_keras(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    write_archive(ctx, test_path("form.keras"));
    zip_t *zip = zip_open(test_path("form.keras"), ZIP_RDONLY | ZIP_CHECKCONS, NULL);
    assert_all(zip != NULL);
    assert_int_equal(zip_get_num_entries(zip, 0), 3);
    check_member(zip, 0, "metadata.json", false);
    check_member(zip, 1, "config.json", false);
    check_member(zip, 2, "model.weights.h5", true);
    zip_discard(zip);
}

static void test_a_missing_archive_is_one_error_for_all(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__archive archive;
    strata__archive_open(ctx, test_path("no_such.keras"), &archive);
    assert_all_error(ctx, STRATA_NO_INPUT, "no_such.keras");
}

/* Archives that no Keras writes, made by libzip: name of the member, what is wrong. */
static void make_archive(const char *path, const char *member, zip_source_t *(*content)(zip_t *),
                         zip_int32_t method)
{
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    zip_int64_t index = zip_file_add(zip, member, content(zip), ZIP_FL_ENC_GUESS);
    zip_set_file_compression(zip, (zip_uint64_t)index, method, 0);
    assert_int_equal(zip_close(zip), 0);
}

static zip_source_t *two_bytes(zip_t *zip)
{
    return zip_source_buffer(zip, "{}", 2, 0);
}

static zip_source_t *a_bomb(zip_t *zip)
{
    static char zeros[1 << 20];
    return zip_source_buffer(zip, zeros, sizeof zeros, 0);
}

static void test_hostile_members_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        zip_source_t *(*content)(zip_t *);
        zip_int32_t method;
        const char *words;
    } cases[] = {
        {"../config.json", two_bytes, ZIP_CM_STORE, "leads out of the archive"},
        {"a/../../config.json", two_bytes, ZIP_CM_STORE, "leads out of the archive"},
        {"/etc/passwd", two_bytes, ZIP_CM_STORE, "leads out of the archive"},
        {"config.json", a_bomb, ZIP_CM_DEFLATE, "over 100 times its size"},
        {"config.json", a_bomb, ZIP_CM_BZIP2, "method other than deflate"},
        {"other.json", two_bytes, ZIP_CM_STORE, "config.json is missing"},
        {"config.json", two_bytes, ZIP_CM_STORE, "model.weights.h5 is missing"},
    };
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const char *path = test_path("hostile.keras");
        if (test_rank() == 0)
            make_archive(path, cases[i].member, cases[i].content, cases[i].method);
        strata__archive archive;
        strata__archive_open(ctx, path, &archive);
        assert_all_error(ctx, STRATA_BAD_DATA, cases[i].words);
    }
}

/* Replaces every occurrence of some bytes in a file by others of the same length. */
static void patch(const char *path, const char *from, const char *to, size_t length)
{
    char bytes[4096];
    FILE *file = fopen(path, "r+b");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, from, length) == 0)
            memcpy(bytes + i, to, length);
    }
    rewind(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void check_patched(const char *from, const char *to, size_t length, const char *words)
{
    strata_context *ctx = test_context(NULL);
    strata__archive archive;
    const char *path = test_path("patched.keras");
    if (test_rank() == 0) {
        zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
        zip_file_add(zip, "config.json", two_bytes(zip), 0);
        zip_file_add(zip, "config.jsom", two_bytes(zip), 0);
        assert_int_equal(zip_close(zip), 0);
        patch(path, from, to, length);
    }
    strata__archive_open(ctx, path, &archive);
    assert_all_error(ctx, STRATA_BAD_DATA, words);
}

static void test_patched_archives_are_refused(void **state)
{
    (void)state;
    check_patched("config.jsom", "config.json", 11, "stands in it twice");
    check_patched("config.jsom", "config.js\0m", 11, "no Keras archive");
    check_patched("config.jsom", "../fig.jsom", 11, "leads out of the archive");
}

static void test_encrypted_members_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata__archive archive;
    const char *path = test_path("encrypted.keras");
    if (test_rank() == 0) {
        zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
        zip_int64_t index = zip_file_add(zip, "config.json", two_bytes(zip), 0);
        zip_file_set_encryption(zip, (zip_uint64_t)index, ZIP_EM_AES_256, "secret");
        assert_int_equal(zip_close(zip), 0);
    }
    strata__archive_open(ctx, path, &archive);
    assert_all_error(ctx, STRATA_BAD_DATA, "config.json is encrypted");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_of_a_keras_archive),
        cmocka_unit_test(test_archive_and_weights_file_agree),
        cmocka_unit_test(test_what_was_written_comes_back),
        cmocka_unit_test(test_weights_are_read_in_place),
        cmocka_unit_test(test_members_look_like_those_of_keras),
        cmocka_unit_test(test_a_missing_archive_is_one_error_for_all),
        cmocka_unit_test(test_hostile_members_are_refused),
        cmocka_unit_test(test_patched_archives_are_refused),
        cmocka_unit_test(test_encrypted_members_are_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
