/* Tables of text: cells row by row, printed in columns as wide as they need. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <string.h>

#include "base/memory.h"

enum { MOST_COLUMNS = 24, CELL_SIZE = 512 };

/* No cell has a line break: this stands for a row. */
static const char rule[] = "\n";

void strata__table_cell(strata__table *table, const char *format, ...)
{
    char cell[CELL_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cell, sizeof cell, format, arguments);
    va_end(arguments);
    strata__text_add(&table->text, cell, strlen(cell) + 1);
}

void strata__table_rule(strata__table *table)
{
    strata__text_add(&table->text, rule, sizeof rule);
}

static void measure(const strata__table *table, int columns, int widths[MOST_COLUMNS])
{
    const char *cell = table->text.data, *end = cell + table->text.length;
    for (int column = 0; cell < end; cell += strlen(cell) + 1) {
        if (strcmp(cell, rule) == 0)
            continue;
        int width = strata__text_width(cell);
        widths[column] = width > widths[column] ? width : widths[column];
        column = (column + 1) % columns;
    }
}

static void print_rule(FILE *stream, int columns, const int widths[MOST_COLUMNS])
{
    int width = 2 * (columns - 1);
    for (int column = 0; column < columns; column++)
        width += widths[column];
    for (int i = 0; i < width; i++)
        fputs("─", stream);
    fputc('\n', stream);
}

/* Blanks that nothing follows are left out. */
static void print_cell(FILE *stream, const char *cell, char side, int width, bool last)
{
    int blank = width - strata__text_width(cell);
    if (side == 'r')
        fprintf(stream, "%*s%s", blank, "", cell);
    else
        fprintf(stream, "%s%*s", cell, last ? 0 : blank, "");
    fputs(last ? "\n" : "  ", stream);
}

void strata__table_print(strata__table *table, FILE *stream)
{
    int columns = (int)strlen(table->columns), widths[MOST_COLUMNS] = {0};
    const char *cell = table->text.data, *end = cell ? cell + table->text.length : NULL;
    if (!table->text.failed && cell && columns <= MOST_COLUMNS) {
        measure(table, columns, widths);
        for (int column = 0; cell < end; cell += strlen(cell) + 1) {
            if (strcmp(cell, rule) == 0) {
                print_rule(stream, columns, widths);
                continue;
            }
            print_cell(stream, cell, table->columns[column], widths[column], column + 1 == columns);
            column = (column + 1) % columns;
        }
    }
    strata__free(table->text.ctx, table->text.data);
    table->text = (strata__text){.ctx = table->text.ctx};
}
