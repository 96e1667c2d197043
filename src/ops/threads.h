/* Loops over the threads of this rank. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_THREADS_H
#define STRATA_OPS_THREADS_H

#include <omp.h>

#include "mesh/mesh.h"

/* Work on items first … first + count − 1. Kernels stay functions of their own, so that they are
 * compiled for each machine. */
typedef void strata__work(const void *user, int64_t first, int64_t count);

/* Below this many elements threads cost more than they bring. */
#define STRATA__THREADS_WORTH 32768

/* All of 0 … count−1, a piece a thread; an item is `size` elements. Pieces must not write what
 * others read. */
static inline void strata__on_threads(int64_t count, int64_t size, strata__work *work,
                                      const void *user)
{
    int threads = count * size < STRATA__THREADS_WORTH ? 1 : omp_get_max_threads();
    if (threads == 1) { /* even a team of one costs OpenMP an allocation */
        work(user, 0, count);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int i = 0; i < threads; i++) {
        strata__piece piece = strata__piece_of(count, threads, i);
        work(user, piece.first, piece.count);
    }
}

#endif
