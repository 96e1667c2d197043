/* Losses: values of predictions against targets, weighted, masked and reduced as in Keras. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_LOSS_H
#define STRATA_TRAINING_LOSS_H

#include "base/fields.h"
#include "ops/stages.h"
#include "tensor/tensor.h"

extern const strata__family strata__loss_family;

/* What becomes of the values v with weights w; the denominators are counts of the whole batch. */
typedef enum strata__reduction {
    STRATA__SUM_OVER_BATCH_SIZE,     /* Σ v·w / number of values; "mean" is the same */
    STRATA__MEAN_WITH_SAMPLE_WEIGHT, /* Σ v·w / Σ w */
    STRATA__SUM,
    STRATA__UNREDUCED /* "none": only strata__loss_values() takes it */
} strata__reduction;

typedef struct strata__loss {
    strata_context *ctx;
    strata__object object; /* class NULL while `by_shape` has not seen a batch */
    strata__reduction reduction;
    char *given;   /* the bare name that named it, as files keep it; NULL: it was an object */
    bool by_shape; /* "crossentropy", "ce": the class follows from the shapes of the first batch */
} strata__loss;

/*
 * From Keras notation or JSON: "mse", "SparseCategoricalCrossentropy(from_logits=True)". Keras
 * losses that are not here are STRATA_UNSUPPORTED; the message lists those that are. Local.
 */
strata_status strata__loss_new(strata_context *ctx, const char *text, strata__loss **loss);
void strata__loss_free(strata__loss *loss); /* NULL is fine */

/* "mean_squared_error", or the name it was given. */
const char *strata__loss_name(const strata__loss *loss);

/* As Keras writes it in a compile configuration: the bare name, or the object. New reference. */
json_t *strata__loss_to_json(const strata__loss *loss);

/* compile's check: reduction "none" is refused, since fit needs one number. Local. */
strata_status strata__loss_check_reduced(const strata__loss *loss, const char *output);

/*
 * This rank's part of the loss of the global batch: Σ over its samples / global denominator, a
 * differentiable float32 scalar. The parts summed over the batch axis are the loss; so are their
 * gradients once arenas have summed them. `part` (may be NULL) receives the same number in double,
 * for logs: nothing needs to be summed before it is shown.
 *
 * y_true: class numbers for sparse losses, else as y_pred; any dtype. y_pred: float32; its mask
 * counts, and the logits that a softmax or sigmoid remembers are used instead of it. sample_weight:
 * NULL, or one weight a sample, a position, or any shape that broadcasts from the left to the
 * values.
 *
 * A label out of range is an error that this rank alone sees: it is deferred to the next agreement
 * and the result is still made. Other errors are equal on all ranks: NULL. Collective on the batch
 * axis with a mask, ignore_class or mean_with_sample_weight, and on cols when y_pred is split; else
 * Local. Split predictions stay split: only when the axis is not the last one, or targets have
 * another shape, are they gathered.
 */
strata_tensor *strata__loss_call(strata__loss *loss, strata_tensor *y_true, strata_tensor *y_pred,
                                 strata_tensor *sample_weight, double *part);

/* The weighted values, unreduced, shaped as y_pred without its class axis; differentiable. Local,
 * but for cols. */
strata_tensor *strata__loss_values(strata__loss *loss, strata_tensor *y_true, strata_tensor *y_pred,
                                   strata_tensor *sample_weight);

/* --- classes --- */

/* Arguments of all losses; the table of a class has the rows that it takes. */
typedef struct strata__loss_config {
    bool from_logits;
    double label_smoothing;
    int64_t ignore_class; /* STRATA_NONE: none */
    int64_t axis;
    const char *reduction;
    const char *name;
} strata__loss_config;

enum { STRATA__LOSS_STAGES = 3, STRATA__LOSS_SUMS = 4 };

/*
 * Predictions as rows of `all` numbers, of which this rank has `n` from number `first` on: all, or
 * where they are split those of its column. What travels then is what the stages join: 4 bytes a
 * row for each number.
 */
typedef struct strata__loss_rows {
    int64_t rows, n, all, first;
    const float *prediction; /* (rows, n) */
    const float *truth;      /* (rows, n); NULL for sparse losses */
    const int64_t *labels;   /* (rows), in 0 … all−1; NULL for others */
    bool logits;             /* the predictions are logits */
    double label_smoothing;
    float *sums;   /* (STRATA__LOSS_SUMS, rows): the stages join those next to each other */
    float *values; /* (rows) */
    float *slopes; /* (rows, n): d value / d prediction; NULL: not wanted */
} strata__loss_rows;

/* Methods (strata__class.methods) of a loss. */
typedef struct strata__loss_methods {
    bool sparse;  /* y_true holds class numbers */
    bool classes; /* the axis is one of classes: predictions of rank 1 make no sense */
    const char *logits_function; /* remembered logits of this activation are used; NULL: of none */
    /* How values and slopes are found: returns the number of stages. They work on the rows as user.
     */
    int (*plan)(const strata__loss_rows *rows, strata__stage stages[STRATA__LOSS_STAGES]);
} strata__loss_methods;

extern const strata__class strata__mean_squared_error, strata__mean_absolute_error,
    strata__binary_crossentropy, strata__categorical_crossentropy,
    strata__sparse_categorical_crossentropy;

/* Values of one class, without weights, masks and reduction: what metrics of the same name are made
 * of. */
strata_tensor *strata__loss_raw_values(strata_context *ctx, const strata__class *class,
                                       const strata__loss_config *config, strata_tensor *y_true,
                                       strata_tensor *y_pred);

#endif
