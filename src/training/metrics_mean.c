/* Metrics that average: Mean, and one for each loss. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"
#include "training/loss.h"
#include "training/metric_class.h"

static strata_tensor *given_values(const strata__metric_config *c, strata_tensor *y_true,
                                   strata_tensor *values)
{
    (void)c, (void)y_true;
    return strata__whole(strata_ops_cast(values, STRATA_FLOAT32));
}

/* Values of the loss of that class. */
static strata_tensor *loss_values(const strata__class *class, const strata__metric_config *c,
                                  strata_tensor *y_true, strata_tensor *y_pred)
{
    const strata__loss_config config = {.from_logits = c->from_logits,
                                        .label_smoothing = c->label_smoothing,
                                        .ignore_class = STRATA_NONE,
                                        .axis = c->axis,
                                        .name = c->name};
    return strata__loss_raw_values(y_pred->ctx, class, &config, y_true, y_pred);
}

static strata_tensor *squared_values(const strata__metric_config *c, strata_tensor *y_true,
                                     strata_tensor *y_pred)
{
    return loss_values(&strata__mean_squared_error, c, y_true, y_pred);
}

static strata_tensor *absolute_values(const strata__metric_config *c, strata_tensor *y_true,
                                      strata_tensor *y_pred)
{
    return loss_values(&strata__mean_absolute_error, c, y_true, y_pred);
}

static strata_tensor *binary_values(const strata__metric_config *c, strata_tensor *y_true,
                                    strata_tensor *y_pred)
{
    return loss_values(&strata__binary_crossentropy, c, y_true, y_pred);
}

static strata_tensor *categorical_values(const strata__metric_config *c, strata_tensor *y_true,
                                         strata_tensor *y_pred)
{
    return loss_values(&strata__categorical_crossentropy, c, y_true, y_pred);
}

static strata_tensor *sparse_values(const strata__metric_config *c, strata_tensor *y_true,
                                    strata_tensor *y_pred)
{
    return loss_values(&strata__sparse_categorical_crossentropy, c, y_true, y_pred);
}

#define FROM_LOGITS                                                                                \
    STRATA_FIELD(strata__metric_config, from_logits,                                               \
                 .help = "predictions are not yet probabilities")
#define LABEL_SMOOTHING                                                                            \
    STRATA_FIELD(strata__metric_config, label_smoothing, .min = 0, .max = 1,                       \
                 .help = "share of each target that is spread evenly")
#define AXIS STRATA_FIELD(strata__metric_config, axis, .help = "the axis of classes")

static const strata_field plain_fields[] = {STRATA__METRIC_NAME};
static const strata_field binary_fields[] = {STRATA__METRIC_NAME, FROM_LOGITS, LABEL_SMOOTHING};
static const strata_field categorical_fields[] = {STRATA__METRIC_NAME, FROM_LOGITS, LABEL_SMOOTHING,
                                                  AXIS};
static const strata_field sparse_fields[] = {STRATA__METRIC_NAME, FROM_LOGITS, AXIS};

static const strata__metric_config mean_defaults = {.name = "mean", STRATA__METRIC_DEFAULTS};
static const strata__metric_config squared_defaults = {.name = "mean_squared_error",
                                                       STRATA__METRIC_DEFAULTS};
static const strata__metric_config absolute_defaults = {.name = "mean_absolute_error",
                                                        STRATA__METRIC_DEFAULTS};
static const strata__metric_config binary_defaults = {.name = "binary_crossentropy",
                                                      STRATA__METRIC_DEFAULTS};
static const strata__metric_config categorical_defaults = {.name = "categorical_crossentropy",
                                                           STRATA__METRIC_DEFAULTS};
static const strata__metric_config sparse_defaults = {.name = "sparse_categorical_crossentropy",
                                                      STRATA__METRIC_DEFAULTS};

const strata__class strata__metric_mean = {.name = "Mean",
                                           STRATA__METRIC_CLASS(mean_defaults, plain_fields),
                                           .methods =
                                               &(const strata__metric_methods){given_values}};

const strata__class strata__metric_mean_squared_error = {
    .name = "MeanSquaredError",
    .aliases = "mse|MSE",
    STRATA__METRIC_CLASS(squared_defaults, plain_fields),
    .methods = &(const strata__metric_methods){squared_values}};

const strata__class strata__metric_mean_absolute_error = {
    .name = "MeanAbsoluteError",
    .aliases = "mae|MAE",
    STRATA__METRIC_CLASS(absolute_defaults, plain_fields),
    .methods = &(const strata__metric_methods){absolute_values}};

const strata__class strata__metric_binary_crossentropy = {
    .name = "BinaryCrossentropy",
    .aliases = "bce|BCE",
    STRATA__METRIC_CLASS(binary_defaults, binary_fields),
    .methods = &(const strata__metric_methods){binary_values}};

const strata__class strata__metric_categorical_crossentropy = {
    .name = "CategoricalCrossentropy",
    STRATA__METRIC_CLASS(categorical_defaults, categorical_fields),
    .methods = &(const strata__metric_methods){categorical_values}};

const strata__class strata__metric_sparse_categorical_crossentropy = {
    .name = "SparseCategoricalCrossentropy",
    STRATA__METRIC_CLASS(sparse_defaults, sparse_fields),
    .methods = &(const strata__metric_methods){sparse_values}};
