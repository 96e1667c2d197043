/* Random matrices with orthonormal rows or columns. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_ORTHOGONAL_H
#define STRATA_STATE_ORTHOGONAL_H

#include "base/random.h"

/*
 * out (rows × columns, row-major) = gain · Q, where Q·R is the QR factorisation of a normal matrix
 * (the longer side down) with signs such that diag(R) ≥ 0, transposed when rows < columns: uniform
 * over the orthogonal matrices. Local.
 */
strata_status strata__orthogonal(strata_context *ctx, strata__key key, int64_t rows,
                                 int64_t columns, double gain, float *out);

#endif
