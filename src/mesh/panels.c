/* Pieces of matrices on their way between the members of a group while a product is formed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "mesh/panels.h"

#include <limits.h>

#include "base/memory.h"
#include "mesh/collective.h"
#include "mesh/sum.h"
#include "mesh/traffic.h"

/* ScaLAPACK ships no C header. */
void psgemm_(const char *transpose_a, const char *transpose_b, const int *m, const int *n,
             const int *k, const float *alpha, const float *a, const int *ia, const int *ja,
             const int *a_descriptor, const float *b, const int *ib, const int *jb,
             const int *b_descriptor, const float *beta, float *c, const int *ic, const int *jc,
             const int *c_descriptor);

static MPI_Request *requests_of(strata_context *ctx, const strata__group *group)
{
    MPI_Request *requests = strata__scratch(ctx, 2 * (int64_t)group->size, sizeof *requests);
    for (int i = 0; i < 2 * group->size; i++)
        requests[i] = MPI_REQUEST_NULL;
    return requests;
}

/* First float and number of floats of a member's piece. */
static strata__piece floats_of(const strata__group *group, int64_t total, int64_t width, int member)
{
    strata__piece piece = strata__piece_of(total, group->size, member);
    return (strata__piece){piece.first * width, piece.count * width};
}

/* One message holds any piece that ScaLAPACK can describe. */
static int message_size(strata_context *ctx, int64_t floats)
{
    if (floats > INT_MAX) {
        strata__fail(ctx, STRATA_UNSUPPORTED,
                     "a piece of %lld floats is too large for one message; use more rows or cols "
                     "in the mesh",
                     (long long)floats);
        strata__abort(ctx, "product of matrices on the mesh");
    }
    return (int)floats;
}

static void receive(strata_context *ctx, const strata__group *group, float *data, int64_t floats,
                    int from, MPI_Request *request)
{
    MPI_Irecv(data, message_size(ctx, floats), MPI_FLOAT, from, STRATA__TAG_PANEL, group->comm,
              request);
}

static void dispatch(strata_context *ctx, strata__axis axis, const float *data, int64_t floats,
                     int to, MPI_Request *request)
{
    MPI_Isend(data, message_size(ctx, floats), MPI_FLOAT, to, STRATA__TAG_PANEL,
              ctx->mesh->groups[axis].comm, request);
    strata__traffic_sent(ctx, axis, floats * (int64_t)sizeof *data);
}

/* --- pieces --- */

void strata__panels_begin(strata_context *ctx, strata__axis axis, const float *own, int64_t total,
                          int64_t width, strata__panels *panels)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__PANELS, axis, total * width, STRATA_FLOAT32);
    *panels = (strata__panels){
        .ctx = ctx, .axis = axis, .group = group, .total = total, .width = width, .own = own};
    if (group->size == 1)
        return;
    panels->arrivals = strata__scratch(ctx, total * width, sizeof(float));
    panels->requests = requests_of(ctx, group);
    strata__piece mine = floats_of(group, total, width, group->rank);
    for (int step = 1; step < group->size; step++) {
        int from = (group->rank + step) % group->size;
        int to = (group->rank + group->size - step) % group->size;
        strata__piece piece = floats_of(group, total, width, from);
        receive(ctx, group, panels->arrivals + piece.first, piece.count, from,
                &panels->requests[from]);
        dispatch(ctx, axis, own, mine.count, to, &panels->requests[group->size + to]);
    }
}

const float *strata__panels_of(strata__panels *panels, int member)
{
    if (member == panels->group->rank)
        return panels->own;
    const char *outer = strata__collective_begin(panels->ctx, STRATA__PANELS, panels->axis);
    MPI_Wait(&panels->requests[member], MPI_STATUS_IGNORE);
    strata__collective_end(panels->ctx, outer);
    return panels->arrivals + floats_of(panels->group, panels->total, panels->width, member).first;
}

void strata__panels_end(strata__panels *panels)
{
    if (panels->group->size == 1)
        return;
    const char *outer = strata__collective_begin(panels->ctx, STRATA__PANELS, panels->axis);
    MPI_Waitall(2 * panels->group->size, panels->requests, MPI_STATUSES_IGNORE);
    strata__collective_end(panels->ctx, outer);
    strata__free(panels->ctx, panels->requests);
    strata__free(panels->ctx, panels->arrivals);
}

/* --- parts --- */

void strata__parts_begin(strata_context *ctx, strata__axis axis, int64_t total, int64_t width,
                         strata__parts *parts)
{
    const strata__group *group = &ctx->mesh->groups[axis];
    strata__collective_check(ctx, STRATA__PANELS, axis, total * width, STRATA_FLOAT32);
    strata__piece mine = floats_of(group, total, width, group->rank);
    *parts =
        (strata__parts){.ctx = ctx, .axis = axis, .group = group, .total = total, .width = width};
    parts->formed = strata__scratch(ctx, total * width, sizeof(float));
    parts->arrivals = strata__scratch(ctx, group->size * mine.count, sizeof(float));
    parts->requests = requests_of(ctx, group);
    for (int from = 0; from < group->size; from++) {
        if (from != group->rank)
            receive(ctx, group, parts->arrivals + from * mine.count, mine.count, from,
                    &parts->requests[from]);
    }
}

float *strata__parts_of(strata__parts *parts, int member)
{
    return parts->formed + floats_of(parts->group, parts->total, parts->width, member).first;
}

void strata__parts_send(strata__parts *parts, int member)
{
    const strata__group *group = parts->group;
    strata__piece piece = floats_of(group, parts->total, parts->width, member);
    if (member != group->rank)
        dispatch(parts->ctx, parts->axis, parts->formed + piece.first, piece.count, member,
                 &parts->requests[group->size + member]);
}

void strata__parts_end(strata__parts *parts, float beta, float *piece)
{
    const strata__group *group = parts->group;
    strata_context *ctx = parts->ctx;
    const char *outer = strata__collective_begin(ctx, STRATA__PANELS, parts->axis);
    MPI_Waitall(2 * group->size, parts->requests, MPI_STATUSES_IGNORE);
    strata__collective_end(ctx, outer);
    strata__piece mine = floats_of(group, parts->total, parts->width, group->rank);
    const float **sources = strata__scratch(ctx, group->size + 1, sizeof *sources);
    int count = 0;
    if (beta != 0.0f)
        sources[count++] = piece;
    for (int member = 0; member < group->size; member++)
        sources[count++] = member == group->rank ? parts->formed + mine.first
                                                 : parts->arrivals + member * mine.count;
    strata__sum_vectors(piece, sources, count, mine.count);
    strata__free(ctx, sources);
    strata__free(ctx, parts->requests);
    strata__free(ctx, parts->arrivals);
    strata__free(ctx, parts->formed);
}

/* --- PBLAS --- */

void strata__pblas_product(strata_context *ctx, bool transpose_a, bool transpose_b,
                           const strata__matrix *a, const float *a_piece, const strata__matrix *b,
                           const float *b_piece, float beta, const strata__matrix *c,
                           float *c_piece)
{
    const int one = 1, m = (int)c->n, n = (int)c->m, k = (int)(transpose_a ? a->m : a->n);
    const float alpha = 1.0f;
    strata__blacs(ctx);
    strata__collective_check(ctx, STRATA__PANELS, STRATA__GRID, c->m * c->n, STRATA_FLOAT32);
    const char *outer = strata__collective_begin(ctx, STRATA__PANELS, STRATA__GRID);
    psgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &m, &n, &k, &alpha, b_piece, &one,
            &one, b->descriptor, a_piece, &one, &one, a->descriptor, &beta, c_piece, &one, &one,
            c->descriptor);
    strata__collective_end(ctx, outer);
}
