/* Rows, whole or cut over the columns of the mesh, that are treated in stages. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_STAGES_H
#define STRATA_OPS_STAGES_H

#include "ops/threads.h"

/* strata__sum or strata__max. */
typedef void strata__join(strata_context *ctx, strata__axis axis, void *values, int64_t count,
                          strata_dtype dtype);

/* Works on rows first … first + count − 1. What it finds of rows that are cut is then joined over
 * cols, for the next stage. */
typedef struct strata__stage {
    strata__work *work;
    strata__join *join; /* NULL: nothing */
    void *values;       /* (width, rows) of `dtype` */
    int64_t width;
    strata_dtype dtype;
} strata__stage;

typedef struct strata__staged {
    int64_t rows, n; /* of this rank: rows of n elements */
    bool split;      /* the others of a row are on other columns */
    int count;
    const strata__stage *stages;
    const void *user;
} strata__staged;

/* Whole rows pass through all stages some at a time, while they are in the nearest cache.
 * Collective on cols where the rows are split. */
void strata__in_stages(strata_context *ctx, const strata__staged *staged);

#endif
