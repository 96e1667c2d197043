/* Collectives on matrices that are cut in rows or columns over a group. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <string.h>

#include "base/memory.h"
#include "mesh/collective.h"
#include "mesh/exchange.h"
#include "mesh/sum.h"
#include "mesh/traffic.h"

enum {
    ROOM = STRATA__EXCHANGE_BYTES / sizeof(float), /* floats in a buffer of the exchange */
    SHORT = 4096 /* floats of a piece that two copies move faster than MPI its one (measured) */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void copy(float *to, const float *from, int64_t count)
{
    if (count > 0)
        memcpy(to, from, (size_t)count * sizeof *to);
}

/* Copies an m × n block between matrices with the given leading dimensions. */
static void copy_block(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                       int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        copy(to + i * to_stride, from + i * from_stride, n);
}

/* counts, offsets: (group size) in floats, of `total` items of `width` floats each. Owned by the
 * caller, counts first. */
static int *pieces_of(strata_context *ctx, const strata__group *group, int64_t total, int64_t width)
{
    int *counts = strata__scratch(ctx, 2 * (int64_t)group->size, sizeof *counts);
    if (width > 0 && total > INT_MAX / width) {
        strata__fail(ctx, STRATA_UNSUPPORTED,
                     "a matrix of %lld × %lld elements is too large for one message; use more rows "
                     "or cols in the mesh",
                     (long long)total, (long long)width);
        strata__abort(ctx, "collective on a matrix");
    }
    for (int member = 0; member < group->size; member++) {
        strata__piece piece = strata__piece_of(total, group->size, member);
        counts[member] = (int)(piece.count * width);
        counts[group->size + member] = (int)(piece.first * width);
    }
    return counts;
}

/* A gather, of which a member has `own` of all `count` floats. */
static void count_gather(strata_context *ctx, strata__axis axis, bool near, int64_t own,
                         int64_t count)
{
    int64_t others = ctx->mesh->groups[axis].size - 1, size = sizeof(float);
    if (near)
        strata__traffic_read(ctx, axis, (count - own) * size);
    else
        strata__traffic_sent(ctx, axis, own * others * size);
}

/* A scattered sum of `count` floats, of which a member gets `own`. */
static void count_scatter(strata_context *ctx, strata__axis axis, bool near, int64_t own,
                          int64_t count)
{
    int64_t others = ctx->mesh->groups[axis].size - 1, size = sizeof(float);
    if (near)
        strata__traffic_read(ctx, axis, own * others * size);
    else
        strata__traffic_sent(ctx, axis, (count - own) * size);
}

/* In one turn. */
static void gather_rows_near(const strata__group *group, const float *piece, float *whole,
                             int64_t m, int64_t n)
{
    copy(strata__exchange_own(group->exchange), piece,
         strata__piece_of(m, group->size, group->rank).count * n);
    strata__exchange_turn(group->exchange);
    for (int member = 0; member < group->size; member++) {
        strata__piece rows = strata__piece_of(m, group->size, member);
        copy(whole + rows.first * n, strata__exchange_of(group->exchange, member), rows.count * n);
    }
}

void strata__gather_rows(strata_context *ctx, strata__axis axis, const float *piece, float *whole,
                         int64_t m, int64_t n)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__GATHER, axis, m * n, STRATA_FLOAT32);
    if (group->size == 1) {
        copy(whole, piece, m * n);
        return;
    }
    const char *outer = strata__collective_begin(ctx, STRATA__GATHER, axis);
    bool near = strata__exchange_reaches_all(group) &&
                strata__piece_of(m, group->size, 0).count * n <= SHORT;
    count_gather(ctx, axis, near, strata__piece_of(m, group->size, group->rank).count * n, m * n);
    if (near) {
        gather_rows_near(group, piece, whole, m, n);
    } else {
        int *counts = pieces_of(ctx, group, m, n), *offsets = counts + group->size;
        MPI_Allgatherv(piece, counts[group->rank], MPI_FLOAT, whole, counts, offsets, MPI_FLOAT,
                       group->comm);
        strata__free(ctx, counts);
    }
    strata__collective_end(ctx, outer);
}

/* Each round every member shows as many rows of its piece as fit. */
static void gather_columns_near(const strata__group *group, const float *piece, float *whole,
                                int64_t m, int64_t n)
{
    int64_t own = strata__piece_of(n, group->size, group->rank).count;
    int64_t step = ROOM / strata__piece_of(n, group->size, 0).count;
    for (int64_t first = 0; first < m; first += step) {
        int64_t rows = smaller(m - first, step);
        copy(strata__exchange_own(group->exchange), piece + first * own, rows * own);
        strata__exchange_turn(group->exchange);
        for (int member = 0; member < group->size; member++) {
            strata__piece columns = strata__piece_of(n, group->size, member);
            copy_block(whole + first * n + columns.first, n,
                       strata__exchange_of(group->exchange, member), columns.count, rows,
                       columns.count);
        }
    }
}

/* The pieces arrive one after the other and are then woven into rows. */
static void gather_columns_far(strata_context *ctx, const strata__group *group, const float *piece,
                               float *whole, int64_t m, int64_t n)
{
    int *counts = pieces_of(ctx, group, n, m), *offsets = counts + group->size;
    float *pieces = strata__scratch(ctx, m * n, sizeof *pieces);
    MPI_Allgatherv(piece, counts[group->rank], MPI_FLOAT, pieces, counts, offsets, MPI_FLOAT,
                   group->comm);
    for (int member = 0; member < group->size; member++) {
        strata__piece columns = strata__piece_of(n, group->size, member);
        copy_block(whole + columns.first, n, pieces + columns.first * m, columns.count, m,
                   columns.count);
    }
    strata__free(ctx, pieces);
    strata__free(ctx, counts);
}

void strata__gather_columns(strata_context *ctx, strata__axis axis, const float *piece,
                            float *whole, int64_t m, int64_t n)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__GATHER, axis, m * n, STRATA_FLOAT32);
    if (m == 0 || n == 0)
        return;
    if (group->size == 1) {
        copy(whole, piece, m * n);
        return;
    }
    const char *outer = strata__collective_begin(ctx, STRATA__GATHER, axis);
    bool near =
        strata__exchange_reaches_all(group) && strata__piece_of(n, group->size, 0).count <= ROOM;
    count_gather(ctx, axis, near, strata__piece_of(n, group->size, group->rank).count * m, m * n);
    if (near)
        gather_columns_near(group, piece, whole, m, n);
    else
        gather_columns_far(ctx, group, piece, whole, m, n);
    strata__collective_end(ctx, outer);
}

/* Sum of the strips that all members show at `offset` of their buffers. sources: (group size)
 * scratch. */
static void sum_shown(const strata__group *group, const float **sources, int64_t offset,
                      float *target, int64_t count)
{
    for (int member = 0; member < group->size; member++)
        sources[member] = (const float *)strata__exchange_of(group->exchange, member) + offset;
    strata__sum_vectors(target, sources, group->size, count);
}

/* A buffer has a part for each member; each round fills them with the next floats of the pieces. */
static void scatter_rows_near(const strata__group *group, const float **sources, const float *whole,
                              float *piece, int64_t m, int64_t n)
{
    int64_t part = ROOM / group->size, longest = strata__piece_of(m, group->size, 0).count * n;
    int64_t own = strata__piece_of(m, group->size, group->rank).count * n;
    for (int64_t first = 0; first < longest; first += part) {
        float *shown = strata__exchange_own(group->exchange);
        for (int member = 0; member < group->size; member++) {
            strata__piece rows = strata__piece_of(m, group->size, member);
            copy(shown + member * part, whole + rows.first * n + first,
                 smaller(rows.count * n - first, part));
        }
        strata__exchange_turn(group->exchange);
        sum_shown(group, sources, group->rank * part, piece + first, smaller(own - first, part));
    }
}

/* A buffer has as many whole rows as fit. */
static void scatter_columns_near(const strata__group *group, const float **sources,
                                 const float *whole, float *piece, int64_t m, int64_t n)
{
    strata__piece own = strata__piece_of(n, group->size, group->rank);
    int64_t step = ROOM / n;
    for (int64_t first = 0; first < m; first += step) {
        int64_t rows = smaller(m - first, step);
        copy(strata__exchange_own(group->exchange), whole + first * n, rows * n);
        strata__exchange_turn(group->exchange);
        for (int64_t i = 0; i < rows; i++)
            sum_shown(group, sources, i * n + own.first, piece + (first + i) * own.count,
                      own.count);
    }
}

void strata__scatter_sum_rows(strata_context *ctx, strata__axis axis, const float *whole,
                              float *piece, int64_t m, int64_t n)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__SCATTER_SUM, axis, m * n, STRATA_FLOAT32);
    if (group->size == 1) {
        copy(piece, whole, m * n);
        return;
    }
    const char *outer = strata__collective_begin(ctx, STRATA__SCATTER_SUM, axis);
    bool near = strata__exchange_reaches_all(group) && group->size <= ROOM;
    count_scatter(ctx, axis, near, strata__piece_of(m, group->size, group->rank).count * n, m * n);
    if (near) {
        const float **sources = strata__scratch(ctx, group->size, sizeof *sources);
        scatter_rows_near(group, sources, whole, piece, m, n);
        strata__free(ctx, sources);
    } else {
        int *counts = pieces_of(ctx, group, m, n);
        MPI_Reduce_scatter(whole, piece, counts, MPI_FLOAT, MPI_SUM, group->comm);
        strata__free(ctx, counts);
    }
    strata__collective_end(ctx, outer);
}

/* The columns of each member are put together first, so that they leave as one message. */
static void scatter_columns_far(strata_context *ctx, const strata__group *group, const float *whole,
                                float *piece, int64_t m, int64_t n)
{
    int *counts = pieces_of(ctx, group, n, m);
    float *pieces = strata__scratch(ctx, m * n, sizeof *pieces);
    for (int member = 0; member < group->size; member++) {
        strata__piece columns = strata__piece_of(n, group->size, member);
        copy_block(pieces + columns.first * m, columns.count, whole + columns.first, n, m,
                   columns.count);
    }
    MPI_Reduce_scatter(pieces, piece, counts, MPI_FLOAT, MPI_SUM, group->comm);
    strata__free(ctx, pieces);
    strata__free(ctx, counts);
}

void strata__scatter_sum_columns(strata_context *ctx, strata__axis axis, const float *whole,
                                 float *piece, int64_t m, int64_t n)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__SCATTER_SUM, axis, m * n, STRATA_FLOAT32);
    if (m == 0 || n == 0)
        return;
    if (group->size == 1) {
        copy(piece, whole, m * n);
        return;
    }
    const char *outer = strata__collective_begin(ctx, STRATA__SCATTER_SUM, axis);
    bool near = strata__exchange_reaches_all(group) && n <= ROOM;
    count_scatter(ctx, axis, near, strata__piece_of(n, group->size, group->rank).count * m, m * n);
    if (near) {
        const float **sources = strata__scratch(ctx, group->size, sizeof *sources);
        scatter_columns_near(group, sources, whole, piece, m, n);
        strata__free(ctx, sources);
    } else {
        scatter_columns_far(ctx, group, whole, piece, m, n);
    }
    strata__collective_end(ctx, outer);
}
