/* Time: a clock that nobody sets, and lengths of time as users write them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_CLOCK_H
#define STRATA_BASE_CLOCK_H

#include <stdbool.h>

/* Seconds of a clock that only goes forward; from when it counts is unknown. Any thread. */
double strata__seconds(void);

/*
 * "3600", "90s", "10m", "1.5h", "2d", "1:30:00", "30:00" (minutes and seconds), "1-12:00:00"
 * (days). false: none of these, negative, or longer than a century.
 */
bool strata__seconds_parse(const char *text, double *seconds);

#endif
