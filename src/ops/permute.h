/* Exchange of axes in local memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_PERMUTE_H
#define STRATA_OPS_PERMUTE_H

#include <strata/types.h>

/* Axis i of y is axis permutation[i] of x, which has the sizes `shape`; elements of 1, 4 or 8
 * bytes. */
void strata__permute_axes(const void *x, const strata_shape *shape, const int *permutation,
                          size_t size, void *y);

#endif
