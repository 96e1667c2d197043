/* Embeddings against plain loops: whole tables and tables that lie on the grid, on every mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "numbers.h"
#include "ops/ops.h"

typedef struct picking {
    int64_t samples, inner, rows, columns, stride;
    bool sharded, wide; /* table on the grid; int64 numbers */
    bool whole;         /* the numbers are no batch: the same on every rank */
} picking;

static int64_t number_of(const picking *p, int64_t i)
{
    return i * p->stride % p->rows; /* some rows more than once, others never */
}

static strata_tensor *numbers_of(strata_context *ctx, const picking *p)
{
    strata_dtype dtype = p->wide ? STRATA_INT64 : STRATA_INT32;
    strata_tensor *numbers = strata__tensor_new(ctx, dtype, &STRATA_SHAPE(p->samples, p->inner),
                                                (strata__layout){.batch = !p->whole});
    for (int64_t i = 0; i < strata__local_count(numbers); i++) {
        int64_t number = number_of(p, strata__first_element(numbers) + i);
        if (p->wide)
            ((int64_t *)numbers->data)[i] = number;
        else
            ((int32_t *)numbers->data)[i] = (int32_t)number;
    }
    return numbers;
}

/* Whole numbers as gradients: their sums are exact in any order. */
static void fill(const picking *p, double *table, double *y, double *upstream, double *gradient)
{
    int64_t count = p->samples * p->inner * p->columns;
    test_values(table, p->rows * p->columns, 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = number_of(p, i / p->columns) * p->columns + i % p->columns;
        upstream[i] = (double)(i * 7 % 11 - 5);
        y[i] = table[at];
        gradient[at] += upstream[i];
    }
}

static void check_sharded(strata_tensor *numbers, strata_tensor *table, const double *y,
                          const double *upstream, const double *gradient)
{
    strata_context *ctx = table->ctx;
    strata_tape_begin(ctx);
    strata_tensor *result = strata__embedding("words", numbers, table);
    assert_all_ok(ctx);
    assert_all(result->layout.split == (ctx->mesh->cols > 1));
    assert_all_tensor(result, y, 0);
    test_backward(result, upstream);
    assert_all_near(test_shard_error(table, gradient), 0, 0);
    strata__free(ctx, table->sink);
}

static void check_whole(strata_tensor *numbers, strata_tensor *table, const double *y,
                        const double *upstream, const double *gradient)
{
    strata_tape_begin(table->ctx);
    strata_tensor *result = strata__embedding("words", numbers, table);
    assert_all_ok(table->ctx);
    assert_all_tensor(result, y, 0);
    test_backward(result, upstream);
    assert_all_gradient(table, gradient, 0);
}

/* Upstream arrives as a whole on each rank of the batch axis: what is no batch gets so much more.
 */
static void check(strata_context *ctx, const picking *p)
{
    int64_t size = p->rows * p->columns, count = p->samples * p->inner * p->columns;
    double *table = calloc((size_t)(2 * size + 2 * count), sizeof *table);
    double *gradient = table + size, *y = gradient + size, *upstream = y + count;
    fill(p, table, y, upstream, gradient);
    for (int64_t i = 0; p->whole && i < size; i++)
        gradient[i] *= ctx->mesh->groups[STRATA__BATCH].size;
    strata_scope_begin(ctx);
    strata_tensor *numbers = numbers_of(ctx, p);
    strata__matrix matrix;
    if (p->sharded)
        check_sharded(numbers, test_shard(ctx, &matrix, p->rows, p->columns, table), y, upstream,
                      gradient);
    else
        check_whole(numbers, test_parameter(ctx, &STRATA_SHAPE(p->rows, p->columns), table), y,
                    upstream, gradient);
    strata_scope_end(ctx);
    free(table);
}

/* More ranks than rows, than columns, than samples; as many rows as take one, two and three digits
 * to sort. */
static void test_embedding_on_every_mesh(void **state)
{
    (void)state;
    static const picking all[] = {
        {.samples = 5, .inner = 3, .rows = 7, .columns = 4, .stride = 5},
        {.samples = 5, .inner = 3, .rows = 7, .columns = 4, .stride = 5, .whole = true},
        {.samples = 5, .inner = 3, .rows = 7, .columns = 4, .stride = 5, .sharded = true},
        {.samples = 2, .inner = 2, .rows = 3, .columns = 2, .stride = 5, .sharded = true},
        {.samples = 7, .inner = 2, .rows = 2, .columns = 1, .stride = 1, .sharded = true},
        {.samples = 1, .inner = 4, .rows = 1, .columns = 3, .stride = 1, .sharded = true},
        {.samples = 3,
         .inner = 2,
         .rows = 5,
         .columns = 3,
         .stride = 2,
         .sharded = true,
         .whole = true},
        {.samples = 9, .inner = 40, .rows = 300, .columns = 2, .stride = 97, .sharded = true},
        {.samples = 9,
         .inner = 40,
         .rows = 70000,
         .columns = 3,
         .stride = 65537,
         .sharded = true,
         .wide = true},
    };
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (size_t k = 0; k < TEST_COUNT(all); k++)
            check(ctx, &all[k]);
    }
}

/* --- traffic --- */

static bool occurs(const picking *p, int64_t row, int64_t first, int64_t count)
{
    for (int64_t i = first; i < first + count; i++) {
        if (number_of(p, i) == row)
            return true;
    }
    return false;
}

/* Bytes that a column of the mesh sends in a step: each distinct row that a rank does not own is
 * named, answered and gets its gradient once. */
static int64_t expected_bytes(const strata_tensor *numbers, const picking *p, int64_t columns)
{
    strata_context *ctx = numbers->ctx;
    int rows = ctx->mesh->rows;
    strata__piece own = strata__piece_of(p->rows, rows, ctx->mesh->row);
    int64_t foreign = 0;
    for (int64_t row = 0; row < p->rows; row++) {
        bool mine = row >= own.first && row < own.first + own.count;
        foreign +=
            !mine && occurs(p, row, strata__first_element(numbers), strata__local_count(numbers));
    }
    int64_t bytes = foreign * (8 + 2 * 4 * columns) + 4 * (rows - 1);
    strata__sum(ctx, STRATA__ROWS, &bytes, 1, STRATA_INT64);
    return bytes;
}

/* Many elements, few rows: repeated ones travel once, and the table not at all. */
static void test_embedding_sends_distinct_rows_only(void **state)
{
    (void)state;
    static const picking p = {
        .samples = 8, .inner = 50, .rows = 60, .columns = 5, .stride = 7, .sharded = true};
    double table[300], upstream[2000];
    const char *mesh;
    test_values(table, 300, 1);
    test_values(upstream, 2000, 2);
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        strata_scope_begin(ctx);
        strata__matrix matrix;
        strata_tensor *numbers = numbers_of(ctx, &p);
        strata_tensor *tensor = test_shard(ctx, &matrix, p.rows, p.columns, table);
        int64_t expected = expected_bytes(numbers, &p, matrix.local_n);
        int64_t before = ctx->mesh->traffic[STRATA__ROWS].sent;
        strata_tape_begin(ctx);
        test_backward(strata__embedding("words", numbers, tensor), upstream);
        int64_t sent = ctx->mesh->traffic[STRATA__ROWS].sent - before;
        strata__sum(ctx, STRATA__ROWS, &sent, 1, STRATA_INT64);
        assert_all_int_equal(sent, expected);
        strata__free(ctx, tensor->sink);
        strata_scope_end(ctx);
    }
}

/* --- errors --- */

/* The rank that has the sample sees it, the agreement at the end of the step tells all. */
static void test_embedding_names_the_sample_of_a_wrong_number(void **state)
{
    (void)state;
    double table[8] = {0};
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (int wrong = -1; wrong <= 4; wrong += 5) {
            strata_scope_begin(ctx);
            strata_tensor *numbers = numbers_of(
                ctx, &(picking){.samples = 5, .inner = 2, .rows = 4, .columns = 2, .stride = 5});
            for (int64_t k = 0; k < strata__local_count(numbers); k++) {
                if (strata__first_element(numbers) + k == 7)
                    ((int32_t *)numbers->data)[k] = wrong;
            }
            strata__matrix matrix;
            strata_tensor *tensor = test_shard(ctx, &matrix, 4, 2, table);
            assert_all(strata__embedding("words", numbers, tensor) != NULL);
            strata__agree(ctx);
            assert_all_error(ctx, STRATA_BAD_DATA,
                             wrong < 0
                                 ? "words': index -1 of sample 3 of the batch is not in 0 … 3"
                                 : "words': index 4 of sample 3 of the batch is not in 0 … 3");
            strata__free(ctx, tensor->sink);
            strata_scope_end(ctx);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding_on_every_mesh),
        cmocka_unit_test(test_embedding_sends_distinct_rows_only),
        cmocka_unit_test(test_embedding_names_the_sample_of_a_wrong_number),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
