/* The classes of learning rate schedules. https://keras.io/api/optimizers/learning_rate_schedules
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/memory.h"
#include "training/schedule_class.h"

/* Arguments of all schedules; the table of a class has the rows that it takes. */
typedef struct config {
    double initial_learning_rate, end_learning_rate, warmup_target;
    double decay_rate, power, alpha, t_mul, m_mul;
    int64_t decay_steps, first_decay_steps, warmup_steps;
    bool staircase, cycle;
    const char *boundaries, *values; /* JSON lists of numbers */
    const char *name;
} config;

#define CLASS(default_config, table)                                                               \
    .module = "keras.optimizers.schedules", STRATA_CLASS_CONFIG(config, default_config, table)

#define INITIAL                                                                                    \
    STRATA_FIELD(config, initial_learning_rate, .required = true, .help = "rate of the first step")
#define STEPS(member)                                                                              \
    STRATA_FIELD(config, member, .required = true, .min = 1, .max = INT64_MAX,                     \
                 .help = "steps over which the rate decays")
#define NAME STRATA_FIELD(config, name, .help = "of the schedule")

static const config *config_of(const strata__schedule *schedule)
{
    return schedule->object.config;
}

/* Share of the decay that is done, in whole periods if asked for. */
static double progress(const config *c, double step)
{
    double done = step / (double)c->decay_steps;
    return c->staircase ? floor(done) : done;
}

/* --- rate = initial · decay_rate^progress --- */

static double exponential(const strata__schedule *schedule, double step)
{
    const config *c = config_of(schedule);
    return c->initial_learning_rate * pow(c->decay_rate, progress(c, step));
}

/* --- rate = initial / (1 + decay_rate · progress) --- */

static double inverse_time(const strata__schedule *schedule, double step)
{
    const config *c = config_of(schedule);
    return c->initial_learning_rate / (1 + c->decay_rate * progress(c, step));
}

static const strata_field decay_fields[] = {
    INITIAL,
    STEPS(decay_steps),
    STRATA_FIELD(config, decay_rate, .required = true, .help = "how fast the rate decays"),
    STRATA_FIELD(config, staircase, .help = "whole periods only"),
    NAME,
};
static const config exponential_defaults = {.name = "ExponentialDecay"};
static const config inverse_time_defaults = {.name = "InverseTimeDecay"};

/* --- rate = values[i] up to and including boundaries[i], then the last value --- */

static double *numbers_of(strata_context *ctx, const char *what, const char *text, int *count)
{
    json_t *list = strata__notation_parse(ctx, text);
    *count = (int)json_array_size(list);
    double *numbers = strata__alloc(ctx, (size_t)*count * sizeof *numbers);
    for (int i = 0; i < *count && numbers; i++) {
        const json_t *number = json_array_get(list, (size_t)i);
        numbers[i] = json_number_value(number);
        if (!json_is_number(number))
            strata__fail(ctx, STRATA_INVALID, "PiecewiseConstantDecay: %s must be numbers", what);
    }
    json_decref(list);
    return numbers;
}

static strata_status piecewise_prepare(strata__schedule *schedule)
{
    strata_context *ctx = schedule->ctx;
    const config *c = config_of(schedule);
    int values;
    schedule->boundaries = numbers_of(ctx, "boundaries", c->boundaries, &schedule->count);
    schedule->values = numbers_of(ctx, "values", c->values, &values);
    if (ctx->status != STRATA_OK)
        return ctx->status;
    if (values != schedule->count + 1)
        return strata__fail(
            ctx, STRATA_INVALID,
            "PiecewiseConstantDecay: the length of boundaries should be 1 less than "
            "the length of values, not %d and %d",
            schedule->count, values);
    return STRATA_OK;
}

static double piecewise(const strata__schedule *schedule, double step)
{
    int i = 0;
    while (i < schedule->count && step > schedule->boundaries[i])
        i++;
    return schedule->values[i];
}

static const strata_field piecewise_fields[] = {
    STRATA_FIELD(config, boundaries, .required = true, .help = "last steps of the values"),
    STRATA_FIELD(config, values, .required = true, .help = "rates, one more than boundaries"),
    NAME,
};
static const config piecewise_defaults = {.name = "PiecewiseConstant"};

/* --- rate = (initial − end)·(1 − step/steps)^power + end; cycle: steps grow in multiples --- */

static double polynomial(const strata__schedule *schedule, double step)
{
    const config *c = config_of(schedule);
    double steps = (double)c->decay_steps;
    if (c->cycle)
        steps *= fmax(1, ceil(step / steps));
    else
        step = fmin(step, steps);
    return (c->initial_learning_rate - c->end_learning_rate) * pow(1 - step / steps, c->power) +
           c->end_learning_rate;
}

static const strata_field polynomial_fields[] = {
    INITIAL,
    STEPS(decay_steps),
    STRATA_FIELD(config, end_learning_rate, .help = "rate at the end"),
    STRATA_FIELD(config, power, .help = "of the polynomial"),
    STRATA_FIELD(config, cycle, .help = "goes on beyond decay_steps"),
    NAME,
};
static const config polynomial_defaults = {
    .end_learning_rate = 1e-4, .power = 1, .name = "PolynomialDecay"};

/* --- cosine: from `high` down to alpha·high, after a linear rise from initial to warmup_target ---
 */

static double cosine_factor(double alpha, double height, double done)
{
    return (1 - alpha) * height * 0.5 * (1 + cos(M_PI * done)) + alpha;
}

static double cosine(const strata__schedule *schedule, double step)
{
    const config *c = config_of(schedule);
    double steps = (double)c->decay_steps, warm = (double)c->warmup_steps;
    if (isnan(c->warmup_target))
        return c->initial_learning_rate * cosine_factor(c->alpha, 1, fmin(step, steps) / steps);
    if (step < warm)
        return c->initial_learning_rate +
               (c->warmup_target - c->initial_learning_rate) * step / warm;
    return c->warmup_target * cosine_factor(c->alpha, 1, fmin(step - warm, steps) / steps);
}

static const strata_field cosine_fields[] = {
    INITIAL,
    STEPS(decay_steps),
    STRATA_FIELD(config, alpha, .help = "share of the rate at the end"),
    NAME,
    STRATA_FIELD(config, warmup_target, .help = "rate after the warm-up"),
    STRATA_FIELD(config, warmup_steps, .min = 0, .max = INT64_MAX, .help = "of the warm-up"),
};
static const config cosine_defaults = {.warmup_target = NAN, .name = "CosineDecay"};

/* --- restarts: period i lasts first·t_mul^i steps and starts at initial·m_mul^i --- */

static double restarts(const strata__schedule *schedule, double step)
{
    const config *c = config_of(schedule);
    double done = step / (double)c->first_decay_steps, period = floor(done), within = done - period;
    if (c->t_mul != 1) {
        period = floor(log(1 - done * (1 - c->t_mul)) / log(c->t_mul));
        double before = (1 - pow(c->t_mul, period)) / (1 - c->t_mul);
        within = (done - before) / pow(c->t_mul, period);
    }
    return c->initial_learning_rate * cosine_factor(c->alpha, pow(c->m_mul, period), within);
}

static const strata_field restarts_fields[] = {
    INITIAL,
    STEPS(first_decay_steps),
    STRATA_FIELD(config, t_mul, .min = 0, .exclusive_min = true, .help = "growth of the periods"),
    STRATA_FIELD(config, m_mul, .help = "growth of the first rates of periods"),
    STRATA_FIELD(config, alpha, .help = "share of the rate at the end"),
    NAME,
};
static const config restarts_defaults = {.t_mul = 2, .m_mul = 1, .name = "SGDRDecay"};

const strata__class strata__exponential_decay = {
    .name = "ExponentialDecay",
    CLASS(exponential_defaults, decay_fields),
    .methods = &(const strata__schedule_methods){.rate = exponential}};

const strata__class strata__inverse_time_decay = {
    .name = "InverseTimeDecay",
    CLASS(inverse_time_defaults, decay_fields),
    .methods = &(const strata__schedule_methods){.rate = inverse_time}};

const strata__class strata__piecewise_constant_decay = {
    .name = "PiecewiseConstantDecay",
    CLASS(piecewise_defaults, piecewise_fields),
    .methods = &(const strata__schedule_methods){.prepare = piecewise_prepare, .rate = piecewise}};

const strata__class strata__polynomial_decay = {
    .name = "PolynomialDecay",
    CLASS(polynomial_defaults, polynomial_fields),
    .methods = &(const strata__schedule_methods){.rate = polynomial}};

const strata__class strata__cosine_decay = {.name = "CosineDecay",
                                            CLASS(cosine_defaults, cosine_fields),
                                            .methods =
                                                &(const strata__schedule_methods){.rate = cosine}};

const strata__class strata__cosine_decay_restarts = {
    .name = "CosineDecayRestarts",
    CLASS(restarts_defaults, restarts_fields),
    .methods = &(const strata__schedule_methods){.rate = restarts}};
