/* Sums of vectors from several members, in one pass and in a fixed order. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_SUM_H
#define STRATA_MESH_SUM_H

#include <stdint.h>

/*
 * target[i] = ((sources[0][i] + sources[1][i]) + sources[2][i]) + …, for `length` elements of
 * `count` ≥ 1 sources. The target may be one of the sources.
 */
void strata__sum_vectors(float *target, const float *const *sources, int count, int64_t length);

#endif
