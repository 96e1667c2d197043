/* CRC-32C (Castagnoli), the checksum of checkpoint shards. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STORAGE_CRC32C_H
#define STRATA_STORAGE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `sum` (0 at the start) over `size` bytes: reflected polynomial 0x82f63b78. */
uint32_t strata__crc32c(uint32_t sum, const void *data, size_t size);

#endif
