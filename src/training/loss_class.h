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
    .module = "keras.losses", STRATA_CLASS_CONFIG(strata__loss_config, default_config, table)

/* --- stages --- */

/* The sums of number `first` … `first + width − 1` of all rows, joined after the work. */
static inline strata__stage strata__loss_stage(const strata__loss_rows *r, strata__work *work,
                                               strata__join *join, int first, int width)
{
    return (strata__stage){work, join, r->sums + first * r->rows, width, STRATA_FLOAT32};
}

/* The values themselves, each the sum of what the columns find. */
static inline strata__stage strata__loss_sum(const strata__loss_rows *r, strata__work *work)
{
    return (strata__stage){work, strata__sum, r->values, 1, STRATA_FLOAT32};
}

#endif
