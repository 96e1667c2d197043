/* Axes as arguments: one axis or a list of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TENSOR_AXES_H
#define STRATA_TENSOR_AXES_H

#include <strata/types.h>

/*
 * Different axes of a shape with `rank` axes from JSON text, "-1" or "[1, 2]"; negative ones count
 * from the end and are made positive. False: not such a text, an axis that is not there, or one
 * that is named twice. Local.
 */
bool strata__axes_read(const char *text, int rank, int axes[STRATA_MAX_RANK], int *count);

/*
 * The permutation that brings `count` axes to the end, each group in its order, and the one that
 * undoes it: back[forth[i]] = i. True: they are there already. Local.
 */
bool strata__axes_to_end(int rank, int count, const int *axes, int *forth, int *back);

#endif
