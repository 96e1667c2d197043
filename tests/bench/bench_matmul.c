/* Times products on a grid of 1 × ranks, our engine beside p?gemm; prints rows on rank 0. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <mpi.h>
#include <stdio.h>

#include "base/memory.h"
#include "mesh/process.h"
#include "ops/matmul.h"

typedef struct shape {
    int64_t m, n, k;
} shape;

static const shape shapes[] = {
    {2048, 2048, 2048}, {2048, 1024, 256}, {256, 4096, 4096}, {128, 512, 784}, {2048, 256, 1024}};

/* The three matrices of one product: descriptions and pieces. */
typedef struct operands {
    strata__matrix a, b, c;
    float *a_piece, *b_piece, *c_piece;
} operands;

static float *piece_of(strata_context *ctx, const strata__matrix *matrix)
{
    int64_t count = matrix->local_m * matrix->local_n;
    float *piece = strata__alloc(ctx, (size_t)count * sizeof *piece);
    for (int64_t i = 0; piece && i < count; i++)
        piece[i] = (float)(i % 17) / 17;
    return piece;
}

static bool make(strata_context *ctx, const shape *s, operands *o)
{
    if (strata__matrix_describe(ctx, "a", s->m, s->k, 0, 0, &o->a) != STRATA_OK ||
        strata__matrix_describe(ctx, "b", s->k, s->n, 0, 0, &o->b) != STRATA_OK ||
        strata__matrix_describe(ctx, "c", s->m, s->n, 0, 0, &o->c) != STRATA_OK)
        return false;
    o->a_piece = piece_of(ctx, &o->a);
    o->b_piece = piece_of(ctx, &o->b);
    o->c_piece = piece_of(ctx, &o->c);
    return o->a_piece && o->b_piece && o->c_piece;
}

/* Seconds of the fastest of the products that fit in about half a second. */
static double time_of(strata_context *ctx, operands *o, strata__matmul_engine engine)
{
    double best = 1e9, begin = MPI_Wtime();
    ctx->settings.matmul = engine;
    int go_on = 1;
    while (go_on) {
        strata__barrier(ctx, STRATA__WORLD);
        double start = MPI_Wtime();
        strata__matmul(ctx, STRATA__PLAIN, (strata__grid_matrix){&o->a, o->a_piece, false},
                       (strata__grid_matrix){&o->b, o->b_piece, false}, 0.0f,
                       (strata__grid_matrix){&o->c, o->c_piece, false});
        strata__barrier(ctx, STRATA__WORLD);
        double time = MPI_Wtime() - start;
        best = time < best ? time : best;
        go_on = MPI_Wtime() - begin < 0.5;
        strata__broadcast(ctx, STRATA__WORLD, 0, &go_on, sizeof go_on);
    }
    return best;
}

static void compare(strata_context *ctx, const shape *s)
{
    operands o = {0};
    if (make(ctx, s, &o)) {
        double work = 2e-9 * (double)s->m * (double)s->n * (double)s->k;
        double ours = work / time_of(ctx, &o, STRATA__MATMUL_AUTO);
        double theirs = work / time_of(ctx, &o, STRATA__MATMUL_PBLAS);
        if (ctx->mesh->rank == 0)
            printf("product %lld×%lld×%lld on 1 × %d ranks, GF/s\t%.0f\t%.0f\tp?gemm\t%.2f\n",
                   (long long)s->m, (long long)s->n, (long long)s->k, ctx->mesh->cols, ours, theirs,
                   ours / theirs);
    }
    strata__free(ctx, o.a_piece);
    strata__free(ctx, o.b_piece);
    strata__free(ctx, o.c_piece);
}

int main(void)
{
    strata__mpi_start();
    strata_context *ctx = strata__context_new();
    char mesh[32];
    int ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    snprintf(mesh, sizeof mesh, "cols=%d", ranks);
    if (ctx && strata__mesh_new(ctx, MPI_COMM_WORLD, mesh) == STRATA_OK) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            compare(ctx, &shapes[i]);
        strata__mesh_free(ctx);
    }
    strata__context_free(ctx);
    strata__mpi_stop();
    return 0;
}
