/* Arrays in files: NPY and IDX, packed or not, sound and damaged. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/memory.h"
#include "harness.h"
#include "storage/array.h"
#include "storage/npy.h"

/* Every rank works for itself, on files of its own. */
static const char *own_path(const char *name)
{
    char own[64];
    snprintf(own, sizeof own, "%d.%s", test_rank(), name);
    return test_path(own);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static void write_packed(const char *path, const void *bytes, size_t size)
{
    gzFile out = gzopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(gzwrite(out, bytes, (unsigned)size), size);
    assert_int_equal(gzclose(out), Z_OK);
}

/* 3 images of 2 × 2 */
static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2,  0,  0,
                                       0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static strata__array *open_array(strata_context *ctx, const char *path)
{
    strata__array *array;
    strata__array_open(ctx, path, &array);
    assert_all_ok(ctx);
    return array;
}

static void check_images(strata_context *ctx, const char *path, bool mapped)
{
    unsigned char rows[12] = {0};
    strata__array *array = open_array(ctx, path);
    assert_all_int_equal(array->dtype, STRATA_UINT8);
    assert_all_int_equal(array->shape.rank, 3);
    assert_all_int_equal(array->rows, 3);
    assert_all_int_equal(array->row_bytes, 4);
    strata__array_read(ctx, array, 2, 1, rows);
    strata__array_read(ctx, array, 0, 2, rows + 4);
    assert_all_ok(ctx);
    assert_all(memcmp(rows, images + 24, 4) == 0 && memcmp(rows + 4, images + 16, 8) == 0);
    const void *map = strata__array_map(array);
    assert_all(mapped ? map && memcmp(map, images + 16, 12) == 0 : map == NULL);
    strata__array_close(ctx, array);
}

static void test_idx_plain_and_packed(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    write_file(own_path("images"), images, sizeof images);
    check_images(ctx, own_path("images"), true);
    write_packed(own_path("images.gz"), images, sizeof images);
    check_images(ctx, own_path("images.gz"), false);
}

static void test_idx_of_big_endian_floats(void **state)
{
    (void)state;
    static const unsigned char file[] = {0,    0,    0x0d, 1, 0,    0,    0, 2,
                                         0x3f, 0x80, 0,    0, 0xc0, 0x20, 0, 0};
    strata_context *ctx = test_context_without_mesh();
    float values[2];
    write_file(own_path("floats"), file, sizeof file);
    strata__array *array = open_array(ctx, own_path("floats"));
    strata__array_read(ctx, array, 0, 2, values);
    assert_all_ok(ctx);
    assert_all(values[0] == 1 && values[1] == -2.5f && !strata__array_map(array));
    strata__array_close(ctx, array);
}

typedef struct refusal {
    const char *bytes;
    size_t size;
    strata_status status;
    const char *words;
} refusal;

#define BYTES(text) text, sizeof text - 1

static void check_refusals(const refusal *cases, size_t count)
{
    strata_context *ctx = test_context_without_mesh();
    for (size_t i = 0; i < count; i++) {
        strata__array *array;
        write_file(own_path("refused"), cases[i].bytes, cases[i].size);
        strata__array_open(ctx, own_path("refused"), &array);
        assert_all_error(ctx, cases[i].status, cases[i].words);
    }
}

static void test_idx_headers_that_are_refused(void **state)
{
    (void)state;
    static const refusal cases[] = {
        {BYTES(""), STRATA_BAD_DATA, "neither an NPY nor an IDX file"},
        {BYTES("\0\1\10\1"), STRATA_BAD_DATA, "neither"},
        {BYTES("\0\0\10\0"), STRATA_BAD_DATA, "has 0 axes"},
        {BYTES("\0\0\10\11"), STRATA_BAD_DATA, "has 9 axes"},
        {BYTES("\0\0\11\1\0\0\0\1x"), STRATA_UNSUPPORTED, "type 0x09"},
        {BYTES("\0\0\10\2\0\0\0\1\0\0"), STRATA_BAD_DATA, "expected 12 bytes, found 10"},
        {BYTES("\0\0\10\1\0\0\0\3xy"), STRATA_BAD_DATA, "has 10 bytes; expected 11"},
        {BYTES("\0\0\10\1\0\0\0\1xy"), STRATA_BAD_DATA, "has 10 bytes; expected 9"},
        {BYTES("\0\0\16\3\377\377\377\377\377\377\377\377\377\377\377\377"), STRATA_BAD_DATA,
         "multiply to over"},
    };
    check_refusals(cases, TEST_COUNT(cases));
}

static void test_packed_files_that_lie(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const unsigned char huge[] = {0, 0, 8, 2, 0x7f, 255, 255, 255, 0x7f, 255, 255, 255, 1};
    strata__array *array;
    unsigned char rows[12];
    write_packed(own_path("huge.gz"), huge, sizeof huge);
    strata__array_open(ctx, own_path("huge.gz"), &array);
    assert_all_error(ctx, STRATA_BAD_DATA, "packed; expected 46116860");
    write_packed(own_path("short.gz"), images, sizeof images - 1);
    array = open_array(ctx, own_path("short.gz"));
    strata__array_read(ctx, array, 0, 3, rows);
    assert_all_error(ctx, STRATA_BAD_DATA, "28 bytes were expected, 27 found");
    strata__array_close(ctx, array);
    unsigned char longer[sizeof images + 1] = {0};
    memcpy(longer, images, sizeof images);
    write_packed(own_path("long.gz"), longer, sizeof longer);
    array = open_array(ctx, own_path("long.gz"));
    strata__array_read(ctx, array, 0, 3, rows);
    assert_all_error(ctx, STRATA_BAD_DATA, "more than the 28 bytes");
    strata__array_close(ctx, array);
}

/* An .npy file of version 1.0 with this header and these elements. */
static size_t make_npy(char *file, const char *header, const void *elements, size_t bytes)
{
    size_t length = strlen(header);
    memcpy(file, "\x93NUMPY\1\0", 8);
    file[8] = (char)(length & 255);
    file[9] = (char)(length >> 8);
    memcpy(file + 10, header, length);
    memcpy(file + 10 + length, elements, bytes);
    return 10 + length + bytes;
}

static void test_npy_headers_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        strata_status status;
        const char *words;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", STRATA_BAD_DATA,
         "has 67 bytes; expected 75"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", STRATA_UNSUPPORTED,
         "type '|O'"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", STRATA_UNSUPPORTED,
         "type '<f2'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", STRATA_UNSUPPORTED,
         "records"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", STRATA_UNSUPPORTED,
         "ascontiguousarray"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", STRATA_BAD_DATA,
         "whole numbers"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
         STRATA_BAD_DATA, "whole numbers"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
         STRATA_BAD_DATA, "multiply to over"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }",
         STRATA_UNSUPPORTED, "more than 8 axes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", STRATA_BAD_DATA, "a tuple"},
        {"{'descr': '<f4', 'fortran_order': False}", STRATA_BAD_DATA, "the keys"},
        {"{'descr': '<f4', 'descr': '<f4', 'shape': ()}", STRATA_BAD_DATA, "once"},
        {"{'descr': '<f4', 'fortran_order': None, 'shape': ()}", STRATA_BAD_DATA, "True or False"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", STRATA_BAD_DATA,
         "nothing after"},
        {"{'descr': '<f4", STRATA_UNSUPPORTED, "long type name"},
        {"(", STRATA_BAD_DATA, "a dictionary"},
    };
    strata_context *ctx = test_context_without_mesh();
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__array *array;
        char file[512];
        write_file(own_path("case.npy"), file, make_npy(file, cases[i].header, "", 0));
        strata__array_open(ctx, own_path("case.npy"), &array);
        assert_all_error(ctx, cases[i].status, cases[i].words);
    }
}

static void test_npy_versions_that_are_refused(void **state)
{
    (void)state;
    static const refusal cases[] = {
        {BYTES("\x93NUMPY"), STRATA_BAD_DATA, "ends in its header"},
        {BYTES("\x93NUMPY\1\0\377\377{"), STRATA_BAD_DATA, "has a header of 65535 bytes"},
        {BYTES("\x93NUMPY\4\0\0\0\0\0"), STRATA_UNSUPPORTED, "version 4.0"},
        {BYTES("\x93NUMPY\2\0\377\377\377\377"), STRATA_BAD_DATA, "has a header of 4294967295"},
    };
    check_refusals(cases, TEST_COUNT(cases));
}

/* numpy.save of float64 [[1, 2]] in big-endian order, version 2.0 */
static void test_npy_of_foreign_order_and_version(void **state)
{
    (void)state;
    static const char header[] = "{'descr': '>f8', 'fortran_order': False, 'shape': (1, 2), }\n";
    static const char elements[] = "\x3f\xf0\0\0\0\0\0\0\x40\0\0\0\0\0\0";
    strata_context *ctx = test_context_without_mesh();
    char file[256] = "\x93NUMPY\2";
    double values[2];
    size_t length = strlen(header);
    file[8] = (char)length;
    memcpy(file + 12, header, length);
    memcpy(file + 12 + length, elements, 16);
    write_file(own_path("foreign.npy"), file, 12 + length + 16);
    strata__array *array = open_array(ctx, own_path("foreign.npy"));
    strata__array_read(ctx, array, 0, 1, values);
    assert_all_ok(ctx);
    assert_all(array->dtype == STRATA_FLOAT64 && values[0] == 1 && values[1] == 2);
    strata__array_close(ctx, array);
}

static void check_round_trip(strata_dtype dtype, strata_shape shape, const void *data)
{
    strata_context *ctx = test_context_without_mesh();
    strata__npy_writer writer;
    char read[64] = "";
    strata__npy_create(ctx, own_path("trip.npy"), dtype, shape, &writer);
    assert_all_ok(ctx);
    int64_t rows = writer.rows, first = rows / 2, row_bytes = writer.row_bytes;
    strata__npy_write(ctx, &writer, first, rows - first, (const char *)data + first * row_bytes);
    strata__npy_write(ctx, &writer, 0, first, data);
    strata__npy_finish(ctx, &writer);
    strata__array *array = open_array(ctx, own_path("trip.npy"));
    assert_all(array->dtype == dtype && array->shape.rank == shape.rank);
    assert_all_int_equal(array->rows, rows);
    strata__array_read(ctx, array, 0, rows, read);
    assert_all_ok(ctx);
    assert_all(memcmp(read, data, (size_t)(rows * row_bytes)) == 0);
    strata__array_close(ctx, array);
}

static void test_npy_comes_back(void **state)
{
    (void)state;
    check_round_trip(STRATA_FLOAT32, STRATA_SHAPE(3, 2), (float[]){1, 2, 3, 4, 5, 6});
    check_round_trip(STRATA_FLOAT64, STRATA_SHAPE(2), (double[]){0.1, -0.0});
    check_round_trip(STRATA_INT32, STRATA_SHAPE(1, 1, 2), (int32_t[]){-5, 7});
    check_round_trip(STRATA_INT64, STRATA_SCALAR, (int64_t[]){INT64_MIN});
    check_round_trip(STRATA_UINT8, STRATA_SHAPE(3), (uint8_t[]){1, 2, 255});
    check_round_trip(STRATA_BOOL, STRATA_SHAPE(2, 1), (uint8_t[]){1, 0});
    check_round_trip(STRATA_FLOAT32, STRATA_SHAPE(0, 3), "");
}

static void test_rows_that_do_not_exist(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char out[64];
    strata__npy_writer writer;
    write_file(own_path("images"), images, sizeof images);
    strata__array *array = open_array(ctx, own_path("images"));
    strata__array_read(ctx, array, 2, 2, out);
    assert_all_error(ctx, STRATA_INVALID, "rows 2 to 4 do not exist");
    strata__array_read(ctx, array, -1, 1, out);
    assert_all_error(ctx, STRATA_INVALID, "do not exist");
    strata__array_close(ctx, array);
    strata__npy_create(ctx, own_path("rows.npy"), STRATA_UINT8, STRATA_SHAPE(2), &writer);
    strata__npy_write(ctx, &writer, 1, 2, "xy");
    assert_all_error(ctx, STRATA_INVALID, "do not exist");
    strata__npy_discard(ctx, &writer);
    strata__array_open(ctx, own_path("rows.npy"), &array);
    assert_all_error(ctx, STRATA_NO_INPUT, "rows.npy");
}

/* What an attempt gives; `same`: the elements are those of `images`. */
static strata_status read_all(strata_context *ctx, const char *path, bool *same)
{
    strata__array *array;
    strata_status status = strata__array_open(ctx, path, &array);
    *same = false;
    if (status == STRATA_OK) {
        int64_t bytes = array->rows * array->row_bytes;
        char *rows = malloc((size_t)bytes + 1);
        status = strata__array_read(ctx, array, 0, array->rows, rows);
        *same = bytes == 12 && memcmp(rows, images + 16, 12) == 0;
        free(rows);
        strata__array_close(ctx, array);
    }
    ctx->status = STRATA_OK;
    return status;
}

static size_t read_file(const char *path, char *bytes, size_t capacity)
{
    FILE *in = fopen(path, "rb");
    size_t size = fread(bytes, 1, capacity, in);
    fclose(in);
    return size;
}

static bool is_cut_noticed(strata_context *ctx, const char *file, size_t size)
{
    bool same;
    write_file(own_path("spoilt"), file, size);
    return read_all(ctx, own_path("spoilt"), &same) == STRATA_BAD_DATA;
}

/* Refused or, without a checksum, other elements; but never wrong ones out of a packed file. */
static bool is_change_met(strata_context *ctx, const char *file, size_t size, bool packed)
{
    bool same;
    write_file(own_path("spoilt"), file, size);
    strata_status status = read_all(ctx, own_path("spoilt"), &same);
    return status == STRATA_BAD_DATA || status == STRATA_UNSUPPORTED ||
           (status == STRATA_OK && (same || !packed));
}

static void spoil(const char *name, bool packed)
{
    strata_context *ctx = test_context_without_mesh();
    char file[1024];
    size_t size = read_file(own_path(name), file, sizeof file);
    bool good = true;
    for (size_t length = 0; length < size; length++)
        good &= is_cut_noticed(ctx, file, length);
    assert_all(good);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        file[bit / 8] ^= (char)(1 << bit % 8);
        good &= is_change_met(ctx, file, size, packed);
        file[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_all(good);
}

static void test_spoilt_files(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__npy_writer writer;
    write_file(own_path("whole.idx"), images, sizeof images);
    write_packed(own_path("whole.gz"), images, sizeof images);
    strata__npy_create(ctx, own_path("whole.npy"), STRATA_FLOAT32, STRATA_SHAPE(2), &writer);
    strata__npy_write(ctx, &writer, 0, 2, (float[]){1, 2});
    strata__npy_finish(ctx, &writer);
    assert_all_ok(ctx);
    spoil("whole.idx", false);
    spoil("whole.gz", true);
    spoil("whole.npy", false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx_plain_and_packed),
        cmocka_unit_test(test_idx_of_big_endian_floats),
        cmocka_unit_test(test_idx_headers_that_are_refused),
        cmocka_unit_test(test_packed_files_that_lie),
        cmocka_unit_test(test_npy_headers_that_are_refused),
        cmocka_unit_test(test_npy_versions_that_are_refused),
        cmocka_unit_test(test_npy_of_foreign_order_and_version),
        cmocka_unit_test(test_npy_comes_back),
        cmocka_unit_test(test_rows_that_do_not_exist),
        cmocka_unit_test(test_spoilt_files),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
