/* The classes of metrics, and what their tables share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_METRIC_CLASS_H
#define STRATA_TRAINING_METRIC_CLASS_H

#include "training/metric.h"

/* Rows that every table has. */
#define STRATA__METRIC_NAME                                                                        \
    STRATA_FIELD(strata__metric_config, name, .help = "of the metric"),                            \
        STRATA_FIELD(strata__metric_config, dtype, .choices = "float32", .help = "of the result")

#define STRATA__METRIC_DEFAULTS .threshold = 0.5, .k = 5, .axis = -1, .dtype = "float32"

#define STRATA__METRIC_CLASS(default_config, table)                                                \
    .module = "keras.metrics", STRATA_CLASS_CONFIG(strata__metric_config, default_config, table)

extern const strata__class strata__metric_mean, strata__metric_mean_squared_error,
    strata__metric_mean_absolute_error, strata__metric_accuracy, strata__metric_binary_accuracy,
    strata__metric_categorical_accuracy, strata__metric_sparse_categorical_accuracy,
    strata__metric_top_k_categorical_accuracy, strata__metric_sparse_top_k_categorical_accuracy,
    strata__metric_binary_crossentropy, strata__metric_categorical_crossentropy,
    strata__metric_sparse_categorical_crossentropy;

#endif
