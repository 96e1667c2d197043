/* Learning rate schedules against Keras. ranks: 1 2 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "support.h"

#include "base/json.h"
#include "training/schedule.h"

static bool rates_agree(const strata__schedule *schedule, const golden *group, const char *name)
{
    golden_array steps, rates;
    bool read = golden_read(group, "steps", &steps) && golden_read(group, "learning_rate", &rates);
    if (!read)
        return false;
    float *ours = calloc((size_t)steps.count, sizeof *ours);
    for (int64_t i = 0; i < steps.count; i++)
        ours[i] = (float)strata__schedule_rate(schedule, (int64_t)steps.values[i]);
    bool agree = golden_agrees(&rates, STRATA_FLOAT32, ours, steps.count, 1, name);
    free(ours);
    golden_free(&steps);
    golden_free(&rates);
    return agree;
}

static golden_verdict schedule_case(void *user, const golden *group, const char *name)
{
    strata_context *ctx = user;
    json_t *config = golden_json(group, NULL, "config");
    strata__schedule *schedule;
    strata_status status = strata__schedule_from_json(ctx, config, &schedule);
    json_decref(config);
    if (status != STRATA_OK)
        return GOLDEN_FAILED;
    bool agrees = rates_agree(schedule, group, name) &&
                  config_agrees(strata__schedule_to_json(schedule), group, name);
    strata__schedule_free(schedule);
    return agrees ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static void test_schedules_against_keras(void **state)
{
    (void)state;
    run_golden("training/schedules.h5", schedule_case, 20);
}

static double rate_of(strata_context *ctx, const char *text, int64_t step)
{
    json_t *json = strata__notation_parse(ctx, text);
    strata__schedule *schedule;
    strata__schedule_from_json(ctx, json, &schedule);
    json_decref(json);
    assert_all_ok(ctx);
    double rate = strata__schedule_rate(schedule, step);
    strata__schedule_free(schedule);
    return rate;
}

static void test_schedules_in_notation(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    assert_all_near(rate_of(ctx, "ExponentialDecay(0.1, 10, 0.5)", 20), 0.025, 1e-12);
    assert_all_near(rate_of(ctx, "ExponentialDecay(0.1, 10, 0.5, staircase=True)", 19), 0.05,
                    1e-12);
    assert_all_near(rate_of(ctx, "PiecewiseConstantDecay([2, 4], values=[3, 2, 1])", 2), 3, 0);
    assert_all_near(rate_of(ctx, "PiecewiseConstantDecay([2, 4], values=[3, 2, 1])", 5), 1, 0);
    assert_all_near(rate_of(ctx, "CosineDecay(0.2, 100, warmup_target=1.2, warmup_steps=10)", 5),
                    0.7, 1e-12);
}

static void refuse(strata_context *ctx, const char *text, const char *words)
{
    json_t *json = strata__notation_parse(ctx, text);
    strata__schedule *schedule;
    strata__schedule_from_json(ctx, json, &schedule);
    json_decref(json);
    assert_all(schedule == NULL);
    assert_all_error(ctx, STRATA_INVALID, words);
}

static void test_schedules_refuse(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    refuse(ctx, "ExponentialDecay(0.1, decay_steps=0, decay_rate=0.5)", "decay_steps");
    refuse(ctx, "ExponentialDecay(0.1, 10)", "decay_rate");
    refuse(ctx, "PiecewiseConstantDecay([1, 2], [1, 2])",
           "1 less than the length of values, not 2 and 2");
    refuse(ctx, "PiecewiseConstantDecay([1, 'x'], [1, 2, 3])", "boundaries must be numbers");
    refuse(ctx, "CosinDecay(0.1, 10)", "CosineDecay");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules_against_keras),
        cmocka_unit_test(test_schedules_in_notation),
        cmocka_unit_test(test_schedules_refuse),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
