/* Digests: values of XXH64, and every bit counts. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include "base/digest.h"

enum { MOST = 222 };

static void fill(unsigned char bytes[MOST])
{
    for (int i = 0; i < MOST; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
}

/* From the xxhash module of Python: of so many bytes, with the seeds 0 and 0x9e3779b97f4a7c15. */
static void test_values_of_xxh64(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint64_t plain, seeded;
    } known[] = {
        {0, 0xef46db3751d8e999, 0xc4349fc93c010000},
        {1, 0xf592c0c7639c4cb6, 0x3f7ebbd0a20f83cc},
        {3, 0x22c08528601d4f27, 0xb829b5fbba7f12fb},
        {4, 0xfb1e5cf2f1ae4d95, 0x4d32e4c842c6371e},
        {7, 0x5613ac510496c04e, 0x566314bf1bda8aab},
        {8, 0x57cb2b7521f3e21a, 0x696e1fe0e0df37f4},
        {14, 0x393648aa0a97d46f, 0xf049a3cfd2ebcc2f},
        {31, 0xe4a0e629e519a4ae, 0xa348b910bc65b7bd},
        {32, 0xcc6b8aaada790b2d, 0x41c2eada450d18f0},
        {33, 0x35ec49850475a832, 0xb6f8c0b76af8f9da},
        {64, 0x155ccce4bf32befc, 0x4779d2a26a5085a9},
        {101, 0x30383413a6f6646a, 0x64609b74b1997187},
        {222, 0xf9ce30e0eafd7013, 0xec87dee950435c94},
    };
    unsigned char bytes[MOST];
    fill(bytes);
    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        assert_true(strata__digest(0, bytes, known[i].size) == known[i].plain);
        assert_true(strata__digest(0x9e3779b97f4a7c15, bytes, known[i].size) == known[i].seeded);
    }
    assert_true(strata__digest(0, "abc", 3) == 0x44bc2cf5ad770999);
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    unsigned char bytes[MOST];
    fill(bytes);
    uint64_t whole = strata__digest(0, bytes, MOST);
    for (int bit = 0; bit < 8 * MOST; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_true(strata__digest(0, bytes, MOST) != whole);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_xxh64),
        cmocka_unit_test(test_every_bit_counts),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
