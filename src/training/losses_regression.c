/* Losses of numbers: mean squared and mean absolute error over the last axis. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "training/loss.h"
#include "training/loss_class.h"

static const strata__loss_config squared_defaults = {.name = "mean_squared_error",
                                                     STRATA__LOSS_DEFAULTS};
static const strata__loss_config absolute_defaults = {.name = "mean_absolute_error",
                                                      STRATA__LOSS_DEFAULTS};
static const strata_field fields[] = {STRATA__LOSS_FIELDS};

/* v = Σ (p − t)² / n,  dv/dp = 2 (p − t) / n. */
STRATA__SIMD static void squared(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    float share = 1 / (float)r->all;
    for (int64_t i = first; i < first + count; i++) {
        const float *p = r->prediction + i * r->n, *t = r->truth + i * r->n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < r->n; j++)
            sum += (p[j] - t[j]) * (p[j] - t[j]);
        r->values[i] = sum * share;
        for (int64_t j = 0; r->slopes && j < r->n; j++)
            r->slopes[i * r->n + j] = 2 * (p[j] - t[j]) * share;
    }
}

/* v = Σ |p − t| / n,  dv/dp = sign(p − t) / n. */
STRATA__SIMD static void absolute(const void *user, int64_t first, int64_t count)
{
    const strata__loss_rows *r = user;
    float share = 1 / (float)r->all;
    for (int64_t i = first; i < first + count; i++) {
        const float *p = r->prediction + i * r->n, *t = r->truth + i * r->n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < r->n; j++)
            sum += fabsf(p[j] - t[j]);
        r->values[i] = sum * share;
        for (int64_t j = 0; r->slopes && j < r->n; j++)
            r->slopes[i * r->n + j] = (float)((p[j] > t[j]) - (p[j] < t[j])) * share;
    }
}

static int plan_squared(const strata__loss_rows *rows, strata__stage stages[STRATA__LOSS_STAGES])
{
    stages[0] = strata__loss_sum(rows, squared);
    return 1;
}

static int plan_absolute(const strata__loss_rows *rows, strata__stage stages[STRATA__LOSS_STAGES])
{
    stages[0] = strata__loss_sum(rows, absolute);
    return 1;
}

const strata__class strata__mean_squared_error = {
    .name = "MeanSquaredError",
    .aliases = "mse|MSE",
    STRATA__LOSS_CLASS(squared_defaults, fields),
    .methods = &(const strata__loss_methods){.plan = plan_squared}};

const strata__class strata__mean_absolute_error = {
    .name = "MeanAbsoluteError",
    .aliases = "mae|MAE",
    STRATA__LOSS_CLASS(absolute_defaults, fields),
    .methods = &(const strata__loss_methods){.plan = plan_absolute}};
