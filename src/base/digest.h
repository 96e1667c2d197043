/* A digest of memory: 64 bits that differ when a bit does. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_DIGEST_H
#define STRATA_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/*
 * XXH64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) of `size` bytes; `seed` is
 * 0, or the digest of what goes before. Not against those who want two memories to look alike.
 * Local.
 */
uint64_t strata__digest(uint64_t seed, const void *data, size_t size);

#endif
