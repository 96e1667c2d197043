/* Flags in shared memory: counters that one process raises and others wait for. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_FLAG_H
#define STRATA_MESH_FLAG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STRATA__CACHE_LINE 64

/* A cache line of its own, so that waiting for one flag does not disturb the writer of another.
 * Starts as zero. */
typedef struct strata__flag {
    _Alignas(STRATA__CACHE_LINE) _Atomic uint64_t count;
} strata__flag;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
               "flags are shared between processes, so they must be lock-free");

/* All that this process wrote before is visible to whoever sees the flag reach `count`. */
static inline void strata__flag_raise(strata__flag *flag, uint64_t count)
{
    atomic_store_explicit(&flag->count, count, memory_order_release);
}

static inline bool strata__flag_reached(strata__flag *flag, uint64_t count)
{
    return atomic_load_explicit(&flag->count, memory_order_acquire) >= count;
}

/* Spins a little, then gives the core away again and again: the one who raises the flag may need
 * it. */
void strata__flag_wait(strata__flag *flag, uint64_t count);

#endif
