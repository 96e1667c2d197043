/* Cosines between the rows, or the columns, of a matrix. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_GRAM_H
#define STRATA_STATE_GRAM_H

#include "base/context.h"

typedef struct strata__vectors {
    const float *w; /* (rows × columns), row-major */
    int64_t rows, columns;
    bool by_columns; /* the vectors are the columns */
} strata__vectors;

int64_t strata__vector_count(const strata__vectors *vectors);

/* Σ over i ≠ j of |uᵢ·uⱼ|, where uᵢ = wᵢ / max(|wᵢ|, 1e-7). 0 after STRATA_NO_MEMORY. Local. */
double strata__cosine_sum(strata_context *ctx, const strata__vectors *vectors);

/* out (rows × columns) += scale · its gradient. Local. */
void strata__cosine_sum_gradient(strata_context *ctx, const strata__vectors *vectors, double scale,
                                 float *out);

#endif
