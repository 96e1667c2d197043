/* Equations of einsum: parsing, and recognition of products. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "ops/einsum.h"

/* --- parsing --- */

/* Letters with an ellipsis before or after them. */
typedef struct term {
    bool left, right;
    int count;
    const char *letters;
} term;

static bool take(const char **text, const char *words)
{
    size_t length = strlen(words);
    if (strncmp(*text, words, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool take_term(const char **text, term *t)
{
    t->left = take(text, "...");
    t->letters = *text;
    while (isalpha((unsigned char)**text))
        (*text)++;
    t->count = (int)(*text - t->letters);
    t->right = take(text, "...");
    return t->count > 0 && t->count <= STRATA_MAX_RANK && !(t->left && t->right);
}

static bool spell(const term *t, int elided, char *letters)
{
    static const char digits[] = "01234567";
    int before = t->left ? elided : 0, after = t->right ? elided : 0;
    if (before + t->count + after > STRATA_MAX_RANK)
        return false;
    memcpy(letters, digits, (size_t)before);
    memcpy(letters + before, t->letters, (size_t)t->count);
    memcpy(letters + before + t->count, digits, (size_t)after);
    letters[before + t->count + after] = '\0';
    return true;
}

bool strata__equation_parse(const char *text, int rank, strata__equation *equation)
{
    term x, kernel, y;
    if (!take_term(&text, &x) || !take(&text, ",") || !take_term(&text, &kernel) ||
        !take(&text, "->") || !take_term(&text, &y) || *text)
        return false;
    if (kernel.left || kernel.right || x.left != y.left || x.right != y.right ||
        (x.right && x.count < 2))
        return false;
    bool has_dots = x.left || x.right;
    equation->elided = has_dots && rank > x.count ? rank - x.count : 0;
    equation->left = x.left;
    return spell(&x, equation->elided, equation->x) && spell(&kernel, 0, equation->kernel) &&
           spell(&y, equation->elided, equation->y);
}

/* --- products --- */

int strata__equation_columns(const strata__equation *equation)
{
    const char *x = equation->x, *kernel = equation->kernel, *y = equation->y;
    size_t kept = 0, summed = 0;
    while (x[kept] && x[kept] == y[kept])
        kept++;
    while (x[kept + summed] && x[kept + summed] == kernel[summed])
        summed++;
    bool whole = kept > 0 && summed > 0 && !x[kept + summed];
    return whole && strcmp(kernel + summed, y + kept) == 0 ? (int)strlen(y + kept) : 0;
}
