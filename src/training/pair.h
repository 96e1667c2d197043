/* Pairs of targets and predictions, brought to matching shapes by Keras's rules. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PAIR_H
#define STRATA_TRAINING_PAIR_H

#include <math.h>

#include "base/fields.h"
#include "tensor/tensor.h"

/*
 * Predictions as rows of n numbers along the last axis. Where ranks differ by one and the longer
 * shape ends in 1, it is dropped, or put behind a shape of rank 1.
 */
typedef struct strata__pair {
    strata_tensor *prediction; /* float32, `axis` moved to the end */
    strata_tensor *truth; /* dense: float32, as many elements; sparse: one an element of `values` */
    strata_shape values;  /* global shape without the last axis */
    int64_t n;            /* numbers in a row */
    strata__piece own;    /* those of this rank: all, unless the prediction is split */
    bool scalar;          /* of rank 1: the mean over its only axis is the one value */
} strata__pair;

/*
 * `who` names the loss or metric in messages. Differentiable in y_pred. A prediction that is split,
 * and dense targets with it, stay so where the caller takes pieces, `axis` is the last, and targets
 * of that shape; otherwise they are gathered: Collective on cols then.
 */
strata_status strata__pair_dense(const char *who, strata_tensor *y_true, strata_tensor *y_pred,
                                 int64_t axis, bool pieces, strata__pair *pair);
strata_status strata__pair_sparse(const char *who, strata_tensor *y_true, strata_tensor *y_pred,
                                  int64_t axis, bool pieces, strata__pair *pair);

/* A new tensor with an element a row: shaped and placed as the rows are. */
strata_tensor *strata__pair_values(const strata__pair *pair, strata_dtype dtype);

/* Which of the three classes "accuracy" or "crossentropy" means, by Keras's rule. */
const strata__class *strata__by_shape(const strata_shape *y_true, const strata_shape *y_pred,
                                      const strata__class *binary, const strata__class *sparse,
                                      const strata__class *categorical);

/* A real as a whole number, truncated; INT64_MIN for what is none (NaN, infinity, too large). */
static inline int64_t strata__whole_number(double value)
{
    return fabs(value) < 0x1p53 ? (int64_t)value : INT64_MIN;
}

/* Class numbers of the local elements of a tensor of any dtype; see strata__whole_number(). */
void strata__labels(const strata_tensor *truth, int64_t *labels);

/*
 * The first of `count` local labels that is neither in 0 … n−1 nor `ignored` (STRATA_NONE: none is)
 * becomes a deferred error of this rank, naming the sample's global number; all such labels become
 * 0. Local.
 */
void strata__labels_check(const char *who, const strata_tensor *truth, int64_t n, int64_t ignored,
                          int64_t count, int64_t *labels);

#endif
