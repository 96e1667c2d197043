/* What the tables of all loss classes share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_LOSS_CLASS_H
#define STRATA_TRAINING_LOSS_CLASS_H

#include "training/loss.h"

#define STRATA__LOSS_DEFAULTS                                                                      \
    .ignore_class = STRATA_NONE, .axis = -1, .reduction = "sum_over_batch_size"

/* The last rows of every table: constructors take these after the arguments of the class. */
#define STRATA__LOSS_FIELDS                                                                        \
    STRATA_FIELD(strata__loss_config, reduction,                                                   \
                 .choices = "sum_over_batch_size|mean|mean_with_sample_weight|sum|none",           \
                 .help = "what becomes of the values"),                                            \
        STRATA_FIELD(strata__loss_config, name, .help = "of the loss")

#define STRATA__LOSS_CLASS(default_config, table)                                                  \
    .module = "keras.losses", .config_size = sizeof(strata__loss_config),                          \
    .defaults = &(default_config), .fields = (table),                                              \
    .field_count = sizeof(table) / sizeof *(table)

#endif
