/* Datasets: arrays in memory, their slices, what does not fit together. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 */
#include <string.h>

#include "data/dataset.h"
#include "harness.h"
#include "sessions.h"

enum { SAMPLES = 5 };
static const float x[SAMPLES][2] = {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}};
static const uint8_t y[SAMPLES] = {10, 11, 12, 13, 14};

static strata_dataset *numbers(strata_context *ctx)
{
    return strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(SAMPLES, 2), STRATA_FLOAT32, "pixels"}},
                                .y = {{y, STRATA_SHAPE(SAMPLES), STRATA_UINT8}});
}

static void test_arrays_become_columns(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_dataset *data = numbers(ctx);
    assert_all_ok(ctx);
    assert_all_int_equal(strata_dataset_size(data), SAMPLES);
    assert_all_int_equal(data->x_count, 1);
    assert_all_string_equal(data->x[0].name, "pixels");
    assert_all_int_equal(data->x[0].sample.rank, 1);
    assert_all_int_equal(data->x[0].sample_bytes, 2 * sizeof(float));
    assert_all_int_equal(data->y_count, 1);
    assert_all(data->y[0].name == NULL);
    assert_all_int_equal(data->y[0].sample.rank, 0);
    assert_all_int_equal(data->weight_count, 0);
}

static void test_slices_share_the_memory(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    strata_dataset *data = numbers(ctx), *middle = strata_dataset_slice(data, 1, 3);
    strata_dataset *inner = strata_dataset_slice(middle, 2, 1);
    assert_all_ok(ctx);
    assert_all_int_equal(strata_dataset_size(middle), 3);
    assert_all(middle->x[0].data == (const char *)x[1]);
    assert_all_int_equal(strata_dataset_size(inner), 1);
    assert_all(inner->y[0].data == (const char *)&y[3]);
    strata_dataset_free(middle);
    assert_all_string_equal(inner->x[0].name, "pixels");
}

static void test_slices_stay_inside(void **state)
{
    (void)state;
    static const int64_t wrong[][2] = {{-1, 2}, {0, 0}, {0, SAMPLES + 1}, {3, 3}, {4, INT64_MAX}};
    strata_context *ctx = test_session(NULL);
    strata_dataset *data = numbers(ctx);
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_all(strata_dataset_slice(data, wrong[i][0], wrong[i][1]) == NULL);
        assert_all_error(ctx, STRATA_INVALID, "slice");
    }
}

static void test_arrays_that_do_not_fit(void **state)
{
    (void)state;
    strata_context *ctx = test_session(NULL);
    assert_all(strata_array_dataset(ctx, .y = {{y, STRATA_SHAPE(SAMPLES), STRATA_UINT8}}) == NULL);
    assert_all_error(ctx, STRATA_INVALID, "without x");
    assert_all(strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(SAMPLES, 2), STRATA_FLOAT32}},
                                    .y = {{y, STRATA_SHAPE(4), STRATA_UINT8, "labels"}}) == NULL);
    assert_all_error(ctx, STRATA_INVALID, "'labels' has 4, the arrays before it 5");
    assert_all(strata_array_dataset(ctx, .x = {{x, STRATA_SHAPE(0, 2), STRATA_FLOAT32}}) == NULL);
    assert_all_error(ctx, STRATA_INVALID, "no samples");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrays_become_columns),
        cmocka_unit_test(test_slices_share_the_memory),
        cmocka_unit_test(test_slices_stay_inside),
        cmocka_unit_test(test_arrays_that_do_not_fit),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
