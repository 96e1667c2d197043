/* CRC-32C (Castagnoli), by the processor's instruction where there is one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/crc32c.h"

#include <string.h>

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
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const unsigned char *at, size_t size)
{
    uint64_t wide = crc, word;
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (size_t i = 0; i < size; i++)
        crc = __builtin_ia32_crc32qi(crc, at[i]);
    return crc;
}
#endif

uint32_t strata__crc32c(uint32_t sum, const void *data, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~sum, data, size);
#endif
    return ~by_table(~sum, data, size);
}
