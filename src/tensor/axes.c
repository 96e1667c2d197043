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

bool strata__axes_to_end(int rank, int count, const int *axes, int *forth, int *back)
{
    bool chosen[STRATA_MAX_RANK] = {false}, in_place = true;
    for (int i = 0; i < count; i++)
        chosen[axes[i]] = true;
    int place = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < rank; i++) {
            if (chosen[i] == (pass == 1))
                forth[place++] = i;
        }
    }
    for (int i = 0; i < rank; i++) {
        back[forth[i]] = i;
        in_place = in_place && forth[i] == i;
    }
    return in_place;
}
