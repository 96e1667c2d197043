/* Context: sticky errors, statuses, element types, automatic names, texts that grow. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"

static void test_first_error_is_kept(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    assert_int_equal(strata__fail(ctx, STRATA_INVALID, "first %d", 1), STRATA_INVALID);
    assert_int_equal(strata__fail(ctx, STRATA_IO, "second"), STRATA_IO);
    assert_int_equal(ctx->status, STRATA_INVALID);
    assert_string_equal(ctx->message, "first 1");
    assert_all_error(ctx, STRATA_INVALID, "first 1");
    assert_int_equal(ctx->status, STRATA_OK);
}

static void test_message_is_one_line_of_printable_text(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__fail(ctx, STRATA_BAD_DATA, "a\nb\tc\033[31m\rd é");
    assert_string_equal(ctx->message, "a b c [31m d é");
    assert_all_error(ctx, STRATA_BAD_DATA, "");
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    strata__fail(ctx, STRATA_BAD_DATA, "%s", longer);
    assert_int_equal(strlen(ctx->message), STRATA__MESSAGE_SIZE - 1);
    assert_all_error(ctx, STRATA_BAD_DATA, "xxx");
}

static void test_log_depends_on_verbosity_and_rank(void **state)
{
    (void)state;
    static const struct {
        int verbosity, rank;
        const char *log;
    } cases[] = {
        {0, 0, ""},
        {1, 0, "strata: warning: slow 1\n"},
        {2, 0, "strata: warning: slow 1\nstrata: saved x\n"},
        {2, 1, ""},
    };
    strata_context *ctx = test_context_without_mesh();
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char text[200] = "";
        FILE *kept = stderr;
        ctx->verbosity = cases[i].verbosity;
        ctx->rank = cases[i].rank;
        stderr = fmemopen(text, sizeof text, "w");
        strata__warn(ctx, "slow %d", 1);
        strata__inform(ctx, "saved %s", "x");
        fclose(stderr);
        stderr = kept;
        assert_string_equal(text, cases[i].log);
    }
}

static void test_statuses(void **state)
{
    (void)state;
    assert_string_equal(strata_status_text(STRATA_OK), "success");
    assert_string_equal(strata_status_text(STRATA_NO_MEMORY), "out of memory");
    assert_string_equal(strata_status_text((strata_status)1000), "unknown");
    assert_int_equal(strata_status_exit_code(STRATA_OK), 0);
    assert_int_equal(strata_status_exit_code(STRATA_INVALID), 1);
    assert_int_equal(strata_status_exit_code(STRATA_BAD_DATA), 65);
    assert_int_equal(strata_status_exit_code((strata_status)-1), 70);
}

static void test_element_types(void **state)
{
    (void)state;
    strata_dtype dtype;
    assert_true(strata_dtype_from_name("float32", &dtype) && dtype == STRATA_FLOAT32);
    assert_true(strata_dtype_from_name("int64", &dtype) && dtype == STRATA_INT64);
    assert_false(strata_dtype_from_name("float", &dtype));
    assert_string_equal(strata_dtype_name(STRATA_BOOL), "bool");
    assert_int_equal(strata_dtype_size(STRATA_FLOAT64), 8);
    assert_string_equal(strata_dtype_name((strata_dtype)99), "unknown");
    assert_int_equal(strata_dtype_size((strata_dtype)99), 0);
}

static void assert_next_name(strata_context *ctx, const char *prefix, const char *expected)
{
    char *name = strata__unique_name(ctx, prefix);
    assert_string_equal(name, expected);
    strata__free(ctx, name);
}

static void test_automatic_names_count_by_prefix(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    assert_next_name(ctx, "dense", "dense");
    assert_next_name(ctx, "dense", "dense_1");
    assert_next_name(ctx, "conv2d", "conv2d");
    assert_next_name(ctx, "dense", "dense_2");
    strata__names_reset(ctx);
    assert_next_name(ctx, "dense", "dense");
    assert_next_name(ctx, "conv2d", "conv2d");
}

/* Class names and the automatic names that Keras gives their layers. */
static void test_snake_case(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    static const char *const cases[][2] = {
        {"Dense", "dense"},
        {"Conv2D", "conv2d"},
        {"Conv2DTranspose", "conv2d_transpose"},
        {"ReLU", "re_lu"},
        {"PReLU", "p_re_lu"},
        {"LeakyReLU", "leaky_re_lu"},
        {"ELU", "elu"},
        {"LSTM", "lstm"},
        {"GRUCell", "gru_cell"},
        {"ConvLSTM2D", "conv_lstm2d"},
        {"SimpleRNN", "simple_rnn"},
        {"RMSNormalization", "rms_normalization"},
        {"GlobalAveragePooling1D", "global_average_pooling1d"},
        {"MelSpectrogram", "mel_spectrogram"},
        {"STFTSpectrogram", "stft_spectrogram"},
        {"BatchNormalization", "batch_normalization"},
        {"L1L2", "l1l2"},
        {"My_Layer", "my__layer"},
        {"my-layer", "mylayer"},
        {"", ""},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        char *name = strata__snake_case(ctx, cases[i][0]);
        assert_string_equal(name, cases[i][1]);
        strata__free(ctx, name);
    }
}

static void test_snake_case_stays_in_its_buffer(void **state)
{
    (void)state;
    char text[8];
    for (size_t size = 1; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        size_t length = strata__snake_case_into("AaBbCcDdEe", text, size);
        assert_true(length < size && strlen(text) == length);
        assert_int_equal(strncmp(text, "aa_bb_cc", length), 0);
        for (size_t i = size; i < sizeof text; i++)
            assert_int_equal(text[i], '#');
    }
}

static void test_text_grows(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    strata__text text = {.ctx = ctx};
    for (int i = 0; i < 1000; i++) {
        strata__text_format(&text, "%d", i % 10);
        strata__text_puts(&text, ", ");
        strata__text_add(&text, "ab", 1);
    }
    assert_int_equal(text.length, 4000);
    char *made = strata__text_take(&text);
    assert_int_equal(strlen(made), 4000);
    assert_string_equal(made + 3992, "8, a9, a");
    strata__free(ctx, made);
    char *empty = strata__text_take(&text);
    assert_string_equal(empty, "");
    strata__free(ctx, empty);
}

static void test_list_find(void **state)
{
    (void)state;
    size_t length;
    const char *list = "valid|same|Causal";
    assert_ptr_equal(strata__list_find(list, "valid", false, &length), list);
    assert_ptr_equal(strata__list_find(list, "causal", true, &length), list + 11);
    assert_int_equal(length, 6);
    assert_null(strata__list_find(list, "causal", false, &length));
    assert_null(strata__list_find(list, "sam", true, &length));
    assert_null(strata__list_find(list, "valid|same", true, &length));
    assert_null(strata__list_find(list, "", true, &length));
    assert_null(strata__list_find(NULL, "valid", true, &length));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_error_is_kept),
        cmocka_unit_test(test_message_is_one_line_of_printable_text),
        cmocka_unit_test(test_log_depends_on_verbosity_and_rank),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_element_types),
        cmocka_unit_test(test_automatic_names_count_by_prefix),
        cmocka_unit_test(test_snake_case),
        cmocka_unit_test(test_snake_case_stays_in_its_buffer),
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_list_find),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
