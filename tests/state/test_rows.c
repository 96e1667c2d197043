/* The specification of distributed variables, row by row. */
/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 5 8 */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

/* Place of a row in the specification: "W11 …" comes after "C2 …" and before "R1 …". */
static size_t place(const struct CMUnitTest *row)
{
    return strcspn("CWRK", (char[]){row->name[0], 0}) * 100 + strtoul(row->name + 1, NULL, 10);
}

/* By place; rows of one place stay in order. */
static void insert(struct CMUnitTest *rows, size_t count, const struct CMUnitTest *row)
{
    while (count > 0 && place(&rows[count - 1]) > place(row)) {
        rows[count] = rows[count - 1];
        count--;
    }
    rows[count] = *row;
}

int main(int argc, char **argv)
{
    const row_list *lists[] = {&creation_rows, &on_write_rows, &scatter_rows,
                               &on_read_rows,  &saved_rows,    &trained_rows};
    size_t most = 0, count = 0;
    for (size_t i = 0; i < TEST_COUNT(lists); i++)
        most += lists[i]->count;
    struct CMUnitTest *rows = calloc(most, sizeof *rows);
    for (size_t i = 0; i < TEST_COUNT(lists); i++) {
        for (size_t j = 0; j < lists[i]->count; j++)
            insert(rows, count++, &lists[i]->rows[j]);
    }
    int status = test_main(argc, argv, rows, count);
    free(rows);
    return status;
}
