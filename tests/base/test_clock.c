/* Lengths of time as users write them. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 */
#include "harness.h"

#include "base/clock.h"

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } times[] = {{"3600", 3600},         {"90s", 90},     {"10m", 600},
                 {"1.5h", 5400},         {"2d", 172800},  {"0", 0},
                 {"1:30:00", 5400},      {"30:05", 1805}, {"100:00", 6000},
                 {"1-12:00:00", 129600}, {"0:0:1", 1},    {"72:00:00", 259200}};
    for (size_t i = 0; i < TEST_COUNT(times); i++) {
        double seconds = -1;
        assert_true(strata__seconds_parse(times[i].text, &seconds));
        assert_true(seconds == times[i].seconds);
    }
}

static void test_what_is_no_time(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "h",
                                        "-1",
                                        "+5",
                                        "1 h",
                                        "5min",
                                        "1e3",
                                        "0x10",
                                        "inf",
                                        "nan",
                                        "1.2.3",
                                        "1:60",
                                        "1:",
                                        ":30",
                                        "1::2",
                                        "1:2:3:4",
                                        "a:b",
                                        "1-",
                                        "1-5",
                                        "-1:00",
                                        "1:-5:00",
                                        "1h30",
                                        "99999999999999",
                                        "40000d",
                                        "1-1-1:00"};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        double seconds;
        if (strata__seconds_parse(wrong[i], &seconds))
            fail_msg("'%s' is taken for %g s", wrong[i], seconds);
    }
}

static void test_the_clock_goes_forward(void **state)
{
    (void)state;
    double last = strata__seconds();
    for (int i = 0; i < 1000; i++) {
        double now = strata__seconds();
        assert_true(now >= last);
        last = now;
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_what_is_no_time),
        cmocka_unit_test(test_the_clock_goes_forward),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
