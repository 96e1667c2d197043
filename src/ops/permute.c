/* Exchange of axes in local memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/permute.h"

#include <string.h>

#include "ops/threads.h"

/*
 * Axes of y with their strides in both, in elements. Neighbours that stay neighbours are one axis,
 * so a batch of matrices to be transposed has three, whatever the tensor had.
 */
typedef struct axis {
    int64_t count, from, to; /* strides in x and in y */
} axis;

typedef struct copy {
    int rank;
    axis axes[STRATA_MAX_RANK];
    size_t size;
    const char *x;
    char *y;
} copy;

static void add_axis(copy *c, int64_t count, int64_t from)
{
    axis *last = c->rank ? &c->axes[c->rank - 1] : NULL;
    if (count == 1)
        return;
    if (last && last->from == from * count) {
        last->count *= count;
        last->from = from;
    } else {
        c->axes[c->rank++] = (axis){.count = count, .from = from};
    }
}

static copy make_copy(const strata_shape *shape, const int *permutation)
{
    int64_t strides[STRATA_MAX_RANK], stride = 1;
    copy c = {0};
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dims[i];
    }
    for (int i = 0; i < shape->rank; i++)
        add_axis(&c, shape->dims[permutation[i]], strides[permutation[i]]);
    if (c.rank == 0)
        c.axes[c.rank++] = (axis){.count = 1, .from = 1};
    stride = 1;
    for (int i = c.rank - 1; i >= 0; i--) {
        c.axes[i].to = stride;
        stride *= c.axes[i].count;
    }
    return c;
}

/* --- two axes: `columns` of y are consecutive there, `rows` in x --- */

enum { TILE = 16 };

static inline __attribute__((always_inline)) void transpose_tile(const char *x, const axis *rows,
                                                                 char *y, const axis *columns,
                                                                 int64_t row_count,
                                                                 int64_t column_count, size_t size)
{
    for (int64_t i = 0; i < row_count; i++) {
        for (int64_t j = 0; j < column_count; j++)
            memcpy(y + (size_t)(i * rows->to + j) * size,
                   x + (size_t)(i * rows->from + j * columns->from) * size, size);
    }
}

static void transpose(const char *x, const axis *rows, char *y, const axis *columns, size_t size)
{
    for (int64_t i = 0; i < rows->count; i += TILE) {
        int64_t row_count = rows->count - i < TILE ? rows->count - i : TILE;
        for (int64_t j = 0; j < columns->count; j += TILE) {
            int64_t column_count = columns->count - j < TILE ? columns->count - j : TILE;
            const char *from = x + (size_t)(i * rows->from + j * columns->from) * size;
            char *to = y + (size_t)(i * rows->to + j) * size;
            if (size == 4)
                transpose_tile(from, rows, to, columns, row_count, column_count, 4);
            else
                transpose_tile(from, rows, to, columns, row_count, column_count, size);
        }
    }
}

/* --- the other axes --- */

/* Offsets of item `index` of the axes that are neither the last nor `inner`. */
static void offsets_of(const copy *c, int inner, int64_t index, int64_t *from, int64_t *to)
{
    *from = *to = 0;
    for (int i = c->rank - 2; i >= 0; i--) {
        if (i == inner)
            continue;
        int64_t place = index % c->axes[i].count;
        index /= c->axes[i].count;
        *from += place * c->axes[i].from;
        *to += place * c->axes[i].to;
    }
}

/* The axis of y that is consecutive in x; the last one when runs stay as they are. */
static int inner_axis(const copy *c)
{
    for (int i = 0; i < c->rank; i++) {
        if (c->axes[i].from == 1)
            return i;
    }
    return c->rank - 1;
}

static void do_items(const void *user, int64_t first, int64_t count)
{
    const copy *c = user;
    int last = c->rank - 1, inner = inner_axis(c);
    for (int64_t index = first; index < first + count; index++) {
        int64_t from, to;
        offsets_of(c, inner, index, &from, &to);
        const char *x = c->x + (size_t)from * c->size;
        char *y = c->y + (size_t)to * c->size;
        if (inner == last)
            memcpy(y, x, (size_t)c->axes[last].count * c->size);
        else
            transpose(x, &c->axes[inner], y, &c->axes[last], c->size);
    }
}

void strata__permute_axes(const void *x, const strata_shape *shape, const int *permutation,
                          size_t size, void *y)
{
    copy c = make_copy(shape, permutation);
    c.size = size;
    c.x = x;
    c.y = y;
    int last = c.rank - 1, inner = inner_axis(&c);
    int64_t items = 1, item = c.axes[last].count;
    if (inner != last)
        item *= c.axes[inner].count;
    for (int i = 0; i < last; i++)
        items *= i == inner ? 1 : c.axes[i].count;
    if (item > 0)
        strata__on_threads(items, item, do_items, &c);
}
