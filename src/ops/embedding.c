/* Embedding: rows of a table picked by number, and their gradient. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/memory.h"
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

/* Row of the table for an element; a number out of range is everybody's error at the end of the
 * step, and row 0 until then. */
static int64_t row_at(const char *who, const strata_tensor *indices, int64_t i, int64_t rows)
{
    int64_t number = number_at(indices, i);
    if (number >= 0 && number < rows)
        return number;
    strata__defer(indices->ctx, STRATA_BAD_DATA,
                  "layer '%s': index %lld of sample %lld of the batch is not in 0 … %lld", who,
                  (long long)number, (long long)sample_of(indices, i), (long long)rows - 1);
    return 0;
}

static void pick(const char *who, const strata_tensor *indices, const float *table, int64_t rows,
                 int64_t columns, float *y)
{
    int64_t count = strata__local_count(indices);
    for (int64_t i = 0; i < count; i++)
        memcpy(y + i * columns, table + row_at(who, indices, i, rows) * columns,
               (size_t)columns * sizeof *y);
}

/* Rows that are picked more than once get the sum. A part: local samples only. */
static void scatter(const strata_tensor *indices, const float *dy, int64_t rows, int64_t columns,
                    float *out)
{
    int64_t count = strata__local_count(indices);
    for (int64_t i = 0; i < count; i++) {
        int64_t row = number_at(indices, i);
        float *into = out + (row >= 0 && row < rows ? row : 0) * columns;
        for (int64_t j = 0; j < columns; j++)
            into[j] += dy[i * columns + j];
    }
}

static void gradient(strata_context *ctx, strata__node *node)
{
    strata_tensor *indices = node->inputs[0], *table = node->inputs[1];
    const float *dy = strata__gradient_at(node, 0)->data;
    int64_t rows = table->shape.dims[0], columns = strata__last(&node->outputs[0]->local);
    float beta;
    float *into = strata__gradient_into(table, &beta);
    if (!into)
        return;
    bool cut = table->matrix && ctx->mesh->rows > 1;
    int64_t own = table->matrix ? table->matrix->local_m * columns : rows * columns;
    if (beta == 0.0f)
        memset(into, 0, (size_t)own * sizeof *into);
    if (!cut) {
        scatter(indices, dy, rows, columns, into);
        return;
    }
    float *whole = strata__calloc(ctx, (size_t)(rows * columns + own), sizeof *whole);
    if (!whole)
        return;
    scatter(indices, dy, rows, columns, whole);
    float *piece = whole + rows * columns;
    strata__scatter_sum_rows(ctx, STRATA__ROWS, whole, piece, rows, columns);
    for (int64_t i = 0; i < own; i++)
        into[i] += piece[i];
    strata__free(ctx, whole);
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
    strata_context *ctx = table->ctx;
    strata_tensor *y = result_for(indices, table);
    if (!y || y->symbolic)
        return y;
    int64_t rows = table->shape.dims[0], columns = strata__last(&y->local);
    bool cut = table->matrix && ctx->mesh->rows > 1;
    float *whole = cut ? strata__alloc(ctx, (size_t)(rows * columns) * sizeof *whole) : table->data;
    if (!whole)
        return NULL;
    if (cut)
        strata__gather_rows(ctx, STRATA__ROWS, table->data, whole, rows, columns);
    pick(who, indices, whole, rows, columns, y->data);
    if (cut)
        strata__free(ctx, whole);
    strata__record(ctx, "embedding", gradient, 2, (strata_tensor *[]){indices, table}, 1, &y, 0);
    return y;
}
