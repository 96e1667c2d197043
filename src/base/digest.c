/* A digest of memory: XXH64. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <string.h>

static const uint64_t prime_1 = 0x9e3779b185ebca87, prime_2 = 0xc2b2ae3d27d4eb4f,
                      prime_3 = 0x165667b19e3779f9, prime_4 = 0x85ebca77c2b2ae63,
                      prime_5 = 0x27d4eb2f165667c5;

enum { LANES = 4, STRIPE = LANES * sizeof(uint64_t) };

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
    return rotate(lane + word * prime_2, 31) * prime_1;
}

static uint64_t word_at(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Four lanes take turns, so that their products overlap. */
static uint64_t mix_stripes(uint64_t seed, const unsigned char *at, size_t stripes)
{
    uint64_t a = seed + prime_1 + prime_2, b = seed + prime_2, c = seed, d = seed - prime_1;
    for (size_t i = 0; i < stripes; i++, at += STRIPE) {
        a = mix(a, word_at(at));
        b = mix(b, word_at(at + 8));
        c = mix(c, word_at(at + 16));
        d = mix(d, word_at(at + 24));
    }
    uint64_t sum = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    const uint64_t lanes[LANES] = {a, b, c, d};
    for (int i = 0; i < LANES; i++)
        sum = (sum ^ mix(0, lanes[i])) * prime_1 + prime_4;
    return sum;
}

/* What is left after the stripes: words, half a word, bytes. */
static uint64_t mix_rest(uint64_t sum, const unsigned char *at, size_t size)
{
    for (; size >= sizeof(uint64_t); at += sizeof(uint64_t), size -= sizeof(uint64_t))
        sum = rotate(sum ^ mix(0, word_at(at)), 27) * prime_1 + prime_4;
    if (size >= sizeof(uint32_t)) {
        uint32_t half;
        memcpy(&half, at, sizeof half);
        sum = rotate(sum ^ half * prime_1, 23) * prime_2 + prime_3;
        at += sizeof half;
        size -= sizeof half;
    }
    for (; size > 0; at++, size--)
        sum = rotate(sum ^ *at * prime_5, 11) * prime_1;
    return sum;
}

uint64_t strata__digest(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *at = data;
    size_t stripes = size / STRIPE;
    uint64_t sum = stripes > 0 ? mix_stripes(seed, at, stripes) : seed + prime_5;
    sum = mix_rest(sum + size, at + stripes * STRIPE, size % STRIPE);
    sum = (sum ^ sum >> 33) * prime_2;
    sum = (sum ^ sum >> 29) * prime_3;
    return sum ^ sum >> 32;
}
