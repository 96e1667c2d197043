/* Products: local ones by each library, and those on the grid by each engine, against plain loops.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "harness.h"
#include "numbers.h"
#include "ops/gemm.h"
#include "ops/matmul.h"

enum { MOST = 1 << 18 };

/* --- plain loops --- */

static double element(const double *x, bool transposed, int64_t columns, int64_t i, int64_t j)
{
    return transposed ? x[j * columns + i] : x[i * columns + j];
}

/* c (m × n) = beta·c + op(a)·op(b), op(a) (m × k). */
static void multiply(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k,
                     const double *a, const double *b, double beta, double *c)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += element(a, transpose_a, transpose_a ? m : k, i, l) *
                       element(b, transpose_b, transpose_b ? k : n, l, j);
            c[i * n + j] = beta * c[i * n + j] + sum;
        }
    }
}

/* --- local products --- */

/* Matrices with a stride that is longer than their rows. */
enum { EXTRA = 3 };

static void spread(const double *from, int64_t rows, int64_t columns, int64_t extra, float *to)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns + extra; j++)
            to[i * (columns + extra) + j] = j < columns ? (float)from[i * columns + j] : NAN;
    }
}

/* How often each row has been finished; the elements of c are doubled then. */
typedef struct finished {
    float *c;
    int64_t ldc, n;
    int times[MOST];
} finished;

static void finish_rows(const void *user, int64_t first, int64_t count)
{
    finished *f = *(finished *const *)user;
    for (int64_t i = first; i < first + count; i++) {
        f->times[i]++;
        for (int64_t j = 0; j < f->n; j++)
            f->c[i * f->ldc + j] *= 2.0f;
    }
}

/* Σ of b's rows, which were added to 1, 2, … */
static void check_sums(const double *b, int64_t k, int64_t n, const double *sums)
{
    double worst = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = (double)(j + 1);
        for (int64_t l = 0; l < k; l++)
            sum += (double)(float)b[l * n + j];
        worst = fmax(worst, fabs(sums[j] - sum));
    }
    assert_all_near(worst, 0, 1e-7 * (double)(k + 10));
}

/* With all that a product can have: a bias, sums of b if it is not transposed, and finished rows.
 */
static void check_local(strata_context *ctx, const int64_t sizes[3], bool ta, bool tb, float beta,
                        bool finishes)
{
    static double a[MOST], b[MOST], c[MOST], bias[MOST], sums[MOST];
    static float fa[2 * MOST], fb[2 * MOST], fc[2 * MOST], fbias[MOST];
    static finished f;
    finished *user = &f;
    int64_t m = sizes[0], n = sizes[1], k = sizes[2], extra = finishes && !tb ? 0 : EXTRA;
    test_values(a, m * k, 1);
    test_values(b, k * n, 2);
    test_values(c, m * n, 3);
    test_values(bias, n, 4);
    spread(a, ta ? k : m, ta ? m : k, EXTRA, fa);
    spread(b, tb ? n : k, tb ? k : n, extra, fb);
    spread(c, m, n, EXTRA, fc);
    multiply(ta, tb, m, n, k, a, b, (double)beta, c);
    for (int64_t j = 0; j < n; j++) {
        fbias[j] = (float)bias[j];
        sums[j] = (double)(j + 1);
        for (int64_t i = 0; finishes && i < m; i++)
            c[i * n + j] += bias[j];
    }
    f = (finished){.c = fc, .ldc = n + EXTRA, .n = n};
    strata__gemm_call call = {.transpose_a = ta,
                              .transpose_b = tb,
                              .m = m,
                              .n = n,
                              .k = k,
                              .a = fa,
                              .lda = (ta ? m : k) + EXTRA,
                              .b = fb,
                              .ldb = (tb ? k : n) + extra,
                              .beta = beta,
                              .c = fc,
                              .ldc = n + EXTRA,
                              .bias = finishes ? fbias : NULL,
                              .b_sums = finishes && !tb ? sums : NULL,
                              .finish = finishes ? finish_rows : NULL,
                              .user = &user};
    strata__gemm_call_run(ctx, &call);
    if (finishes && !tb)
        check_sums(b, k, n, sums);
    double worst = 0;
    bool once = true, inside = true; /* nothing is written beside c */
    for (int64_t i = 0; i < m; i++) {
        const float *row = fc + i * (n + EXTRA);
        for (int64_t j = 0; j < n; j++) {
            double error = fabs((double)row[j] - (finishes ? 2 : 1) * c[i * n + j]);
            worst = error <= worst ? worst : error;
        }
        once = once && (n == 0 || f.times[i] == (finishes ? 1 : 0));
        inside = inside && isnan(row[n]);
    }
    assert_all_near(worst, 0, 1e-6 * (double)(k + 10));
    assert_all(once);
    assert_all(inside);
}

static void test_local_products_by_each_library(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{3, 4, 5},  {1, 7, 30}, {30, 1, 7}, {17, 19, 23},
                                       {64, 3, 2}, {0, 4, 5},  {4, 0, 5},  {4, 5, 0}};
    strata_context *ctx = test_context(test_mesh(0));
    for (int library = STRATA__GEMM_AUTO; library <= STRATA__GEMM_OPENBLAS; library++) {
        ctx->settings.gemm = (strata__gemm_library)library;
        for (size_t s = 0; s < TEST_COUNT(sizes); s++) {
            for (int form = 0; form < 16; form++)
                check_local(ctx, sizes[s], form & 1, form & 2, form & 4 ? 1.0f : 0.0f, form & 8);
        }
    }
}

/* Sizes at which a product is cut otherwise: see ops/gemm_avx512.c. */
static void test_large_local_products(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {
        {64, 64, 64},   {64, 128, 64},  {128, 64, 64},  {61, 62, 33},   {130, 64, 600},
        {131, 900, 40}, {2100, 62, 40}, {256, 32, 256}, {300, 70, 300}, {40, 300, 90}};
    strata_context *ctx = test_context(test_mesh(0));
    for (size_t s = 0; s < TEST_COUNT(sizes); s++) {
        for (int form = 0; form < 8; form++)
            check_local(ctx, sizes[s], form & 1, form & 2, form & 4 ? 0.5f : 0.0f, form & 4);
    }
    for (int64_t m = 15 * 14 + 1; m <= 16 * 14; m++) { /* each height of a last strip */
        for (int form = 0; form < 4; form++)
            check_local(ctx, (int64_t[]){m, 64, 35}, form & 1, form & 2, 1.0f, false);
    }
}

/* --- on the grid --- */

/* A global matrix, its description, and this rank's piece with columns whole or own. */
typedef struct grid_case {
    strata__matrix matrix;
    strata__grid_matrix operand;
    double *values; /* (m × n) */
} grid_case;

/* Global number of a local row or column: blocks go round. */
static int64_t global(int64_t local, int64_t block, int index, int processes)
{
    return (local / block * processes + index) * block + local % block;
}

static int64_t columns_of(const grid_case *g)
{
    return g->operand.whole ? g->matrix.n : g->matrix.local_n;
}

static int64_t place(strata_context *ctx, const grid_case *g, int64_t i, int64_t j)
{
    const strata__mesh *mesh = ctx->mesh;
    int64_t row = global(i, g->matrix.block_m, mesh->row, mesh->rows);
    int64_t column = g->operand.whole ? j : global(j, g->matrix.block_n, mesh->col, mesh->cols);
    return row * g->matrix.n + column;
}

static void make_case(strata_context *ctx, int64_t m, int64_t n, int64_t block_m, int64_t block_n,
                      bool whole, unsigned seed, grid_case *g)
{
    *g = (grid_case){.operand.whole = whole};
    strata__matrix_describe(ctx, "a matrix", m, n, block_m, block_n, &g->matrix);
    assert_all_ok(ctx);
    g->values = strata__alloc(ctx, (size_t)(m * n) * sizeof(double));
    test_values(g->values, m * n, seed);
    g->operand.matrix = &g->matrix;
    int64_t rows = g->matrix.local_m, columns = columns_of(g);
    g->operand.piece = strata__alloc(ctx, (size_t)(rows * columns) * sizeof(float));
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++)
            g->operand.piece[i * columns + j] = (float)g->values[place(ctx, g, i, j)];
    }
}

static void free_case(strata_context *ctx, grid_case *g)
{
    strata__free(ctx, g->operand.piece);
    strata__free(ctx, g->values);
}

static double worst_error(strata_context *ctx, const grid_case *g)
{
    double worst = 0;
    int64_t columns = columns_of(g);
    for (int64_t i = 0; i < g->matrix.local_m; i++) {
        for (int64_t j = 0; j < columns; j++) {
            double error =
                fabs((double)g->operand.piece[i * columns + j] - g->values[place(ctx, g, i, j)]);
            worst = error <= worst ? worst : error;
        }
    }
    return worst;
}

/* Which engine, which blocks, whether the rows of samples are whole on every column. */
typedef struct setting {
    strata__matmul_engine engine;
    int64_t block_m, block_n; /* 0: one block a rank */
    bool whole;
    float beta;
} setting;

/* Sizes are (samples, k, n) of a dense layer: x (samples × k), w (k × n), y (samples × n). */
static void check_product(strata_context *ctx, strata__product_form form, const int64_t sizes[3],
                          const setting *s)
{
    bool ta = form == STRATA__A_TRANSPOSED, tb = form == STRATA__B_TRANSPOSED;
    int64_t samples = sizes[0], k = sizes[1], n = sizes[2];
    grid_case x, w, y;
    make_case(ctx, samples, k, s->block_m, s->block_n, s->whole, 1, &x);
    make_case(ctx, k, n, s->block_m, s->block_n, false, 2, &w);
    make_case(ctx, samples, n, s->block_m, s->block_n, false, 3, &y);
    grid_case *a = tb ? &y : &x, *b = ta ? &y : &w, *c = ta ? &w : tb ? &x : &y;
    multiply(ta, tb, c->matrix.m, c->matrix.n,
             ta   ? samples
             : tb ? n
                  : k,
             a->values, b->values, (double)s->beta, c->values);
    ctx->settings.matmul = s->engine;
    strata__matmul(ctx, form, a->operand, b->operand, s->beta, c->operand);
    test_all_near(worst_error(ctx, c), 0, 2e-5,
                  tb   ? "a·bᵀ"
                  : ta ? "aᵀ·b"
                       : "a·b",
                  __FILE__, __LINE__);
    free_case(ctx, &x);
    free_case(ctx, &w);
    free_case(ctx, &y);
}

/* Sizes that do not divide, fewer rows and columns than ranks, one, none. */
static const int64_t grid_sizes[][3] = {{5, 7, 11}, {16, 12, 8}, {1, 2, 3}, {2, 1, 1}, {23, 3, 2},
                                        {3, 40, 2}, {6, 5, 0},   {0, 4, 3}, {4, 0, 3}};

static void check_all(strata_context *ctx, const setting *s)
{
    for (size_t i = 0; i < TEST_COUNT(grid_sizes); i++) {
        for (int form = STRATA__PLAIN; form <= STRATA__A_TRANSPOSED; form++)
            check_product(ctx, (strata__product_form)form, grid_sizes[i], s);
    }
}

static void test_grid_products_by_each_engine(void **state)
{
    (void)state;
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (int engine = STRATA__MATMUL_AUTO; engine <= STRATA__MATMUL_PBLAS; engine++) {
            for (int kind = 0; kind < 4; kind++)
                check_all(ctx, &(setting){.engine = (strata__matmul_engine)engine,
                                          .whole = kind & 1,
                                          .beta = kind & 2 ? 1.0f : 0.0f});
        }
    }
}

static void test_grid_products_of_blocks_that_go_round(void **state)
{
    (void)state;
    const char *mesh;
    for (int i = 0; (mesh = test_mesh(i)); i++) {
        strata_context *ctx = test_context(mesh);
        for (int kind = 1; kind < 4; kind++)
            check_all(ctx, &(setting){.engine = STRATA__MATMUL_AUTO,
                                      .block_m = kind & 1 ? 2 : 0,
                                      .block_n = kind & 2 ? 2 : 0});
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_products_by_each_library),
        cmocka_unit_test(test_large_local_products),
        cmocka_unit_test(test_grid_products_by_each_engine),
        cmocka_unit_test(test_grid_products_of_blocks_that_go_round),
    };
    return test_main(argc, argv, tests, TEST_COUNT(tests));
}
