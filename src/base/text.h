/* Text that grows: built piece by piece, checked once at the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_TEXT_H
#define STRATA_BASE_TEXT_H

#include "base/context.h"

/* Start with {.ctx = ctx}. After a failed allocation every call is a no-op and _take gives NULL. */
typedef struct strata__text {
    strata_context *ctx;
    char *data; /* NUL-terminated once anything was added */
    size_t length, capacity;
    bool failed;
} strata__text;

void strata__text_add(strata__text *text, const char *bytes, size_t count);
void strata__text_puts(strata__text *text, const char *words);
void strata__text_format(strata__text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ascending numbers: "0, 2-5". */
void strata__text_numbers(strata__text *text, int count, const int *numbers);

/* The finished text ("" if nothing was added), owned by the caller; NULL after STRATA_NO_MEMORY. */
char *strata__text_take(strata__text *text);

/* Columns that UTF-8 text takes: its bytes without those that continue a character. */
int strata__text_width(const char *text);

/* "1.50 MB", by powers of 1024, as Keras writes sizes; into `text`, which is returned. */
const char *strata__bytes_text(int64_t bytes, char text[32]);

/*
 * Looks for `item` in a list like "valid|same". Gives the place of its spelling in the list and
 * sets `length`, or NULL. A NULL list has no items.
 */
const char *strata__list_find(const char *list, const char *item, bool ignore_case, size_t *length);

#endif
