/* Axes as arguments: one axis or a list of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/axes.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* A list that is longer than the rank names an axis twice, so `axes` cannot overflow. */
static bool take_axis(long long axis, int rank, int *axes, int *count)
{
    if (axis < -rank || axis >= rank)
        return false;
    int positive = (int)(axis < 0 ? axis + rank : axis);
    for (int i = 0; i < *count; i++) {
        if (axes[i] == positive)
            return false;
    }
    axes[(*count)++] = positive;
    return true;
}

/* By hand, since a JSON parser would allocate memory in every training step. */
bool strata__axes_read(const char *text, int rank, int axes[STRATA_MAX_RANK], int *count)
{
    const char *c = skip_blanks(text);
    bool list = *c == '[', more = true;
    *count = 0;
    for (c += list; more; c += more) {
        char *end;
        long long axis = strtoll(c, &end, 10);
        if (end == c || !take_axis(axis, rank, axes, count))
            return false;
        c = skip_blanks(end);
        more = list && *c == ',';
    }
    if (list && *c++ != ']')
        return false;
    return *skip_blanks(c) == '\0';
}
