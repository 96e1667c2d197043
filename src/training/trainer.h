/* The trainer: what compile adds to a model, and one step of training. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_TRAINER_H
#define STRATA_TRAINING_TRAINER_H

#include <strata/training.h>

#include "data/dataset.h"
#include "model/model.h"
#include "training/loss.h"
#include "training/metric.h"
#include "training/optimizer.h"
#include "training/sample_weight.h"
#include "training/stop.h"

/* Loss and metrics of one output. */
typedef struct strata__target {
    const char *name;        /* of the output: its layer's name */
    strata__loss *loss;      /* NULL: none */
    double weight;           /* of the loss in the total */
    strata__metric *tracker; /* "<output>_loss"; only with several losses */
    int metric_count, weighted_count;
    strata__metric *metrics[STRATA_MAX_METRICS], *weighted[STRATA_MAX_METRICS];
} strata__target;

/* What the order of samples in an epoch follows from, beside seed and epoch. */
typedef struct strata__order {
    int64_t samples, batch_size, steps; /* steps: batches of an epoch */
    strata__shuffle shuffle;
} strata__order;

typedef struct strata__trainer {
    strata_model *model;
    strata__optimizer *optimizer;
    int target_count;
    strata__target *targets; /* one an output */
    strata__metric *tracker; /* "loss" */
    int log_count;           /* numbers in a log line, in Keras's order */
    strata__metric **logged; /* [log_count]; layers' own metrics come after them */
    const char **names;      /* [name_room]: of a log line, then with "val_" in front */
    double *values;
    int name_room;
    strata_logs line; /* of an epoch that ends, in: */
    const char **line_names;
    double *line_values;
    json_t *config;    /* compile_config as Keras writes it */
    strata_logs shown; /* what evaluate and the single-batch calls return */
    bool stop;         /* a callback has ended training */
    bool can_stop;     /* the fit under way can save the run and has got on: stopping may come up */
    strata__request stopping; /* why the run ends before its time, saved; 0: it does not */
    bool loss_is_nan;         /* of the last step of fit, on any rank */
    int class_weight_count;   /* of the fit under way */
    const strata__class_weight *class_weights;
    /* Where a run stands, for checkpoints and callbacks. */
    int64_t epoch, step; /* of the fit under way: epoch, and batches of it that are done */
    double *sums;        /* of metrics in the epoch whose validation runs; training/metric_sums.h */
    strata__order order; /* of the fit under way, or of the last one */
    const struct strata__hooks *hooks; /* of the fit under way; training/hooks.h */
    struct strata__history *history;   /* of the last fit; training/history.h */
    struct strata__resume
        *resume; /* what a loaded checkpoint says, until fit takes it; training/checkpoint.h */
} strata__trainer;

/* The trainer, or an error in Keras's words: "You must call `compile()` before calling `fit()`." */
strata__trainer *strata__trainer_of(strata_model *model, const char *what);

/* The same for what is collective: an error that a rank has met before is everybody's. Collective
 * on the mesh. */
strata__trainer *strata__trainer_meet(strata_model *model, const char *what);

/* Packs the trainable variables on first use. Collective on the mesh. */
strata_status strata__trainer_ready(strata__trainer *trainer);

/* Checks a dataset's columns against the model and brings them into its order: map_x[i] is the
 * column of input i. */
typedef struct strata__binding {
    int x[STRATA_MAX_COLUMNS], y[STRATA_MAX_COLUMNS], weights[STRATA_MAX_COLUMNS]; /* -1: none */
} strata__binding;
strata_status strata__bind(strata_model *model, const strata_dataset *data, bool targets,
                           strata__binding *binding);

/* Current results of all trackers and metrics under their names, "val_" in front if wanted. Valid
 * until the next call. Collective. */
strata_logs strata__trainer_logs(strata__trainer *trainer, bool validation);
void strata__trainer_reset(strata__trainer *trainer);

extern const strata__compiler strata__trainer_compiler;

#endif
