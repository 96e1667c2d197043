/* What a class of optimizers is: its arguments, its slots and its update of consecutive elements.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_OPTIMIZER_CLASS_H
#define STRATA_TRAINING_OPTIMIZER_CLASS_H

#include "base/fields.h"

#define STRATA__MAX_SLOTS 3

/* Arguments of all optimizers; the table of a class has the rows that it takes. NaN and
 * STRATA_NONE: None. */
typedef struct strata__optimizer_config {
    double learning_rate; /* not used with a schedule */
    double momentum, rho, beta_1, beta_2, epsilon;
    bool nesterov, amsgrad, centered;
    double weight_decay, clipnorm, clipvalue, global_clipnorm;
    bool use_ema;
    double ema_momentum;
    int64_t ema_overwrite_frequency;
    double loss_scale_factor;
    int64_t gradient_accumulation_steps;
    const char *name;
} strata__optimizer_config;

/* The first row of every table, and the last ones: the order of the constructors. */
#define STRATA__LEARNING_RATE                                                                      \
    STRATA_FIELD(strata__optimizer_config, learning_rate, .help = "a number, or a schedule")

#define STRATA__OPTIMIZER_FIELDS                                                                   \
    STRATA_FIELD(strata__optimizer_config, weight_decay,                                           \
                 .help = "share of a value lost a step, times the rate"),                          \
        STRATA_FIELD(strata__optimizer_config, clipnorm, .min = 0, .exclusive_min = true,          \
                     .help = "longest gradient of a variable"),                                    \
        STRATA_FIELD(strata__optimizer_config, clipvalue, .min = 0, .exclusive_min = true,         \
                     .help = "largest entry of a gradient"),                                       \
        STRATA_FIELD(strata__optimizer_config, global_clipnorm, .min = 0, .exclusive_min = true,   \
                     .help = "longest gradient of all variables together"),                        \
        STRATA_FIELD(strata__optimizer_config, use_ema,                                            \
                     .help = "keep moving averages of the values"),                                \
        STRATA_FIELD(strata__optimizer_config, ema_momentum, .min = 0, .max = 1,                   \
                     .help = "of the averages"),                                                   \
        STRATA_FIELD(strata__optimizer_config, ema_overwrite_frequency, .min = 1,                  \
                     .max = INT32_MAX, .help = "steps after which averages become the values"),    \
        STRATA_FIELD(strata__optimizer_config, loss_scale_factor, .min = 0, .exclusive_min = true, \
                     .help = "the loss is multiplied, gradients are divided by it"),               \
        STRATA_FIELD(strata__optimizer_config, gradient_accumulation_steps, .min = 2,              \
                     .max = INT32_MAX, .help = "steps whose mean gradient makes one update"),      \
        STRATA_FIELD(strata__optimizer_config, name, .help = "in the paths of its variables")

/* All but name, rate, decay and what the class adds. */
#define STRATA__OPTIMIZER_DEFAULTS                                                                 \
    .clipnorm = NAN, .clipvalue = NAN, .global_clipnorm = NAN, .ema_momentum = 0.99,               \
    .ema_overwrite_frequency = STRATA_NONE, .loss_scale_factor = NAN,                              \
    .gradient_accumulation_steps = STRATA_NONE

#define STRATA__OPTIMIZER_CLASS(default_config, table)                                             \
    .module = "keras.optimizers",                                                                  \
    STRATA_CLASS_CONFIG(strata__optimizer_config, default_config, table)

/* Numbers of one step. */
typedef struct strata__step {
    int64_t update; /* number of this update; the first is 1 */
    float learning_rate;
    float decay;        /* weight decay · rate */
    float scale;        /* of incoming gradients: 1 / loss_scale_factor */
    float bound;        /* largest entry; INFINITY: no clipping by value */
    float average_keep; /* EMA momentum of this step */
    bool updates;       /* false: gradients are only accumulated */
    bool taken_in;      /* gradients are scaled and accumulated already, for their norms */
    bool overwrites;    /* averages become the values */
    float correction;   /* of the class, see begin */
} strata__step;

typedef struct strata__slot {
    const char *name;
    int group;                                            /* see strata__slot_kind */
    bool (*used)(const strata__optimizer_config *config); /* NULL: always */
} strata__slot;

/* Methods (strata__class.methods) of an optimizer. */
typedef struct strata__optimizer_methods {
    int slot_count;
    strata__slot slots[STRATA__MAX_SLOTS];
    /* A factor that depends on the number of the update only; NULL: 1. */
    float (*correction)(const strata__optimizer_config *config, int64_t update);
    /* New values w from gradients g, which may be overwritten; slots[i] is NULL where it is not
     * used. Any number of threads. */
    void (*update)(const strata__optimizer_config *config, const strata__step *step, int64_t count,
                   float *w, float *g, float *const *slots);
} strata__optimizer_methods;

extern const strata__class strata__sgd, strata__rmsprop, strata__adam, strata__adamw;

#endif
