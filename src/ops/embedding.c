/* Embedding: rows of a table picked by number, and their gradient. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
#include "base/vector.h"
#include "mesh/route.h"
#include "ops/ops.h"

static int64_t number_at(const strata_tensor *indices, int64_t i)
{
    return indices->dtype == STRATA_INT64 ? ((const int64_t *)indices->data)[i]
                                          : ((const int32_t *)indices->data)[i];
}

/* The sample, counted within the global batch, that holds local element i. */
static int64_t sample_of(const strata_tensor *indices, int64_t i)
{
    return indices->first_sample + i / strata__product(&indices->local, 1, indices->local.rank);
}

/* Rows of the table for all elements; a number out of range is everybody's error at the end of the
 * step, and row 0 until then. */
static strata_tensor *rows_of(const char *who, const strata_tensor *indices, int64_t rows)
{
    int64_t count = strata__local_count(indices);
    strata_tensor *found =
        strata__tensor_new(indices->ctx, STRATA_INT64, &STRATA_SHAPE(count), (strata__layout){0});
    for (int64_t i = 0; found && i < count; i++) {
        int64_t number = number_at(indices, i);
        bool inside = number >= 0 && number < rows;
        ((int64_t *)found->data)[i] = inside ? number : 0;
        if (!inside)
            strata__defer(indices->ctx, STRATA_BAD_DATA,
                          "layer '%s': index %lld of sample %lld of the batch is not in 0 … %lld",
                          who, (long long)number, (long long)sample_of(indices, i),
                          (long long)rows - 1);
    }
    return found;
}

/* --- a list of rows --- */

static void pick(const float *table, int64_t columns, const int64_t *rows, int64_t first,
                 int64_t count, float *y)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(y + i * columns, table + (rows[i] - first) * columns, (size_t)columns * sizeof *y);
}

STRATA__SIMD static void add_row(const float *from, int64_t n, float *into)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        into[j] += from[j];
}

/* Rows that are named more than once get the sum, added up in the order of the list. */
static void scatter(const float *dy, int64_t columns, const int64_t *rows, int64_t first,
                    int64_t count, float *table)
{
    for (int64_t i = 0; i < count; i++)
        add_row(dy + i * columns, columns, table + (rows[i] - first) * columns);
}

/* --- rows that members of the mesh's column have --- */

/*
 * The table is cut in rows over ROWS. Each member names the rows it needs to their owners, once
 * each however often they occur, and gets them back; on the way back the sums of their gradients go
 * to the owners. So with U distinct rows, of which it owns a share s, a member sends 8·U·(1 − s)
 * bytes of names and 4·U·(1 − s)·columns of gradients, and gets as much of values; and it serves
 * the others' likewise. U is at most the smaller of table and batch.
 */
typedef struct saved {
    strata_tensor
        *rows; /* (elements) int64: rows of the table; cut: places among the distinct ones */
    /* Of a table that is cut: */
    strata__route route;    /* distinct rows, to their owners */
    strata_tensor *counts;  /* memory of the route */
    strata_tensor *arrived; /* (route.received) int64: own rows that members named */
} saved;

typedef struct entry {
    int64_t row, element;
} entry;

/* One digit, eight bits from `shift` on, of a sort that keeps the order of equals. */
static void sort_digit(int64_t count, int shift, const entry *from, entry *to)
{
    int64_t starts[257] = {0};
    for (int64_t i = 0; i < count; i++)
        starts[(from[i].row >> shift & 255) + 1]++;
    for (int digit = 0; digit < 256; digit++)
        starts[digit + 1] += starts[digit];
    for (int64_t i = 0; i < count; i++)
        to[starts[from[i].row >> shift & 255]++] = from[i];
}

/* By row, all below `limit`; the result lies in one of the two. */
static const entry *sort_entries(int64_t count, int64_t limit, entry *entries, entry *spare)
{
    for (int shift = 0; (limit - 1) >> shift > 0; shift += 8) {
        sort_digit(count, shift, entries, spare);
        entry *sorted = spare;
        spare = entries;
        entries = sorted;
    }
    return entries;
}

/* Replaces rows (count) by places in `distinct`, which gets them in ascending order, each once.
 * Returns their number. */
static int64_t make_distinct(strata_context *ctx, int64_t count, int64_t limit, int64_t *rows,
                             int64_t *distinct)
{
    entry *entries = strata__scratch(ctx, 2 * count, sizeof *entries);
    for (int64_t i = 0; i < count; i++)
        entries[i] = (entry){rows[i], i};
    const entry *sorted = sort_entries(count, limit, entries, entries + count);
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || sorted[i].row != distinct[found - 1])
            distinct[found++] = sorted[i].row;
        rows[sorted[i].element] = found - 1;
    }
    strata__free(ctx, entries);
    return found;
}

static strata_tensor *numbers(strata_context *ctx, strata_dtype dtype, int64_t count)
{
    strata_tensor *tensor =
        strata__tensor_new(ctx, dtype, &STRATA_SHAPE(count), (strata__layout){0});
    if (!tensor)
        strata__abort(ctx, "an embedding");
    return tensor;
}

/* Fills the members of `s` for a table of `limit` rows in all; s->rows become places. */
static void find_owners(strata_context *ctx, int64_t limit, saved *s)
{
    int64_t elements = strata__local_count(s->rows);
    int64_t block = strata__piece_of(limit, ctx->mesh->rows, 0).count;
    int64_t *distinct = strata__scratch(ctx, elements, sizeof *distinct);
    int64_t count = make_distinct(ctx, elements, limit, s->rows->data, distinct);
    s->counts = numbers(ctx, STRATA_INT32, strata__route_room(ctx, STRATA__ROWS));
    int *to = s->counts->data;
    memset(to, 0, (size_t)ctx->mesh->rows * sizeof *to);
    for (int64_t i = 0; i < count; i++)
        to[distinct[i] / block]++;
    strata__route_plan(ctx, STRATA__ROWS, to, &s->route);
    s->arrived = numbers(ctx, STRATA_INT64, s->route.received);
    strata__route_send(&s->route, distinct, s->arrived->data, sizeof *distinct);
    strata__free(ctx, distinct);
}

static void fetch(const saved *s, const strata_tensor *table, int64_t columns, float *y)
{
    strata_context *ctx = table->ctx;
    float *answers = strata__scratch(ctx, s->route.received * columns, sizeof *answers);
    float *got = strata__scratch(ctx, s->route.sent * columns, sizeof *got);
    pick(table->data, columns, s->arrived->data, table->matrix->first_m, s->route.received,
         answers);
    strata__route_answer(&s->route, answers, got, columns * (int64_t)sizeof *got);
    pick(got, columns, s->rows->data, 0, strata__local_count(s->rows), y);
    strata__free(ctx, got);
    strata__free(ctx, answers);
}

static void send_gradients(const saved *s, const strata_tensor *table, const float *dy,
                           int64_t columns, float *into)
{
    strata_context *ctx = table->ctx;
    float *sums = strata__scratch(ctx, s->route.sent * columns, sizeof *sums);
    float *arrived = strata__scratch(ctx, s->route.received * columns, sizeof *arrived);
    memset(sums, 0, (size_t)(s->route.sent * columns) * sizeof *sums);
    scatter(dy, columns, s->rows->data, 0, strata__local_count(s->rows), sums);
    strata__route_send(&s->route, sums, arrived, columns * (int64_t)sizeof *sums);
    scatter(arrived, columns, s->arrived->data, table->matrix->first_m, s->route.received, into);
    strata__free(ctx, arrived);
    strata__free(ctx, sums);
}

/* --- the operation --- */

static bool is_cut(const strata_tensor *table)
{
    return table->matrix && table->ctx->mesh->rows > 1;
}

/* A part: local samples only, though of all members of the mesh's column where the table is cut. */
static void gradient(strata_context *ctx, strata__node *node)
{
    (void)ctx;
    const saved *s = node->saved;
    strata_tensor *table = node->inputs[1];
    const float *dy = strata__gradient_at(node, 0)->data;
    int64_t columns = strata__last(&node->outputs[0]->local);
    float *into = strata__gradient_to_add(table);
    if (into && is_cut(table))
        send_gradients(s, table, dy, columns, into);
    else if (into)
        scatter(dy, columns, s->rows->data, 0, strata__local_count(s->rows), into);
}

static strata_tensor *result_for(const strata_tensor *indices, const strata_tensor *table)
{
    strata_shape shape = indices->shape;
    if (shape.rank == STRATA_MAX_RANK) {
        strata__fail(indices->ctx, STRATA_UNSUPPORTED, "embedding of a tensor with %d axes",
                     shape.rank);
        return NULL;
    }
    shape.dims[shape.rank++] = strata__last(&table->shape);
    strata__layout layout = {.batch = indices->layout.batch,
                             .split =
                                 table->matrix && table->ctx->mesh->cols > 1 && !indices->symbolic};
    return indices->symbolic ? strata__tensor_symbolic(table->ctx, STRATA_FLOAT32, &shape, layout)
                             : strata__tensor_new(table->ctx, STRATA_FLOAT32, &shape, layout);
}

strata_tensor *strata__embedding(const char *who, strata_tensor *indices, strata_tensor *table)
{
    if (!indices || !table)
        return NULL;
    strata_tensor *y = result_for(indices, table);
    if (!y || y->symbolic)
        return y;
    int64_t rows = table->shape.dims[0], columns = strata__last(&y->local);
    saved s = {.rows = rows_of(who, indices, rows)};
    if (!s.rows)
        return NULL;
    if (is_cut(table)) {
        find_owners(table->ctx, rows, &s);
        fetch(&s, table, columns, y->data);
    } else {
        pick(table->data, columns, s.rows->data, 0, strata__local_count(s.rows), y->data);
    }
    strata__node *node = strata__record(table->ctx, "embedding", gradient, 2,
                                        (strata_tensor *[]){indices, table}, 1, &y, sizeof s);
    if (node)
        *(saved *)node->saved = s;
    return y;
}
