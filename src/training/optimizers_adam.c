/* Adam and AdamW. https://keras.io/api/optimizers/adam https://arxiv.org/abs/1412.6980 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/vector.h"
#include "training/optimizer_class.h"

static const strata__optimizer_config defaults = {.name = "adam",
                                                  .learning_rate = 0.001,
                                                  .beta_1 = 0.9,
                                                  .beta_2 = 0.999,
                                                  .epsilon = 1e-7,
                                                  STRATA__OPTIMIZER_DEFAULTS,
                                                  .weight_decay = NAN};

static const strata__optimizer_config decayed_defaults = {.name = "adam_w",
                                                          .learning_rate = 0.001,
                                                          .beta_1 = 0.9,
                                                          .beta_2 = 0.999,
                                                          .epsilon = 1e-7,
                                                          STRATA__OPTIMIZER_DEFAULTS,
                                                          .weight_decay = 0.004};

static const strata_field fields[] = {
    STRATA__LEARNING_RATE,
    STRATA_FIELD(strata__optimizer_config, beta_1, .min = 0, .max = 1, .exclusive_max = true,
                 .help = "share of the mean gradient kept"),
    STRATA_FIELD(strata__optimizer_config, beta_2, .min = 0, .max = 1, .exclusive_max = true,
                 .help = "share of the mean squared gradient kept"),
    STRATA_FIELD(strata__optimizer_config, epsilon, .min = 0, .help = "added to the root"),
    STRATA_FIELD(strata__optimizer_config, amsgrad, .help = "divide by the largest root so far"),
    STRATA__OPTIMIZER_FIELDS,
};

/* Numbers of a step: m ← m + (g−m)·take_1;  v ← v + (g²−v)·take_2;  w ← w − rate·m / (√v + ε); ε is
 * not bias-corrected. */
typedef struct numbers {
    float take_1, take_2, rate, epsilon;
} numbers;

STRATA__SIMD static void adam(int64_t count, float *restrict w, const float *restrict g,
                              float *restrict m, float *restrict v, numbers n)
{
    for (int64_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * n.take_1;
        v[i] += (g[i] * g[i] - v[i]) * n.take_2;
        w[i] -= m[i] * n.rate / (sqrtf(v[i]) + n.epsilon);
    }
}

/* As above, with h ← max(h, v) under the root. */
STRATA__SIMD static void amsgrad(int64_t count, float *restrict w, const float *restrict g,
                                 float *restrict m, float *restrict v, float *restrict h, numbers n)
{
    for (int64_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * n.take_1;
        v[i] += (g[i] * g[i] - v[i]) * n.take_2;
        h[i] = h[i] > v[i] ? h[i] : v[i];
        w[i] -= m[i] * n.rate / (sqrtf(h[i]) + n.epsilon);
    }
}

/* √(1−β₂ᵗ) / (1−β₁ᵗ) */
static float correction(const strata__optimizer_config *c, int64_t t)
{
    return (float)(sqrt(1 - pow(c->beta_2, (double)t)) / (1 - pow(c->beta_1, (double)t)));
}

static void update(const strata__optimizer_config *c, const strata__step *step, int64_t count,
                   float *w, float *g, float *const *slots)
{
    numbers n = {.take_1 = (float)(1 - c->beta_1),
                 .take_2 = (float)(1 - c->beta_2),
                 .rate = step->learning_rate * step->correction,
                 .epsilon = (float)c->epsilon};
    if (slots[2])
        amsgrad(count, w, g, slots[0], slots[1], slots[2], n);
    else
        adam(count, w, g, slots[0], slots[1], n);
}

static bool keeps_largest(const strata__optimizer_config *c)
{
    return c->amsgrad;
}

static const strata__optimizer_methods methods = {
    .slot_count = 3,
    .slots = {{"momentum", 0, NULL}, {"velocity", 0, NULL}, {"velocity_hat", 1, keeps_largest}},
    .correction = correction,
    .update = update};

const strata__class strata__adam = {
    .name = "Adam", STRATA__OPTIMIZER_CLASS(defaults, fields), .methods = &methods};

const strata__class strata__adamw = {
    .name = "AdamW", STRATA__OPTIMIZER_CLASS(decayed_defaults, fields), .methods = &methods};
