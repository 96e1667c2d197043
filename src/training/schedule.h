/* Learning rate schedules: a rate for each step. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_SCHEDULE_H
#define STRATA_TRAINING_SCHEDULE_H

#include "base/fields.h"

extern const strata__family strata__schedule_family;

typedef struct strata__schedule {
    strata_context *ctx;
    strata__object object;
    int count;                   /* numbers in `boundaries`; one more in `values` */
    double *boundaries, *values; /* of PiecewiseConstantDecay */
} strata__schedule;

/* From a Keras object: {"class_name": "ExponentialDecay", "config": {…}}. Local. */
strata_status strata__schedule_from_json(strata_context *ctx, const json_t *json,
                                         strata__schedule **schedule);
void strata__schedule_free(strata__schedule *schedule);             /* NULL is fine */
json_t *strata__schedule_to_json(const strata__schedule *schedule); /* New reference. */

/* The rate of a step; the first is 0. */
double strata__schedule_rate(const strata__schedule *schedule, int64_t step);

#endif
