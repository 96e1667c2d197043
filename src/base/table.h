/* Tables of text: cells row by row, printed in columns as wide as they need. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_TABLE_H
#define STRATA_BASE_TABLE_H

#include "base/text.h"

/* Start with {.columns = "lrr", .text.ctx = ctx}: l is flush left, r flush right. */
typedef struct strata__table {
    const char *columns;
    strata__text text; /* the cells, each with its NUL */
} strata__table;

/* The next cell; after the last column a row begins. No line breaks. */
void strata__table_cell(strata__table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line across, between two rows. */
void strata__table_rule(strata__table *table);

/* Prints and empties the table. Without memory for it nothing is printed. */
void strata__table_print(strata__table *table, FILE *stream);

#endif
