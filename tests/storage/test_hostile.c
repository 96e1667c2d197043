/* HDF5 files made to do harm: what reaches out of the file or claims too much is refused. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 3 */
#include <hdf5.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "storage/weights.h"

/* Each maker puts something bad under the group `vars` of layers/dense. */
typedef void maker(hid_t vars);

static void make_dataset(hid_t vars, hid_t type, int rank, const hsize_t *dims, hid_t creation)
{
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t dataset = H5Dcreate2(vars, "0", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

static void another_file_as_storage(hid_t vars)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "/etc/passwd", 0, 64);
    make_dataset(vars, H5T_STD_U8LE, 1, (hsize_t[]){64}, creation);
    H5Pclose(creation);
}

static void a_virtual_dataset(hid_t vars)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, (hsize_t[]){4}, NULL);
    H5Pset_virtual(creation, space, "/etc/passwd", "x", space);
    make_dataset(vars, H5T_IEEE_F32LE, 1, (hsize_t[]){4}, creation);
    H5Sclose(space);
    H5Pclose(creation);
}

static void a_soft_link(hid_t vars)
{
    H5Lcreate_soft("/layers", vars, "0", H5P_DEFAULT, H5P_DEFAULT);
}

static void an_external_link(hid_t vars)
{
    H5Lcreate_external("other.h5", "/", vars, "0", H5P_DEFAULT, H5P_DEFAULT);
}

static void four_tebibytes(hid_t vars)
{
    make_dataset(vars, H5T_IEEE_F32LE, 1, (hsize_t[]){(hsize_t)1 << 40}, H5P_DEFAULT);
}

static void sizes_that_overflow(hid_t vars)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 3, (hsize_t[]){1, 1, 1});
    make_dataset(vars, H5T_IEEE_F32LE, 3,
                 (hsize_t[]){(hsize_t)1 << 31, (hsize_t)1 << 31, (hsize_t)1 << 31}, creation);
    H5Pclose(creation);
}

static void chunks_that_are_not_there(hid_t vars)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, (hsize_t[]){1024});
    H5Pset_deflate(creation, 9);
    make_dataset(vars, H5T_IEEE_F32LE, 1, (hsize_t[]){(hsize_t)1 << 40}, creation);
    H5Pclose(creation);
}

static void a_huge_chunk(hid_t vars)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, (hsize_t[]){(hsize_t)1 << 29});
    make_dataset(vars, H5T_IEEE_F32LE, 1, (hsize_t[]){(hsize_t)1 << 29}, creation);
    H5Pclose(creation);
}

static void another_filter(hid_t vars)
{
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, (hsize_t[]){4});
    H5Pset_filter(creation, 32015, H5Z_FLAG_OPTIONAL, 0, NULL);
    make_dataset(vars, H5T_IEEE_F32LE, 1, (hsize_t[]){4}, creation);
    H5Pclose(creation);
}

static void nine_axes(hid_t vars)
{
    make_dataset(vars, H5T_IEEE_F32LE, 9, (hsize_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, H5P_DEFAULT);
}

static void a_named_type(hid_t vars)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tcommit2(vars, "0", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(type);
}

static void a_group_in_itself(hid_t vars)
{
    H5Lcreate_hard(vars, ".", vars, "0", H5P_DEFAULT, H5P_DEFAULT);
}

static void a_name_for_the_terminal(hid_t vars)
{
    hid_t group = H5Gcreate2(vars, "\033[2J", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
}

static void make_file(const char *path, maker *make)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    hid_t vars = H5Gcreate2(file, "layers/dense/vars", links, H5P_DEFAULT, H5P_DEFAULT);
    make(vars);
    H5Gclose(vars);
    H5Pclose(links);
    H5Fclose(file);
}

static void test_harmful_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        maker *make;
        const char *words;
    } cases[] = {
        {another_file_as_storage, "'layers/dense/vars/0' in"},
        {another_file_as_storage, "in other files"},
        {a_virtual_dataset, "in other files"},
        {a_soft_link, "'layers/dense/vars/0' in"},
        {a_soft_link, "a link to another place"},
        {an_external_link, "a link to another place"},
        {four_tebibytes, "declares more bytes than the file holds"},
        {sizes_that_overflow, "declares more bytes than the file holds"},
        {chunks_that_are_not_there, "1000 times the bytes"},
        {a_huge_chunk, "chunks are larger"},
        {another_filter, "packed with a filter"},
        {nine_axes, "more than 8 axes"},
        {a_named_type, "neither a group nor a dataset"},
        {a_group_in_itself, "more than 64 levels"},
        {a_name_for_the_terminal, "characters that no name has"},
    };
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__weights *weights;
        if (test_rank() == 0)
            make_file(test_path("hostile.weights.h5"), cases[i].make);
        strata__weights_open(ctx, test_path("hostile.weights.h5"), &weights);
        assert_all_error(ctx, STRATA_BAD_DATA, cases[i].words);
    }
}

/* Types that are no plain numbers may lie in a file, but are not read as such. */
static void a_strange_float(hid_t vars)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_ebias(type, 100);
    make_dataset(vars, type, 1, (hsize_t[]){0}, H5P_DEFAULT);
    H5Tclose(type);
}

static void texts(hid_t vars)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    make_dataset(vars, type, 1, (hsize_t[]){0}, H5P_DEFAULT);
    H5Tclose(type);
}

static void references(hid_t vars)
{
    make_dataset(vars, H5T_STD_REF_OBJ, 1, (hsize_t[]){0}, H5P_DEFAULT);
}

static void test_types_that_are_no_numbers(void **state)
{
    (void)state;
    static maker *const cases[] = {a_strange_float, texts, references};
    strata_context *ctx = test_context(NULL);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        strata__weights *weights;
        strata_shape shape;
        strata_dtype dtype;
        if (test_rank() == 0)
            make_file(test_path("types.weights.h5"), cases[i]);
        strata__weights_open(ctx, test_path("types.weights.h5"), &weights);
        assert_all_ok(ctx);
        strata__weights_info(ctx, weights, "layers/dense", 0, &shape, &dtype);
        assert_all_error(ctx, STRATA_BAD_DATA, "no number");
        strata__weights_close(ctx, weights);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harmful_files_are_refused),
        cmocka_unit_test(test_types_that_are_no_numbers),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
