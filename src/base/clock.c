/* Time: a clock that nobody sets, and lengths of time as users write them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double day = 86400, century = 36525 * 86400.0;

double strata__seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Digits with at most one point; strtod alone would take signs, exponents and names. */
static bool take_number(const char **text, double *number)
{
    char *end;
    size_t length = strspn(*text, "0123456789.");
    if (!isdigit((unsigned char)**text))
        return false;
    *number = strtod(*text, &end);
    bool plain = end == *text + length;
    *text = end;
    return plain;
}

/* "1.5h" */
static bool parse_unit(const char *text, double *seconds)
{
    static const char units[] = "smhd";
    static const double lengths[] = {1, 60, 3600, 86400};
    if (!take_number(&text, seconds))
        return false;
    const char *unit = *text ? strchr(units, *text) : units;
    if (!unit || (*text && text[1]))
        return false;
    *seconds *= lengths[unit - units];
    return true;
}

/* "1-12:00:00": minutes and seconds after the first colon are below 60. */
static bool parse_clock(const char *text, double *seconds)
{
    double days = 0, part, sum = 0;
    const char *dash = strchr(text, '-');
    if (dash && (!take_number(&text, &days) || text++ != dash))
        return false;
    for (int parts = 1; parts <= 3; parts++) {
        if (!take_number(&text, &part) || (parts > 1 && part >= 60))
            return false;
        sum = 60 * sum + part;
        if (*text == '\0') {
            *seconds = days * day + sum;
            return parts > 1;
        }
        if (*text++ != ':')
            return false;
    }
    return false;
}

bool strata__seconds_parse(const char *text, double *seconds)
{
    bool good = strchr(text, ':') ? parse_clock(text, seconds) : parse_unit(text, seconds);
    return good && *seconds <= century;
}
