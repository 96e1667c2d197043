/* Products of matrices on the model grid. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_MATMUL_H
#define STRATA_OPS_MATMUL_H

#include "mesh/descriptor.h"

typedef enum strata__product_form {
    STRATA__PLAIN,        /* C (m × n) = A (m × k)·B (k × n) */
    STRATA__B_TRANSPOSED, /* C (m × n) = A (m × k)·Bᵀ, B (n × k) */
    STRATA__A_TRANSPOSED  /* C (m × n) = Aᵀ·B, A (k × m), B (k × n) */
} strata__product_form;

/* A matrix on the grid: m over rows, n over cols, this rank's piece row-major. */
typedef struct strata__grid_matrix {
    const strata__matrix *matrix;
    float *piece; /* (local_m × local_n); of operands only read */
    bool whole; /* all columns on every col: (local_m × n). For A where C = A·B or Aᵀ·B, for C
                   where C = A·Bᵀ; one block a rank then */
} strata__grid_matrix;

/*
 * C = op(A)·op(B) + beta·C, beta 0 or 1: the three products of a dense layer, Y = X·W, dX = dY·Wᵀ
 * and dW = Xᵀ·dY. Any size may be 0, any rank may be left without rows or columns.
 *
 * Engines (ctx->settings.matmul, STRATA_MATMUL=auto|summa|pblas): `summa` is ours, for matrices
 * with one block a rank: pieces travel while others are multiplied, as in SUMMA (van de Geijn and
 * Watts 1997) with panels as wide as a piece. `pblas` is p?gemm, for every block-cyclic layout.
 * `auto` is summa where the blocks allow it: it was faster for every shape that was measured.
 * Collective on the model grid; in a step, so failures abort.
 */
void strata__matmul(strata_context *ctx, strata__product_form form, strata__grid_matrix a,
                    strata__grid_matrix b, float beta, strata__grid_matrix c);

#endif
