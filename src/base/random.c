/* Counter-based random numbers: Philox 4×32-10, and what is made of its words. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <math.h>
#include <string.h>

#include "base/vector.h"

enum {
    ROUNDS = 10,
    LANES = 64,                 /* blocks made side by side */
    WORDS = 4,                  /* in a block */
    BATCH = LANES * WORDS,      /* words made at once */
    ATTEMPTS = 8,               /* blocks tried for one truncated value: all fail once in 10⁴² */
    PERMUTATION_ROUNDS = 8,     /* of the Feistel network */
    FEWEST_PERMUTATION_BITS = 6 /* below, some orders are much likelier than others */
};

#define KEY0_STEP 0x9e3779b9u /* of Philox's keys from round to round */
#define KEY1_STEP 0xbb67ae85u

/* The finisher of splitmix64: a bijection that spreads every bit over the word. */
static uint64_t mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The finisher of MurmurHash3 for 32 bits. */
static uint32_t mix32(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

uint64_t strata__stream(const char *text, uint64_t number)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        hash = (hash ^ *c) * 0x100000001b3u;
    return mix64(hash + mix64(number + 0x9e3779b97f4a7c15u));
}

/* One round on one counter. */
static inline void philox_round(uint32_t *c0, uint32_t *c1, uint32_t *c2, uint32_t *c3,
                                uint32_t key0, uint32_t key1)
{
    uint64_t product0 = (uint64_t)0xd2511f53u * *c0, product1 = (uint64_t)0xcd9e8d57u * *c2;
    *c0 = (uint32_t)(product1 >> 32) ^ *c1 ^ key0;
    *c1 = (uint32_t)product1;
    *c2 = (uint32_t)(product0 >> 32) ^ *c3 ^ key1;
    *c3 = (uint32_t)product0;
}

void strata__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    memcpy(out, counter, WORDS * sizeof *out);
    for (uint32_t round = 0; round < ROUNDS; round++)
        philox_round(&out[0], &out[1], &out[2], &out[3], key[0] + round * KEY0_STEP,
                     key[1] + round * KEY1_STEP);
}

/* Block `number` of the sequence: the number is the low half of the counter, the stream the high
 * half. */
static void philox_block(strata__key key, uint64_t number, uint32_t words[WORDS])
{
    const uint32_t counter[WORDS] = {(uint32_t)number, (uint32_t)(number >> 32),
                                     (uint32_t)key.stream, (uint32_t)(key.stream >> 32)};
    strata__philox(counter, (uint32_t[]){(uint32_t)key.seed, (uint32_t)(key.seed >> 32)}, words);
}

/* The same for blocks first … first+LANES−1, side by side. */
STRATA__SIMD static void philox_batch(strata__key key, uint64_t first, uint32_t words[BATCH])
{
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        c0[lane] = (uint32_t)(first + (uint64_t)lane);
        c1[lane] = (uint32_t)((first + (uint64_t)lane) >> 32);
        c2[lane] = (uint32_t)key.stream;
        c3[lane] = (uint32_t)(key.stream >> 32);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t key0 = (uint32_t)key.seed + round * KEY0_STEP;
        uint32_t key1 = (uint32_t)(key.seed >> 32) + round * KEY1_STEP;
        for (int lane = 0; lane < LANES; lane++)
            philox_round(&c0[lane], &c1[lane], &c2[lane], &c3[lane], key0, key1);
    }
    for (int lane = 0; lane < LANES; lane++) {
        words[lane * WORDS] = c0[lane];
        words[lane * WORDS + 1] = c1[lane];
        words[lane * WORDS + 2] = c2[lane];
        words[lane * WORDS + 3] = c3[lane];
    }
}

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/*
 * The batch that holds value `first`, from its start: sets `skip` to the values before `first` in
 * it, and returns how many of the `count` wanted ones it has.
 */
static int64_t batch_from(strata__key key, uint64_t first, int64_t count, uint32_t words[BATCH],
                          int *skip)
{
    *skip = (int)(first % WORDS);
    philox_batch(key, first / WORDS, words);
    return at_most(BATCH - *skip, count);
}

void strata__random_words(strata__key key, uint64_t first, int64_t count, uint32_t *out)
{
    uint32_t words[BATCH];
    int skip;
    for (int64_t done = 0, made; done < count; done += made) {
        made = batch_from(key, first + (uint64_t)done, count - done, words, &skip);
        memcpy(out + done, words + skip, (size_t)made * sizeof *out);
    }
}

void strata__random_uniform(strata__key key, uint64_t first, int64_t count, float *out)
{
    uint32_t words[BATCH];
    int skip;
    for (int64_t done = 0, made; done < count; done += made) {
        made = batch_from(key, first + (uint64_t)done, count - done, words, &skip);
        for (int64_t i = 0; i < made; i++)
            out[done + i] = (float)(words[skip + i] >> 8) * 0x1p-24f;
    }
}

/* Box-Muller: two independent normal values from two words. The first gives the radius; never ln 0.
 */
static void normal_pair(const uint32_t words[2], float out[2])
{
    float uniform = (float)words[0] * 0x1p-32f + 0x1p-33f;
    float radius = sqrtf(-2.0f * logf(uniform));
    float angle = 6.28318530717958647692f * ((float)(words[1] >> 8) * 0x1p-24f);
    out[0] = radius * cosf(angle);
    out[1] = radius * sinf(angle);
}

void strata__random_normal(strata__key key, uint64_t first, int64_t count, float *out)
{
    uint32_t words[BATCH];
    float values[BATCH];
    int skip;
    for (int64_t done = 0, made; done < count; done += made) {
        made = batch_from(key, first + (uint64_t)done, count - done, words, &skip);
        for (int64_t i = skip & ~1; i < skip + made; i += 2)
            normal_pair(words + i, values + i);
        memcpy(out + done, values + skip, (size_t)made * sizeof *out);
    }
}

/* Another value for element `index`: from blocks of its own, in streams beside the first one. */
static float redraw_truncated(strata__key key, uint64_t index)
{
    for (uint64_t attempt = 1; attempt <= ATTEMPTS; attempt++) {
        strata__key beside = {.seed = key.seed, .stream = mix64(key.stream + attempt)};
        uint32_t words[WORDS];
        float values[WORDS];
        philox_block(beside, index, words);
        normal_pair(words, values);
        normal_pair(words + 2, values + 2);
        for (int i = 0; i < WORDS; i++) {
            if (fabsf(values[i]) <= 2.0f)
                return values[i];
        }
    }
    return 0.0f;
}

void strata__random_truncated_normal(strata__key key, uint64_t first, int64_t count, float *out)
{
    strata__random_normal(key, first, count, out);
    for (int64_t i = 0; i < count; i++) {
        if (fabsf(out[i]) > 2.0f)
            out[i] = redraw_truncated(key, first + (uint64_t)i);
    }
}

/* A keyed permutation of the numbers of so many bits: each half is masked with a hash of the other.
 */
static uint64_t feistel(const uint32_t keys[PERMUTATION_ROUNDS], int bits, uint64_t index)
{
    int low_bits = bits / 2;
    uint32_t low_mask = (uint32_t)(((uint64_t)1 << low_bits) - 1);
    uint32_t high_mask = (uint32_t)(((uint64_t)1 << (bits - low_bits)) - 1);
    uint32_t low = (uint32_t)index & low_mask, high = (uint32_t)(index >> low_bits) & high_mask;
    for (int round = 0; round < PERMUTATION_ROUNDS; round += 2) {
        high ^= mix32(low + keys[round]) & high_mask;
        low ^= mix32(high + keys[round + 1]) & low_mask;
    }
    return (uint64_t)high << low_bits | low;
}

/* The network permutes a power of two; the walk along its cycle comes back below `count`, soon. */
uint64_t strata__permute(strata__key key, uint64_t count, uint64_t index)
{
    uint32_t keys[PERMUTATION_ROUNDS];
    philox_block(key, 0, keys);
    philox_block(key, 1, keys + WORDS);
    int bits = count > 1 ? 64 - __builtin_clzll(count - 1) : 0;
    if (bits < FEWEST_PERMUTATION_BITS)
        bits = FEWEST_PERMUTATION_BITS;
    do
        index = feistel(keys, bits, index);
    while (index >= count);
    return index;
}
