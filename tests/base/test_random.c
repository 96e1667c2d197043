/* Random numbers: known answers, the same value at any offset, distributions, permutations. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static const strata__key key = {.seed = 0x123456789abcdef0u, .stream = 42};

/* The vectors "philox4x32 10" of Random123's file kat_vectors. */
static void test_philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < TEST_COUNT(vectors); i++) {
        uint32_t out[4];
        strata__philox(vectors[i].counter, vectors[i].key, out);
        assert_memory_equal(out, vectors[i].out, sizeof out);
    }
}

/* Word i is word i mod 4 of the block whose counter is (i div 4, stream). */
static void test_words_are_those_of_the_blocks(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    const uint64_t starts[] = {0, 3, 0xfffffff0u * 4ull, UINT64_MAX - 2 * COUNT};
    const uint32_t seed[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)};
    uint32_t words[COUNT], block[4];
    for (size_t s = 0; s < TEST_COUNT(starts); s++) {
        strata__random_words(key, starts[s], COUNT, words);
        for (uint64_t i = 0; i < COUNT; i++) {
            uint64_t number = (starts[s] + i) / 4;
            strata__philox((uint32_t[]){(uint32_t)number, (uint32_t)(number >> 32), 42, 0}, seed,
                           block);
            assert_int_equal(words[i], block[(starts[s] + i) % 4]);
        }
    }
}

typedef void (*generator)(strata__key, uint64_t, int64_t, float *);
static const generator generators[] = {strata__random_uniform, strata__random_normal,
                                       strata__random_truncated_normal};

static void test_values_do_not_depend_on_the_offset(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    float whole[COUNT], part[COUNT + 1];
    for (size_t g = 0; g < TEST_COUNT(generators); g++) {
        generators[g](key, 0, COUNT, whole);
        for (int first = 0; first < COUNT; first = first * 5 / 4 + 1) {
            for (int count = 0; count <= COUNT - first; count = count * 3 + 1) {
                part[count] = 7.0f;
                generators[g](key, (uint64_t)first, count, part);
                assert_memory_equal(part, whole + first, (size_t)count * sizeof *part);
                assert_true(part[count] == 7.0f); /* nothing is written behind the end */
            }
        }
    }
}

typedef struct moments {
    double mean, deviation, lowest, highest;
} moments;

static moments moments_of(const float *values, int count)
{
    moments m = {.lowest = INFINITY, .highest = -INFINITY};
    for (int i = 0; i < count; i++) {
        m.mean += values[i] / count;
        m.lowest = fmin(m.lowest, values[i]);
        m.highest = fmax(m.highest, values[i]);
    }
    for (int i = 0; i < count; i++)
        m.deviation += (values[i] - m.mean) * (values[i] - m.mean) / count;
    m.deviation = sqrt(m.deviation);
    return m;
}

/* Share of the values below `bound`. */
static double share_below(const float *values, int count, float bound)
{
    int below = 0;
    for (int i = 0; i < count; i++)
        below += values[i] < bound;
    return (double)below / count;
}

/* Expected: mean, standard deviation, bounds, and the distribution function at 0.5. */
static void test_distributions(void **state)
{
    (void)state;
    enum { COUNT = 400000 };
    static const struct {
        double mean, deviation, lowest, highest, below_half;
    } expected[] = {
        {0.5, 0.28867513459481287, 0, 0.99999995, 0.5},
        {0, 1, -7, 7, 0.6914624612740131},
        {0, 0.87962566103423978, -2, 2, 0.7005833},
    };
    float *values = malloc(COUNT * sizeof *values);
    for (size_t g = 0; g < TEST_COUNT(generators); g++) {
        generators[g](key, 12345, COUNT, values);
        moments m = moments_of(values, COUNT);
        assert_true(fabs(m.mean - expected[g].mean) < 0.005);
        assert_true(fabs(m.deviation - expected[g].deviation) < 0.005);
        assert_true(m.lowest >= expected[g].lowest && m.highest <= expected[g].highest);
        assert_true(fabs(share_below(values, COUNT, 0.5f) - expected[g].below_half) < 0.004);
    }
    free(values);
}

/* What replaces a value beyond two standard deviations is not the value of another element. */
static void test_redrawn_values_are_new(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static float normal[4 * COUNT], truncated[COUNT];
    strata__random_normal(key, 0, 4 * COUNT, normal);
    strata__random_truncated_normal(key, 0, COUNT, truncated);
    int redrawn = 0;
    for (int i = 0; i < COUNT; i++) {
        if (truncated[i] == normal[i])
            continue;
        redrawn++;
        for (int j = 0; j < 4 * COUNT; j++)
            assert_true(truncated[i] != normal[j]);
    }
    assert_in_range(redrawn, COUNT * 3 / 100, COUNT * 6 / 100);
}

static void test_normal_values_of_a_pair_are_independent(void **state)
{
    (void)state;
    enum { COUNT = 400000 };
    float *values = malloc(COUNT * sizeof *values);
    strata__random_normal(key, 0, COUNT, values);
    double product = 0, squares = 0;
    for (int i = 0; i < COUNT; i += 2) {
        product += (double)values[i] * values[i + 1] / (COUNT / 2);
        squares += ((double)values[i] * values[i] - 1) *
                   ((double)values[i + 1] * values[i + 1] - 1) / (COUNT / 2);
    }
    assert_true(fabs(product) < 0.01 && fabs(squares) < 0.03);
    free(values);
}

static void test_streams_differ(void **state)
{
    (void)state;
    enum { COUNT = 64 };
    const strata__key keys[] = {
        {1, strata__stream("dense/kernel", 0)},   {2, strata__stream("dense/kernel", 0)},
        {1, strata__stream("dense/kernel", 1)},   {1, strata__stream("dense/bias", 0)},
        {1, strata__stream("dense_1/kernel", 0)}, {1, strata__stream("", 0)},
    };
    uint32_t words[TEST_COUNT(keys)][COUNT];
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        strata__random_words(keys[i], 0, COUNT, words[i]);
        for (size_t j = 0; j < i; j++) {
            int equal = 0;
            for (int k = 0; k < COUNT; k++)
                equal += words[i][k] == words[j][k];
            assert_int_equal(equal, 0);
        }
    }
    assert_true(strata__stream("dense/kernel", 0) == keys[0].stream);
}

static void test_permutation_is_a_bijection(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1,   2,   3,   5,    63,   64,   65,   100,
                                      127, 128, 129, 1000, 4096, 4097, 60000};
    for (size_t c = 0; c < TEST_COUNT(counts); c++) {
        char *seen = calloc(counts[c], 1);
        for (uint64_t i = 0; i < counts[c]; i++) {
            uint64_t image = strata__permute(key, counts[c], i);
            assert_true(image < counts[c] && !seen[image]);
            seen[image] = 1;
        }
        free(seen);
    }
}

static void test_permutation_of_huge_counts(void **state)
{
    (void)state;
    static const uint64_t counts[] = {(1ull << 33) + 1, 1ull << 62, UINT64_MAX};
    for (size_t c = 0; c < TEST_COUNT(counts); c++) {
        uint64_t before = strata__permute(key, counts[c], counts[c] - 1), high = 0;
        for (uint64_t i = 0; i < 64; i++) {
            uint64_t image = strata__permute(key, counts[c], i);
            assert_true(image < counts[c] && image != before);
            high += image > counts[c] / 2;
            before = image;
        }
        assert_in_range(high, 12, 52);
    }
}

static int factorial(int n)
{
    return n < 2 ? 1 : n * factorial(n - 1);
}

/*
 * Each order of a few samples comes up about as often as the others: χ² over the orders stays
 * within five of its standard deviations.
 */
static void test_permutations_are_evenly_spread(void **state)
{
    (void)state;
    enum { MOST = 5, EXPECTED = 400 };
    static int counts[MOST * MOST * MOST * MOST * MOST];
    for (int n = 2; n <= MOST; n++) {
        int orders = factorial(n);
        memset(counts, 0, sizeof counts);
        for (int k = 0; k < orders * EXPECTED; k++) {
            int order = 0;
            for (int i = 0; i < n; i++)
                order = order * MOST + (int)strata__permute((strata__key){(uint64_t)k, 7},
                                                            (uint64_t)n, (uint64_t)i);
            counts[order]++;
        }
        double chi = 0;
        int seen = 0;
        for (size_t order = 0; order < TEST_COUNT(counts); order++) {
            double excess = counts[order] - EXPECTED;
            seen += counts[order] > 0;
            chi += counts[order] > 0 ? excess * excess / EXPECTED : 0;
        }
        assert_int_equal(seen, orders);
        assert_true(chi < orders + 5 * sqrt(2.0 * orders));
    }
}

/* Neighbours are spread: a shuffle that leaves runs in place would show in the distance of images.
 */
static void test_permutation_spreads_neighbours(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    double distance = 0, before = (double)strata__permute(key, COUNT, 0);
    for (uint64_t i = 1; i < COUNT; i++) {
        double image = (double)strata__permute(key, COUNT, i);
        distance += fabs(image - before) / COUNT / (COUNT - 1);
        before = image;
    }
    assert_true(fabs(distance - 1 / 3.0) < 0.01);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_words_are_those_of_the_blocks),
        cmocka_unit_test(test_values_do_not_depend_on_the_offset),
        cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_redrawn_values_are_new),
        cmocka_unit_test(test_normal_values_of_a_pair_are_independent),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_permutation_is_a_bijection),
        cmocka_unit_test(test_permutation_of_huge_counts),
        cmocka_unit_test(test_permutations_are_evenly_spread),
        cmocka_unit_test(test_permutation_spreads_neighbours),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
