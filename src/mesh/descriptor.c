/* BLACS grids, ScaLAPACK descriptors and redistribution of matrices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/descriptor.h"

#include <limits.h>
#include <string.h>

#include "mesh/collective.h"

/* ScaLAPACK ships no C header. Communicators travel as Fortran handles. */
int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int cols);
void Cblacs_gridexit(int context);
void Cpsgemr2d(int m, int n, const float *a, int ia, int ja, const int *a_descriptor, float *b,
               int ib, int jb, const int *b_descriptor, int context);
void descinit_(int *descriptor, const int *m, const int *n, const int *mb, const int *nb,
               const int *row_source, const int *col_source, const int *context, const int *leading,
               int *info);

int strata__blacs(strata_context *ctx)
{
    strata__mesh *mesh = ctx->mesh;
    if (mesh->blacs >= 0)
        return mesh->blacs;
    const strata__group *grid = &mesh->groups[STRATA__GRID];
    int system = Csys2blacs_handle(grid->size > 1 ? grid->comm : MPI_COMM_SELF);
    mesh->blacs = system;
    /* Rank r·cols + c of the grid becomes BLACS process (c, r): column by column. */
    Cblacs_gridinit(&mesh->blacs, "Col", mesh->cols, mesh->rows);
    Cfree_blacs_system_handle(system);
    return mesh->blacs;
}

void strata__blacs_free(strata_context *ctx)
{
    if (ctx->mesh->blacs >= 0)
        Cblacs_gridexit(ctx->mesh->blacs);
    ctx->mesh->blacs = -1;
}

/* Items that process `index` of `processes` holds: ScaLAPACK's numroc with the first block on
 * process 0. */
static int64_t local_count(int64_t total, int64_t block, int index, int processes)
{
    int64_t blocks = total / block, rest = total % block;
    int64_t own = blocks / processes * block, extra = blocks % processes;
    if (index < extra)
        return own + block;
    return index == extra ? own + rest : own;
}

static int64_t one_block(int64_t total, int processes)
{
    int64_t block = total / processes + (total % processes != 0);
    return block > 0 ? block : 1;
}

/* The same verdict on all ranks: process (0, 0) has the largest piece. */
static strata_status check_limits(strata_context *ctx, const char *name,
                                  const strata__matrix *matrix)
{
    if (matrix->m < 0 || matrix->n < 0 || matrix->block_m < 1 || matrix->block_n < 1)
        return strata__fail(ctx, STRATA_INVALID,
                            "%s: a %lld × %lld matrix in blocks of %lld × %lld is not possible",
                            name, (long long)matrix->m, (long long)matrix->n,
                            (long long)matrix->block_m, (long long)matrix->block_n);
    if (matrix->m > INT_MAX || matrix->n > INT_MAX || matrix->block_m > INT_MAX ||
        matrix->block_n > INT_MAX)
        return strata__fail(
            ctx, STRATA_UNSUPPORTED,
            "%s: a %lld × %lld matrix exceeds ScaLAPACK's limit of %d rows and columns", name,
            (long long)matrix->m, (long long)matrix->n, INT_MAX);
    int64_t largest_m = local_count(matrix->m, matrix->block_m, 0, ctx->mesh->rows);
    int64_t largest_n = local_count(matrix->n, matrix->block_n, 0, ctx->mesh->cols);
    if (largest_n > 0 && largest_m > INT_MAX / largest_n)
        return strata__fail(ctx, STRATA_UNSUPPORTED,
                            "%s: a piece of %lld × %lld elements exceeds ScaLAPACK's limit of %d; "
                            "use more rows or cols in the mesh",
                            name, (long long)largest_m, (long long)largest_n, INT_MAX);
    return STRATA_OK;
}

/* Describes the transpose: n × m in blocks of block_n × block_m, the first block on BLACS process
 * (column, row). */
static strata_status describe(strata_context *ctx, const char *name, const strata__matrix *matrix,
                              int column, int row, int64_t leading, int descriptor[9])
{
    int m = (int)matrix->n, n = (int)matrix->m, mb = (int)matrix->block_n,
        nb = (int)matrix->block_m;
    int context = strata__blacs(ctx), lld = leading > 0 ? (int)leading : 1, info;
    descinit_(descriptor, &m, &n, &mb, &nb, &column, &row, &context, &lld, &info);
    if (info != 0)
        return strata__fail(ctx, STRATA_INTERNAL,
                            "%s: ScaLAPACK refuses argument %d of its descriptor", name, -info);
    return STRATA_OK;
}

strata_status strata__matrix_describe(strata_context *ctx, const char *name, int64_t m, int64_t n,
                                      int64_t block_m, int64_t block_n, strata__matrix *matrix)
{
    const strata__mesh *mesh = ctx->mesh;
    *matrix = (strata__matrix){
        .m = m,
        .n = n,
        .block_m = block_m ? block_m : one_block(m, mesh->rows),
        .block_n = block_n ? block_n : one_block(n, mesh->cols),
    };
    STRATA_TRY(check_limits(ctx, name, matrix));
    matrix->local_m = local_count(m, matrix->block_m, mesh->row, mesh->rows);
    matrix->local_n = local_count(n, matrix->block_n, mesh->col, mesh->cols);
    matrix->first_m = matrix->block_m * mesh->row < m ? matrix->block_m * mesh->row : m;
    matrix->first_n = matrix->block_n * mesh->col < n ? matrix->block_n * mesh->col : n;
    return describe(ctx, name, matrix, 0, 0, matrix->local_n, matrix->descriptor);
}

/* A matrix that lies as one block on the grid's rank `root`. */
static strata_status describe_whole(strata_context *ctx, const strata__matrix *matrix, int root,
                                    int descriptor[9])
{
    const strata__mesh *mesh = ctx->mesh;
    if (matrix->n > 0 && matrix->m > INT_MAX / matrix->n)
        return strata__fail(
            ctx, STRATA_UNSUPPORTED,
            "a %lld × %lld matrix cannot lie on one rank: ScaLAPACK's limit is %d elements",
            (long long)matrix->m, (long long)matrix->n, INT_MAX);
    strata__matrix whole = {.m = matrix->m, .n = matrix->n};
    whole.block_m = matrix->m > 0 ? matrix->m : 1;
    whole.block_n = matrix->n > 0 ? matrix->n : 1;
    return describe(ctx, "a whole matrix", &whole, root % mesh->cols, root / mesh->cols, matrix->n,
                    descriptor);
}

static void copy_all(strata_context *ctx, const strata__matrix *matrix, const float *source,
                     const int *source_descriptor, float *target, const int *target_descriptor)
{
    int64_t count = matrix->m * matrix->n;
    strata__collective_check(ctx, STRATA__REDISTRIBUTION, STRATA__GRID, count, STRATA_FLOAT32);
    if (count == 0)
        return;
    if (ctx->mesh->groups[STRATA__GRID].size == 1) {
        memcpy(target, source, (size_t)count * sizeof *target);
        return;
    }
    const char *outer = strata__collective_begin(ctx, STRATA__REDISTRIBUTION, STRATA__GRID);
    Cpsgemr2d((int)matrix->n, (int)matrix->m, source, 1, 1, source_descriptor, target, 1, 1,
              target_descriptor, strata__blacs(ctx));
    strata__collective_end(ctx, outer);
}

strata_status strata__matrix_collect(strata_context *ctx, const strata__matrix *matrix,
                                     const float *piece, int root, float *whole)
{
    int descriptor[9];
    STRATA_TRY(describe_whole(ctx, matrix, root, descriptor));
    copy_all(ctx, matrix, piece, matrix->descriptor, whole, descriptor);
    return STRATA_OK;
}

strata_status strata__matrix_distribute(strata_context *ctx, const strata__matrix *matrix,
                                        const float *whole, int root, float *piece)
{
    int descriptor[9];
    STRATA_TRY(describe_whole(ctx, matrix, root, descriptor));
    copy_all(ctx, matrix, whole, descriptor, piece, matrix->descriptor);
    return STRATA_OK;
}

strata_status strata__matrix_redistribute(strata_context *ctx, const strata__matrix *from,
                                          const float *source, const strata__matrix *to,
                                          float *target)
{
    if (from->m != to->m || from->n != to->n)
        return strata__fail(
            ctx, STRATA_INVALID, "cannot turn a %lld × %lld matrix into one of %lld × %lld",
            (long long)from->m, (long long)from->n, (long long)to->m, (long long)to->n);
    copy_all(ctx, from, source, from->descriptor, target, to->descriptor);
    return STRATA_OK;
}
