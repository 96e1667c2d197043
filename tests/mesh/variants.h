/* One machine in several guises: with nodes of one or two ranks, without shared memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_MESH_VARIANTS_H
#define STRATA_TESTS_MESH_VARIANTS_H

#include "harness.h"
#include "mesh/mesh.h"

typedef struct variant {
    int node_ranks; /* 0: all */
    bool share;
} variant;

/* Calls `check` with a fresh context for every mesh of these ranks in every guise; it must leave no
 * memory behind. */
void for_each_mesh(void (*check)(strata_context *ctx, const variant *variant));

/* A number of few bits from three others: sums of some thousand are exact in float32. */
float small_number(int64_t a, int64_t b, int64_t c);

/* A number with all bits in use, so that the order of a sum shows. */
float rough_number(int64_t a, int64_t b, int64_t c);

#endif
