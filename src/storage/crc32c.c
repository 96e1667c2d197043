/* CRC-32C (Castagnoli), by the processor's instruction where there is one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/crc32c.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Remainders of the 16 values of four bits. */
static const uint32_t quarter[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static uint32_t by_table(uint32_t crc, const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ quarter[crc & 15];
        crc = crc >> 4 ^ quarter[crc & 15];
    }
    return crc;
}

#ifdef __x86_64__
#define HAS_INSTRUCTION __attribute__((target("sse4.2,pclmul")))

/* The instruction takes three cycles, but one can begin in each: three strands of LANE bytes go on
 * at a time. */
enum { LANE = 1024 };

HAS_INSTRUCTION static uint64_t add_word(uint64_t crc, const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return _mm_crc32_u64(crc, word);
}

/* The CRC of `crc` followed by n zero bytes; `power` is x^(8 n − 33) modulo the polynomial, its
 * bits reversed. */
HAS_INSTRUCTION static uint64_t shift(uint64_t crc, uint32_t power)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc),
                                           _mm_cvtsi64_si128((long long)power), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

HAS_INSTRUCTION static uint64_t three_lanes(uint64_t crc, const unsigned char *at)
{
    static const uint32_t power_of_lane = 0x170076fa, power_of_two_lanes = 0xa51b6135;
    uint64_t second = 0, third = 0;
    for (int i = 0; i < LANE; i += (int)sizeof crc) {
        crc = add_word(crc, at + i);
        second = add_word(second, at + LANE + i);
        third = add_word(third, at + 2 * LANE + i);
    }
    return shift(crc, power_of_two_lanes) ^ shift(second, power_of_lane) ^ third;
}

HAS_INSTRUCTION static uint32_t by_instruction(uint32_t crc, const unsigned char *at, size_t size)
{
    uint64_t wide = crc;
    for (; size >= 3 * LANE; at += 3 * LANE, size -= 3 * LANE)
        wide = three_lanes(wide, at);
    for (; size >= sizeof wide; at += sizeof wide, size -= sizeof wide)
        wide = add_word(wide, at);
    crc = (uint32_t)wide;
    for (size_t i = 0; i < size; i++)
        crc = _mm_crc32_u8(crc, at[i]);
    return crc;
}
#endif

uint32_t strata__crc32c(uint32_t sum, const void *data, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return ~by_instruction(~sum, data, size);
#endif
    return ~by_table(~sum, data, size);
}
