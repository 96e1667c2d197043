/* RMSprop, plain, centered and with momentum. https://keras.io/api/optimizers/rmsprop */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "training/optimizer_class.h"

static const strata__optimizer_config defaults = {.name = "rm_sprop",
                                                  .learning_rate = 0.001,
                                                  .rho = 0.9,
                                                  .epsilon = 1e-7,
                                                  STRATA__OPTIMIZER_DEFAULTS,
                                                  .weight_decay = NAN};

static const strata_field fields[] = {
    STRATA__LEARNING_RATE,
    STRATA_FIELD(strata__optimizer_config, rho, .min = 0, .max = 1,
                 .help = "share of the mean squared gradient kept"),
    STRATA_FIELD(strata__optimizer_config, momentum, .min = 0, .max = 1,
                 .help = "share of the last step kept"),
    STRATA_FIELD(strata__optimizer_config, epsilon, .min = 0, .help = "added under the root"),
    STRATA_FIELD(strata__optimizer_config, centered,
                 .help = "divide by the deviation, not the size"),
    STRATA__OPTIMIZER_FIELDS,
};

typedef struct numbers {
    float keep, take, rate, epsilon;
} numbers;

/* v ← ρv + (1−ρ)g²;  g ← α·g / √(v + ε). */
STRATA__SIMD static void increments(int64_t count, float *restrict g, float *restrict v, numbers n)
{
    for (int64_t i = 0; i < count; i++) {
        v[i] = n.keep * v[i] + n.take * (g[i] * g[i]);
        g[i] = n.rate * g[i] / sqrtf(v[i] + n.epsilon);
    }
}

/* As above, with a ← ρa + (1−ρ)g and v − a² under the root. */
STRATA__SIMD static void centered(int64_t count, float *restrict g, float *restrict v,
                                  float *restrict a, numbers n)
{
    for (int64_t i = 0; i < count; i++) {
        v[i] = n.keep * v[i] + n.take * (g[i] * g[i]);
        a[i] = n.keep * a[i] + n.take * g[i];
        g[i] = n.rate * g[i] / sqrtf(v[i] - a[i] * a[i] + n.epsilon);
    }
}

/* w ← w − increment. */
STRATA__SIMD static void descend(int64_t count, float *restrict w, const float *restrict increment)
{
    for (int64_t i = 0; i < count; i++)
        w[i] -= increment[i];
}

/* b ← μb + increment;  w ← w − b. */
STRATA__SIMD static void roll(int64_t count, float *restrict w, const float *restrict increment,
                              float *restrict b, float momentum)
{
    for (int64_t i = 0; i < count; i++) {
        b[i] = momentum * b[i] + increment[i];
        w[i] -= b[i];
    }
}

static void update(const strata__optimizer_config *c, const strata__step *step, int64_t count,
                   float *w, float *g, float *const *slots)
{
    numbers n = {.keep = (float)c->rho,
                 .take = (float)(1 - c->rho),
                 .rate = step->learning_rate,
                 .epsilon = (float)c->epsilon};
    if (slots[2])
        centered(count, g, slots[0], slots[2], n);
    else
        increments(count, g, slots[0], n);
    if (slots[1])
        roll(count, w, g, slots[1], (float)c->momentum);
    else
        descend(count, w, g);
}

static bool has_momentum(const strata__optimizer_config *c)
{
    return c->momentum > 0;
}

static bool is_centered(const strata__optimizer_config *c)
{
    return c->centered;
}

const strata__class strata__rmsprop = {
    .name = "RMSprop",
    STRATA__OPTIMIZER_CLASS(defaults, fields),
    .methods = &(const strata__optimizer_methods){.slot_count = 3,
                                                  .slots = {{"velocity", 0, NULL},
                                                            {"momentum", 1, has_momentum},
                                                            {"average_gradient", 2, is_centered}},
                                                  .update = update}};
