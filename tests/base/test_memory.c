/* Counted memory: alignment, counts, reuse, sizes that cannot be had. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include <string.h>

#include "base/memory.h"

static void test_blocks_are_aligned_and_apart(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    enum { COUNT = 600 };
    unsigned char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        size_t size = (size_t)i * 7;
        blocks[i] = strata__alloc(ctx, size);
        assert_int_equal((uintptr_t)blocks[i] % STRATA__ALIGNMENT, 0);
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < COUNT; i++) {
        for (int byte = 0; byte < i * 7; byte++)
            assert_int_equal(blocks[i][byte], i % 256);
        strata__free(ctx, blocks[i]);
    }
}

/* Every size up to some and around the borders of the size classes: all its bytes are usable (a
 * sanitizer looks on). */
static void test_every_size_fits_its_class(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    for (size_t size = 0; size < 3000; size++) {
        void *block = strata__alloc(ctx, size);
        memset(block, 1, size);
        strata__free(ctx, block);
    }
    for (int log2 = 12; log2 < 24; log2++) {
        for (size_t quarter = 4; quarter < 8; quarter++) {
            size_t size = quarter << (log2 - 2);
            for (size_t near = size - 1; near <= size + 1; near++) {
                char *block = strata__alloc(ctx, near);
                block[0] = block[near - 1] = 1;
                strata__free(ctx, block);
            }
        }
    }
}

static void test_counts(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    void *a = strata__alloc(ctx, 100), *b = strata__calloc(ctx, 10, 20);
    assert_int_equal(ctx->memory.live_blocks, 2);
    assert_int_equal(ctx->memory.live_bytes, 300);
    strata__free(ctx, a);
    strata__free(ctx, NULL);
    assert_int_equal(ctx->memory.live_blocks, 1);
    assert_int_equal(ctx->memory.live_bytes, 200);
    assert_int_equal(ctx->memory.peak_bytes, 300);
    assert_true(ctx->memory.system_bytes >= 300);
    strata__free(ctx, b);
    assert_int_equal(ctx->memory.live_bytes, 0);
}

static void test_steady_use_asks_the_system_for_nothing(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    int64_t asked = 0;
    for (int step = 0; step < 10; step++) {
        void *blocks[20];
        for (size_t i = 0; i < 20; i++)
            blocks[i] = strata__alloc(ctx, 1000 * i);
        for (size_t i = 0; i < 20; i++)
            strata__free(ctx, blocks[i]);
        if (step == 0)
            asked = ctx->memory.system_allocations;
    }
#if !defined(__SANITIZE_ADDRESS__) /* there, each block is the system's own */
    assert_int_equal(ctx->memory.system_allocations, asked);
#endif
    assert_true(asked > 0);
}

static void test_calloc_clears_reused_blocks(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char *dirty = strata__alloc(ctx, 1000);
    memset(dirty, 0x55, 1000);
    strata__free(ctx, dirty);
    char *clean = strata__calloc(ctx, 250, 4);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(clean[i], 0);
    strata__free(ctx, clean);
}

static void test_realloc_keeps_contents(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char *text = strata__realloc(ctx, NULL, 4);
    strcpy(text, "abc");
    text = strata__realloc(ctx, text, 5000);
    assert_string_equal(text, "abc");
    text = strata__realloc(ctx, text, 2);
    assert_memory_equal(text, "ab", 2);
    assert_int_equal(ctx->memory.live_blocks, 1);
    strata__free(ctx, text);
}

static void test_too_much_is_an_error(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char *kept = strata__strdup(ctx, "kept");
    assert_null(strata__alloc(ctx, SIZE_MAX));
    assert_all_error(ctx, STRATA_NO_MEMORY,
                     "cannot allocate 18446744073709551615 bytes (5 are in use)");
    assert_null(strata__calloc(ctx, SIZE_MAX / 2, 3));
    assert_all_error(ctx, STRATA_NO_MEMORY, "cannot allocate");
    assert_null(strata__realloc(ctx, kept, SIZE_MAX / 2));
    assert_all_error(ctx, STRATA_NO_MEMORY, "cannot allocate");
    assert_string_equal(kept, "kept");
    strata__free(ctx, kept);
}

static void test_texts(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    char *copy = strata__strdup(ctx, "dense"), *made = strata__format(ctx, "%s_%d", "dense", 12);
    assert_string_equal(copy, "dense");
    assert_string_equal(made, "dense_12");
    assert_null(strata__strdup(ctx, NULL));
    assert_all_ok(ctx);
    strata__free(ctx, copy);
    strata__free(ctx, made);
}

static void test_trim_gives_back(void **state)
{
    (void)state;
    strata_context *ctx = test_context_without_mesh();
    void *kept = strata__alloc(ctx, 64);
    int64_t before = ctx->memory.system_bytes;
    for (size_t size = 1; size < 100000; size *= 3)
        strata__free(ctx, strata__alloc(ctx, size));
    strata__memory_trim(ctx);
    assert_int_equal(ctx->memory.system_bytes, before);
    strata__free(ctx, kept);
}

static void test_context_tells_what_is_left(void **state)
{
    (void)state;
    strata_context *ctx = strata__context_new();
    void *left = strata__alloc(ctx, 10);
    strata__free(ctx, strata__alloc(ctx, 10));
    assert_int_equal(ctx->memory.live_blocks, 1);
    strata__free(ctx, left);
    assert_int_equal(strata__context_free(ctx), 0);
    assert_int_equal(strata__context_free(NULL), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_and_apart),
        cmocka_unit_test(test_every_size_fits_its_class),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_steady_use_asks_the_system_for_nothing),
        cmocka_unit_test(test_calloc_clears_reused_blocks),
        cmocka_unit_test(test_realloc_keeps_contents),
        cmocka_unit_test(test_too_much_is_an_error),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_trim_gives_back),
        cmocka_unit_test(test_context_tells_what_is_left),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
