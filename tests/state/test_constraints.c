/* Constraints: against Keras, on every mesh and placement, packed or not. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "state/support.h"

#include <stdlib.h>
#include <string.h>

#include "golden.h"

typedef struct place {
    strata_context *ctx;
    strata__placement placement;
    bool packed;
} place;

static bool constrained_agrees(strata_variable *variable, const golden *group, const char *name)
{
    golden_array x, y;
    assert_true(golden_read(group, "inputs/x", &x) & golden_read(group, "outputs/y", &y));
    float *given = golden_convert(&x, STRATA_FLOAT32);
    strata_cross_assign(variable, given);
    strata__variable_constrain(variable);
    assert_all_ok(variable->ctx);
    float *values = read_floats(variable);
    bool agrees = golden_agrees(&y, STRATA_FLOAT32, values, y.count, 1, name);
    free(values);
    free(given);
    golden_free(&x);
    golden_free(&y);
    return agrees;
}

static golden_verdict run_values(const place *place, const golden *group, const char *name)
{
    golden_array x;
    assert_true(golden_read(group, "inputs/x", &x));
    strata_shape shape = x.shape;
    golden_free(&x);
    strata__placement placements[3];
    if ((int)place->placement >= placements_of(shape.rank, placements))
        return GOLDEN_PASSED;
    strata_context *ctx = place->ctx;
    char *text = golden_text(group, NULL, "config");
    strata_variable *variable =
        WEIGHT(ctx, .shape = shape, .constraint = text, .placement = place->placement);
    strata__pack *pack = NULL;
    if (place->packed)
        strata__pack_new(ctx, 1, &variable, &pack);
    assert_all_ok(ctx);
    bool agrees = constrained_agrees(variable, group, name);
    strata__pack_free(ctx, pack);
    strata__variable_free(variable);
    free(text);
    return agrees ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static golden_verdict run_name(strata_context *ctx, const golden *group)
{
    char *given = golden_text(group, NULL, "given");
    json_t *expected = golden_json(group, NULL, "config");
    strata__object object;
    parse_object(ctx, &strata__constraint_family, given, &object);
    json_t *ours = strata__object_to_json(ctx, &object);
    bool equal = golden_json_equal(ours, expected);
    json_decref(ours);
    json_decref(expected);
    strata__object_free(ctx, &object);
    free(given);
    return equal ? GOLDEN_PASSED : GOLDEN_FAILED;
}

static golden_verdict run_case(void *user, const golden *group, const char *name)
{
    const place *place = user;
    if (golden_has_attribute(group, NULL, "given"))
        return run_name(place->ctx, group);
    return run_values(place, group, name);
}

static void test_constraints_against_keras_on_every_mesh(void **state)
{
    (void)state;
    golden_tally tally = {0};
    for (int i = 0; test_mesh(i); i++) {
        strata_context *ctx = test_context(test_mesh(i));
        for (int p = STRATA__WHOLE; p <= STRATA__MATRIX; p++) {
            for (int packed = 0; packed < 2; packed++)
                assert_all(golden_run("layers/constraints.h5", run_case,
                                      &(place){ctx, (strata__placement)p, packed}, &tally));
        }
    }
    golden_print("constraints", &tally);
    assert_all_int_equal(tally.count[GOLDEN_FAILED], 0);
    assert_all(tally.count[GOLDEN_PASSED] >= 6 * 20);
}

static void test_the_base_class_changes_nothing(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    strata_variable *variable = WEIGHT(ctx, .shape = STRATA_SHAPE(2, 2),
                                       .initializer = "Constant(-3.0)", .constraint = "Constraint");
    strata__variable_constrain(variable);
    assert_all_ok(ctx);
    float *values = read_floats(variable);
    assert_all_near(values[3], -3, 0);
    free(values);
    strata__variable_free(variable);
}

static void test_wrong_constraints_are_refused(void **state)
{
    (void)state;
    strata_context *ctx = test_context(NULL);
    static const struct {
        const char *text, *words;
        strata_dtype dtype;
    } wrong[] = {
        {"MaxNorm(axis=2)", "axis=2 is out of bounds for shape (2, 3)", STRATA_FLOAT32},
        {"MaxNorm(axis=[0, -2])", "axis=[0, -2]", STRATA_FLOAT32},
        {"UnitNorm(axis='x')", "axis", STRATA_FLOAT32},
        {"max_nrom", "MaxNorm", STRATA_FLOAT32},
        {"NonNeg", "float32", STRATA_FLOAT64},
    };
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_all(strata__variable_new(
                       ctx, &(strata__variable_spec){.name = "w",
                                                     .shape = STRATA_SHAPE(2, 3),
                                                     .dtype = wrong[i].dtype,
                                                     .constraint = wrong[i].text}) == NULL);
        assert_all_error(ctx, STRATA_INVALID, wrong[i].words);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constraints_against_keras_on_every_mesh),
        cmocka_unit_test(test_the_base_class_changes_nothing),
        cmocka_unit_test(test_wrong_constraints_are_refused),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
