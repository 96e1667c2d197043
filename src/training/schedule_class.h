/* What a class of learning rate schedules is. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_SCHEDULE_CLASS_H
#define STRATA_TRAINING_SCHEDULE_CLASS_H

#include "training/schedule.h"

/* Methods (strata__class.methods) of a schedule. */
typedef struct strata__schedule_methods {
    strata_status (*prepare)(strata__schedule *schedule); /* checks across arguments; optional */
    double (*rate)(const strata__schedule *schedule, double step);
} strata__schedule_methods;

extern const strata__class strata__exponential_decay, strata__inverse_time_decay,
    strata__piecewise_constant_decay, strata__polynomial_decay, strata__cosine_decay,
    strata__cosine_decay_restarts;

#endif
