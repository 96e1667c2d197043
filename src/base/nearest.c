/* The nearest name, for hints in messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 64 };

static int smallest(int a, int b, int c)
{
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein distance without case, one row of the table at a time. */
static int distance(const char *from, const char *to)
{
    int row[LONGEST + 1];
    int width = (int)strlen(to);
    for (int j = 0; j <= width; j++)
        row[j] = j;
    for (int i = 1; from[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= width; j++) {
            bool differ = tolower((unsigned char)from[i - 1]) != tolower((unsigned char)to[j - 1]);
            int replaced = diagonal + differ;
            diagonal = row[j];
            row[j] = smallest(replaced, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[width];
}

const char *strata__nearest(const char *name, const char *const *names, int count)
{
    size_t length = strlen(name);
    if (length > LONGEST)
        return NULL;
    const char *best = NULL;
    int least = (int)(length + 2) / 3 + 1; /* a third of the letters may be wrong */
    for (int i = 0; i < count; i++) {
        if (strlen(names[i]) > LONGEST)
            continue;
        int d = distance(name, names[i]);
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
