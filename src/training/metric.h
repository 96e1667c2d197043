/* Metrics: sums kept by each rank over its samples, totalled when they are shown. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_METRIC_H
#define STRATA_TRAINING_METRIC_H

#include "base/fields.h"
#include "tensor/tensor.h"

extern const strata__family strata__metric_family;

/*
 * The state is what Keras keeps in ON_READ variables with SUM: per-rank sums in double since the
 * last reset. No update communicates; results of any number of metrics take one short reduction.
 */
typedef struct strata__metric {
    strata_context *ctx;
    strata__object object; /* class NULL while `by_shape` has not seen a batch */
    char *name;    /* key in logs: the text that named it, or the class's or the given name */
    char *given;   /* the bare name that named it, as files keep it; NULL: it was an object */
    bool by_shape; /* "accuracy", "acc", "crossentropy", "ce": the class follows from the first
                      batch */
    double total, count; /* Σ value·weight and Σ weight over this rank's samples */
} strata__metric;

/* From Keras notation or JSON. Keras metrics that are not here are STRATA_UNSUPPORTED; the message
 * lists those that are. Local. */
strata_status strata__metric_new(strata_context *ctx, const char *text, strata__metric **metric);
/* A Mean of that name, for strata__metric_add(): trackers of losses. */
strata_status strata__metric_new_mean(strata_context *ctx, const char *name,
                                      strata__metric **metric);
void strata__metric_free(strata__metric *metric); /* NULL is fine */

/* As Keras writes it in a compile configuration: the bare name, or the object. New reference. */
json_t *strata__metric_to_json(const strata__metric *metric);

void strata__metric_reset(strata__metric *metric);

/*
 * Adds a batch. y_true, y_pred, sample_weight (or NULL) as for losses; the mask of y_pred counts.
 * Mean: y_true is NULL, y_pred the values. Nothing is recorded on the tape. Local, but collective
 * on cols when y_pred is split.
 */
strata_status strata__metric_update(strata__metric *metric, strata_tensor *y_true,
                                    strata_tensor *y_pred, strata_tensor *sample_weight);

/* Adds this rank's part of a sum and of its weight. The `loss` of an epoch: (part · batch size, own
 * samples). Local. */
void strata__metric_add(strata__metric *metric, double total, double count);

/* results[i] of metrics[i] over all ranks, 0/0 = 0. Collective on the batch axis. */
void strata__metrics_results(strata_context *ctx, int count, strata__metric *const *metrics,
                             double *results);

/* --- classes --- */

/* Arguments of all metrics; the table of a class has the rows that it takes. */
typedef struct strata__metric_config {
    double threshold;
    int64_t k;
    bool from_logits;
    double label_smoothing;
    int64_t axis;
    const char *name;
    const char *dtype;
} strata__metric_config;

/* Methods (strata__class.methods) of a metric: a value for each position, float32, batch first;
 * NULL after an error. */
typedef struct strata__metric_methods {
    strata_tensor *(*values)(const strata__metric_config *config, strata_tensor *y_true,
                             strata_tensor *y_pred);
} strata__metric_methods;

#endif
