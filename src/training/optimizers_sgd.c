/* SGD with momentum. https://keras.io/api/optimizers/sgd */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "training/optimizer_class.h"

static const strata__optimizer_config defaults = {
    .name = "sgd", .learning_rate = 0.01, STRATA__OPTIMIZER_DEFAULTS, .weight_decay = NAN};

static const strata_field fields[] = {
    STRATA__LEARNING_RATE,
    STRATA_FIELD(strata__optimizer_config, momentum, .min = 0, .max = 1,
                 .help = "share of the last step kept"),
    STRATA_FIELD(strata__optimizer_config, nesterov, .help = "look ahead along the momentum"),
    STRATA__OPTIMIZER_FIELDS,
};

/* w ← w − α·g. */
STRATA__SIMD static void plain(int64_t count, float *restrict w, const float *restrict g,
                               float rate)
{
    for (int64_t i = 0; i < count; i++)
        w[i] -= rate * g[i];
}

/* m ← μ·m − α·g;  w ← w + m. */
STRATA__SIMD static void with_momentum(int64_t count, float *restrict w, const float *restrict g,
                                       float *restrict m, float rate, float momentum)
{
    for (int64_t i = 0; i < count; i++) {
        m[i] = momentum * m[i] - rate * g[i];
        w[i] += m[i];
    }
}

/* m ← μ·m − α·g;  w ← w + μ·m − α·g. */
STRATA__SIMD static void nesterov(int64_t count, float *restrict w, const float *restrict g,
                                  float *restrict m, float rate, float momentum)
{
    for (int64_t i = 0; i < count; i++) {
        m[i] = momentum * m[i] - rate * g[i];
        w[i] += momentum * m[i] - rate * g[i];
    }
}

static void update(const strata__optimizer_config *c, const strata__step *step, int64_t count,
                   float *w, float *g, float *const *slots)
{
    if (!slots[0])
        plain(count, w, g, step->learning_rate);
    else
        (c->nesterov ? nesterov : with_momentum)(count, w, g, slots[0], step->learning_rate,
                                                 (float)c->momentum);
}

static bool has_momentum(const strata__optimizer_config *c)
{
    return c->momentum != 0;
}

const strata__class strata__sgd = {
    .name = "SGD",
    STRATA__OPTIMIZER_CLASS(defaults, fields),
    .methods = &(const strata__optimizer_methods){
        .slot_count = 1, .slots = {{"momentum", 0, has_momentum}}, .update = update}};
