/* Damage: the spoiled files of the golden set, files cut at every length, and every byte changed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "harness.h"
#include "mesh/mesh.h"
#include "storage/archive.h"
#include "storage/file.h"

/*
 * HDF5 itself asks for absurd sizes and loses memory on damaged files. Sanitizers call these.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

/* Forgets the error of an attempt, so that the next one can be made. */
static void forget(strata_context *ctx)
{
    ctx->status = STRATA_OK;
    ctx->message[0] = '\0';
    ctx->error_rank = -1;
}

static void read_everything(strata_context *ctx, const strata__weights *weights)
{
    const char *object;
    for (int i = 0; (object = strata__weights_object(weights, i)); i++) {
        int count = strata__weights_count(ctx, weights, object);
        for (int j = 0; j < count; j++) {
            strata_shape shape;
            strata_dtype dtype;
            float out[4096];
            int64_t elements = 1;
            if (strata__weights_info(ctx, weights, object, j, &shape, &dtype) != STRATA_OK)
                continue;
            for (int axis = 0; axis < shape.rank && elements <= 4096; axis++)
                elements *= shape.dims[axis];
            if (elements <= 4096)
                strata__weights_read(ctx, weights, object, j, NULL, NULL, STRATA_FLOAT32, out);
        }
    }
}

/* Opens the file as what it is and reads every variable; agreed. */
static strata_status load(strata_context *ctx, const char *path)
{
    strata__archive archive = {0};
    strata__weights *weights = NULL;
    size_t length = strlen(path);
    if (strcmp(path + length - 6, ".keras") != 0)
        strata__weights_open(ctx, path, &weights);
    else if (strata__archive_open(ctx, path, &archive) == STRATA_OK)
        strata__weights_open_bytes(ctx, &archive.weights, &weights);
    if (weights)
        read_everything(ctx, weights);
    strata_status status = strata__agree(ctx);
    strata__weights_close(ctx, weights);
    strata__archive_close(ctx, &archive);
    return status;
}

/*
 * What the container alone can tell; that a variable is missing, of another shape, or that a
 * config makes no model is found where models are read.
 */
static void test_spoiled_files_of_the_golden_set(void **state)
{
    (void)state;
    static const struct {
        const char *file, *words; /* NULL: the container is sound */
    } cases[] = {
        {"empty.keras", "no Keras archive"},
        {"not_a_zip.keras", "no Keras archive"},
        {"truncated_half.keras", "no Keras archive"},
        {"truncated_directory.keras", "no Keras archive"},
        {"flipped_byte.keras", "checksum"},
        {"no_config.keras", "config.json is missing"},
        {"no_weights.keras", "model.weights.h5 is missing"},
        {"weights_not_hdf5.keras", "not an HDF5 file"},
        {"weights_truncated.keras", "HDF5"},
        {"string_dataset.keras", "no number"},
        {"group_for_dataset.keras", "is a group"},
        {"truncated.weights.h5", "HDF5"},
        {"empty.weights.h5", "HDF5"},
        {"no_metadata.keras", NULL},
        {"deflated.keras", NULL},
        {"extra_member.keras", NULL},
        {"extra_group.keras", NULL},
        {"float64_dataset.keras", NULL},
        {"integer_dataset.keras", NULL},
        {"no_optimizer_group.keras", NULL},
        {"no_name_attributes.keras", NULL},
        {"compressed_dataset.keras", NULL},
        {"missing_group.keras", NULL},
        {"missing_dataset.weights.h5", NULL},
    };
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char name[128];
        snprintf(name, sizeof name, "files/damaged/%s", cases[i].file);
        load(ctx, test_golden(name));
        if (cases[i].words)
            assert_all_error(ctx, STRATA_BAD_DATA, cases[i].words);
        else
            assert_all_ok(ctx);
    }
}

typedef struct file {
    char *bytes;
    int64_t size;
} file;

static file read_file(strata_context *ctx, const char *path)
{
    strata__bytes bytes;
    strata__bytes_open(ctx, path, &bytes);
    assert_all_ok(ctx);
    file read = {malloc((size_t)bytes.size), bytes.size};
    strata__bytes_read(ctx, &bytes, 0, read.bytes, read.size);
    strata__bytes_free(ctx, &bytes);
    return read;
}

static void write_file(const char *path, const char *bytes, int64_t size)
{
    if (test_rank() != 0)
        return;
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, (size_t)size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* Steps that are prime, so that every alignment is met. */
static void check_truncations(strata_context *ctx, const file *from, const char *path, int64_t step)
{
    for (int64_t size = 0; size < from->size; size += size < 64 ? 1 : step) {
        write_file(path, from->bytes, size);
        strata_status status = load(ctx, path);
        forget(ctx);
        assert_all(status == STRATA_BAD_DATA);
    }
}

static void test_an_archive_cut_anywhere_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    file from = read_file(ctx, test_golden("files/damaged/deflated.keras"));
    check_truncations(ctx, &from, test_path("cut.keras"), 1);
    free(from.bytes);
}

static void test_a_weight_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    file from = read_file(ctx, test_golden("files/sequential_dense.weights.h5"));
    check_truncations(ctx, &from, test_path("cut.weights.h5"), 37);
    free(from.bytes);
}

/* Changes each byte in turn; how many of the files were refused. */
static int64_t check_flips(strata_context *ctx, file *from, const char *path, int64_t step)
{
    int64_t refused = 0;
    for (int64_t at = 0; at < from->size; at += step) {
        for (int bits = 0x01; bits <= 0xff; bits += 0xfe) {
            from->bytes[at] ^= (char)bits;
            write_file(path, from->bytes, from->size);
            strata_status status = load(ctx, path);
            forget(ctx);
            from->bytes[at] ^= (char)bits;
            assert_all(status == STRATA_OK || status == STRATA_BAD_DATA ||
                       status == STRATA_NO_MEMORY);
            refused += status != STRATA_OK;
        }
    }
    return refused;
}

static void test_an_archive_with_any_byte_changed(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    file from = read_file(ctx, test_golden("files/damaged/deflated.keras"));
    int64_t refused = check_flips(ctx, &from, test_path("flip.keras"), 1);
    assert_all(refused > from.size);
    free(from.bytes);
}

static void test_a_weight_file_with_any_byte_changed(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    file from = read_file(ctx, test_golden("files/sequential_dense.weights.h5"));
    int64_t refused = check_flips(ctx, &from, test_path("flip.weights.h5"), 5);
    assert_all(refused > 0);
    free(from.bytes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spoiled_files_of_the_golden_set),
        cmocka_unit_test(test_an_archive_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_weight_file_cut_anywhere_is_refused),
        cmocka_unit_test(test_an_archive_with_any_byte_changed),
        cmocka_unit_test(test_a_weight_file_with_any_byte_changed),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
