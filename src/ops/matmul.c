/* Products of matrices on the model grid: our own engine, and PBLAS. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/matmul.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/panels.h"
#include "mesh/sum.h"
#include "ops/gemm.h"

/* A product at work. */
typedef struct job {
    strata_context *ctx;
    strata__grid_matrix a, b, c;
    float beta;
} job;

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static strata__piece overlap(strata__piece a, strata__piece b)
{
    int64_t first = larger(a.first, b.first);
    int64_t end = smaller(a.first + a.count, b.first + b.count);
    return (strata__piece){first, larger(end - first, 0)};
}

/* into += from */
static void add(const float *from, int64_t count, float *into)
{
    strata__sum_vectors(into, (const float *const[]){into, from}, 2, count);
}

/* Members of a group of `size` in the order in which their pieces are used: the own one first,
 * since it needs no message; ranks begin at different ones. */
static int member_at(int own, int step, int size)
{
    return (own + step) % size;
}

/* --- C = A·B: pieces of A come along the row of the grid, those of B along its column --- */

/* C = beta·C + A[:, range]·B[range, :]; a: columns of A from a_first on, b: rows of B from b_first
 * on. */
static void add_plain(const job *j, const float *a, int64_t a_stride, int64_t a_first,
                      const float *b, int64_t b_first, strata__piece range, float beta)
{
    int64_t n = j->c.matrix->local_n;
    strata__gemm(j->ctx, false, false, j->c.matrix->local_m, n, range.count,
                 a + (range.first - a_first), a_stride, b + (range.first - b_first) * n, n, beta,
                 j->c.piece, n);
}

/* Columns of A times all pieces of B that they meet. */
static void plain_columns(const job *j, const float *a, strata__piece columns,
                          strata__panels *b_panels, float *beta)
{
    const strata__mesh *mesh = j->ctx->mesh;
    for (int step = 0; step < mesh->rows; step++) {
        int row = member_at(mesh->row, step, mesh->rows);
        strata__piece owned = strata__piece_of(j->b.matrix->m, mesh->rows, row);
        strata__piece range = overlap(columns, owned);
        if (range.count == 0)
            continue;
        add_plain(j, a, columns.count, columns.first, strata__panels_of(b_panels, row), owned.first,
                  range, *beta);
        *beta = 1.0f;
    }
}

static void summa_plain(const job *j)
{
    const strata__mesh *mesh = j->ctx->mesh;
    const strata__matrix *a = j->a.matrix, *b = j->b.matrix;
    strata__panels a_panels, b_panels;
    float beta = j->beta;
    strata__panels_begin(j->ctx, STRATA__ROWS, j->b.piece, b->m, b->local_n, &b_panels);
    if (j->a.whole) {
        plain_columns(j, j->a.piece, (strata__piece){0, a->n}, &b_panels, &beta);
    } else {
        strata__panels_begin(j->ctx, STRATA__COLS, j->a.piece, a->n, a->local_m, &a_panels);
        for (int step = 0; step < mesh->cols; step++) {
            int col = member_at(mesh->col, step, mesh->cols);
            plain_columns(j, strata__panels_of(&a_panels, col),
                          strata__piece_of(a->n, mesh->cols, col), &b_panels, &beta);
        }
        strata__panels_end(&a_panels);
    }
    strata__panels_end(&b_panels);
    if (a->n == 0)
        add_plain(j, j->a.piece, 1, 0, j->b.piece, 0, (strata__piece){0, 0}, beta);
}

/* --- C = A·Bᵀ: pieces of B come along the column, parts of C are summed along the row --- */

/* part (local_m × columns.count) = beta·part + A·B[columns, :]ᵀ */
static void form_columns(const job *j, strata__piece columns, strata__panels *b_panels, float beta,
                         float *part)
{
    const strata__mesh *mesh = j->ctx->mesh;
    int64_t k = j->a.matrix->local_n;
    for (int step = 0; step < mesh->rows; step++) {
        int row = member_at(mesh->row, step, mesh->rows);
        strata__piece owned = strata__piece_of(j->b.matrix->m, mesh->rows, row);
        strata__piece range = overlap(columns, owned);
        if (range.count == 0)
            continue;
        const float *b = strata__panels_of(b_panels, row);
        strata__gemm(j->ctx, false, true, j->a.matrix->local_m, range.count, k, j->a.piece, k,
                     b + (range.first - owned.first) * k, k, beta,
                     part + (range.first - columns.first), columns.count);
    }
}

/* C whole: everybody needs everybody's part of all of it. */
static void sum_whole(const job *j, strata__panels *b_panels)
{
    int64_t n = j->c.matrix->n, count = j->c.matrix->local_m * n;
    float *part = j->beta == 0.0f ? j->c.piece : strata__scratch(j->ctx, count, sizeof(float));
    form_columns(j, (strata__piece){0, n}, b_panels, 0.0f, part);
    strata__sum(j->ctx, STRATA__COLS, part, count, STRATA_FLOAT32);
    if (part != j->c.piece) {
        add(part, count, j->c.piece);
        strata__free(j->ctx, part);
    }
}

static void sum_columns(const job *j, strata__panels *b_panels)
{
    const strata__mesh *mesh = j->ctx->mesh;
    strata__parts parts;
    strata__parts_begin(j->ctx, STRATA__COLS, j->c.matrix->n, j->c.matrix->local_m, &parts);
    for (int step = 1; step <= mesh->cols; step++) { /* the own part last: nobody waits for it */
        int col = member_at(mesh->col, step, mesh->cols);
        form_columns(j, strata__piece_of(j->c.matrix->n, mesh->cols, col), b_panels, 0.0f,
                     strata__parts_of(&parts, col));
        strata__parts_send(&parts, col);
    }
    strata__parts_end(&parts, j->beta, j->c.piece);
}

static void summa_b_transposed(const job *j)
{
    const strata__matrix *b = j->b.matrix;
    strata__panels b_panels;
    strata__panels_begin(j->ctx, STRATA__ROWS, j->b.piece, b->m, b->local_n, &b_panels);
    if (j->ctx->mesh->cols == 1)
        form_columns(j, (strata__piece){0, j->c.matrix->n}, &b_panels, j->beta, j->c.piece);
    else if (j->c.whole)
        sum_whole(j, &b_panels);
    else
        sum_columns(j, &b_panels);
    strata__panels_end(&b_panels);
}

/* --- C = Aᵀ·B: pieces of A come along the row, parts of C are summed along the column --- */

/* part (rows.count × local_n) = beta·part + A[:, rows]ᵀ·B */
static void form_rows(const job *j, strata__piece rows, strata__panels *a_panels, float beta,
                      float *part)
{
    const strata__mesh *mesh = j->ctx->mesh;
    int64_t n = j->b.matrix->local_n, k = j->b.matrix->local_m, m = j->a.matrix->n;
    if (j->a.whole) {
        strata__gemm(j->ctx, true, false, rows.count, n, k, j->a.piece + rows.first, m, j->b.piece,
                     n, beta, part, n);
        return;
    }
    for (int step = 0; step < mesh->cols; step++) {
        int col = member_at(mesh->col, step, mesh->cols);
        strata__piece owned = strata__piece_of(m, mesh->cols, col), range = overlap(rows, owned);
        if (range.count > 0)
            strata__gemm(j->ctx, true, false, range.count, n, k,
                         strata__panels_of(a_panels, col) + (range.first - owned.first),
                         owned.count, j->b.piece, n, beta, part + (range.first - rows.first) * n,
                         n);
    }
}

static void sum_rows(const job *j, strata__panels *a_panels)
{
    const strata__mesh *mesh = j->ctx->mesh;
    strata__parts parts;
    strata__parts_begin(j->ctx, STRATA__ROWS, j->c.matrix->m, j->c.matrix->local_n, &parts);
    for (int step = 1; step <= mesh->rows; step++) {
        int row = member_at(mesh->row, step, mesh->rows);
        form_rows(j, strata__piece_of(j->c.matrix->m, mesh->rows, row), a_panels, 0.0f,
                  strata__parts_of(&parts, row));
        strata__parts_send(&parts, row);
    }
    strata__parts_end(&parts, j->beta, j->c.piece);
}

static void summa_a_transposed(const job *j)
{
    const strata__matrix *a = j->a.matrix;
    strata__panels a_panels;
    if (!j->a.whole)
        strata__panels_begin(j->ctx, STRATA__COLS, j->a.piece, a->n, a->local_m, &a_panels);
    if (j->ctx->mesh->rows == 1)
        form_rows(j, (strata__piece){0, j->c.matrix->m}, &a_panels, j->beta, j->c.piece);
    else
        sum_rows(j, &a_panels);
    if (!j->a.whole)
        strata__panels_end(&a_panels);
}

static void summa(const job *j, strata__product_form form)
{
    switch (form) {
    case STRATA__PLAIN:
        summa_plain(j);
        break;
    case STRATA__B_TRANSPOSED:
        summa_b_transposed(j);
        break;
    case STRATA__A_TRANSPOSED:
        summa_a_transposed(j);
        break;
    }
}

/* --- PBLAS: takes pieces only --- */

/* The own columns of a whole matrix, in memory to free. */
static float *cut_columns(strata_context *ctx, const strata__grid_matrix *x)
{
    const strata__matrix *m = x->matrix;
    float *piece = strata__scratch(ctx, m->local_m * m->local_n, sizeof(float));
    for (int64_t i = 0; i < m->local_m; i++)
        memcpy(piece + i * m->local_n, x->piece + i * m->n + m->first_n,
               (size_t)m->local_n * sizeof *piece);
    return piece;
}

/* whole = beta·whole + all columns, from the own columns of everybody. */
static void join_columns(strata_context *ctx, const float *piece, float beta,
                         const strata__grid_matrix *x)
{
    const strata__matrix *m = x->matrix;
    float *whole = beta == 0.0f ? x->piece : strata__scratch(ctx, m->local_m * m->n, sizeof(float));
    strata__gather_columns(ctx, STRATA__COLS, piece, whole, m->local_m, m->n);
    if (whole != x->piece) {
        add(whole, m->local_m * m->n, x->piece);
        strata__free(ctx, whole);
    }
}

static void pblas(const job *j, strata__product_form form)
{
    strata_context *ctx = j->ctx;
    const strata__matrix *c = j->c.matrix;
    float *a = j->a.whole ? cut_columns(ctx, &j->a) : j->a.piece;
    float *result =
        j->c.whole ? strata__scratch(ctx, c->local_m * c->local_n, sizeof(float)) : j->c.piece;
    strata__pblas_product(ctx, form == STRATA__A_TRANSPOSED, form == STRATA__B_TRANSPOSED,
                          j->a.matrix, a, j->b.matrix, j->b.piece, j->c.whole ? 0.0f : j->beta, c,
                          result);
    if (j->c.whole) {
        join_columns(ctx, result, j->beta, &j->c);
        strata__free(ctx, result);
    }
    if (j->a.whole)
        strata__free(ctx, a);
}

/* --- choice --- */

static bool has_equal_columns(const strata__mesh *mesh, const strata__grid_matrix *x)
{
    const strata__matrix *m = x->matrix;
    return x->whole || m->block_n == larger(strata__piece_of(m->n, mesh->cols, 0).count, 1);
}

static bool has_equal_rows(const strata__mesh *mesh, const strata__matrix *m)
{
    return m->block_m == larger(strata__piece_of(m->m, mesh->rows, 0).count, 1);
}

/* Rows of samples never leave their rank; all else must be cut as strata__piece_of() cuts. */
static bool is_in_pieces(const job *j, strata__product_form form)
{
    const strata__mesh *mesh = j->ctx->mesh;
    return has_equal_columns(mesh, &j->a) && has_equal_columns(mesh, &j->b) &&
           has_equal_columns(mesh, &j->c) &&
           has_equal_rows(mesh, form == STRATA__A_TRANSPOSED ? j->c.matrix : j->b.matrix);
}

void strata__matmul(strata_context *ctx, strata__product_form form, strata__grid_matrix a,
                    strata__grid_matrix b, float beta, strata__grid_matrix c)
{
    job j = {.ctx = ctx, .a = a, .b = b, .c = c, .beta = beta};
    strata__matmul_engine engine = STRATA__MATMUL_SUMMA;
    if (ctx->settings.matmul == STRATA__MATMUL_PBLAS || !is_in_pieces(&j, form))
        engine = STRATA__MATMUL_PBLAS;
    ctx->products[engine]++;
    if (engine == STRATA__MATMUL_PBLAS)
        pblas(&j, form);
    else
        summa(&j, form);
}
