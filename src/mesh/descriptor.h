/* BLACS grids, ScaLAPACK descriptors and redistribution of matrices. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_DESCRIPTOR_H
#define STRATA_MESH_DESCRIPTOR_H

#include "mesh/mesh.h"

/*
 * Our matrices are row-major, ScaLAPACK's column-major. A row-major M × N matrix is the
 * column-major N × M transpose, so each descriptor describes the transpose on the transposed grid:
 * BLACS process rows are our cols, BLACS process columns our rows. C = A·B row-major   ⇔   Cᵀ =
 * Bᵀ·Aᵀ   ⇔   p?gemm('N', 'N', N, M, K, B, A, C).
 */
typedef struct strata__matrix {
    int64_t m, n;             /* global, row-major: m over rows, n over cols */
    int64_t block_m, block_n; /* block-cyclic block; the default is one block a rank */
    int64_t local_m, local_n; /* this rank's piece, row-major with leading dimension local_n */
    int64_t first_m, first_n; /* global position of the piece; only with one block a rank */
    int descriptor[9];        /* of the transpose, for ScaLAPACK */
} strata__matrix;

/* block 0: one block a rank. Refuses what does not fit ScaLAPACK's 32-bit integers, naming `name`.
 * Local. */
strata_status strata__matrix_describe(strata_context *ctx, const char *name, int64_t m, int64_t n,
                                      int64_t block_m, int64_t block_n, strata__matrix *matrix);

/* BLACS context of the model grid, made on first use. Collective on the grid. */
int strata__blacs(strata_context *ctx);
void strata__blacs_free(strata_context *ctx); /* Part of strata__mesh_free. */

/* To and from a whole row-major matrix on the grid's rank `root` (others pass NULL), by p?gemr2d.
 * Collective on the grid. */
strata_status strata__matrix_collect(strata_context *ctx, const strata__matrix *matrix,
                                     const float *piece, int root, float *whole);
strata_status strata__matrix_distribute(strata_context *ctx, const strata__matrix *matrix,
                                        const float *whole, int root, float *piece);

/* Another block size on the same grid, by p?gemr2d. Collective on the grid. */
strata_status strata__matrix_redistribute(strata_context *ctx, const strata__matrix *from,
                                          const float *source, const strata__matrix *to,
                                          float *target);

#endif
