/* Pieces of matrices on their way between the members of a group while a product is formed. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_PANELS_H
#define STRATA_MESH_PANELS_H

#include "mesh/descriptor.h"

/*
 * A matrix of `total` items of `width` floats is cut into one piece of consecutive items a member,
 * by strata__piece_of(). Messages travel while the caller multiplies what has arrived. All of this
 * is collective on the group and happens in a step: failures abort. Nothing travels in a group of
 * one.
 */

/* Everybody's piece comes to everybody. */
typedef struct strata__panels {
    strata_context *ctx;
    strata__axis axis;
    const strata__group *group;
    int64_t total, width;
    const float *own;
    float *arrivals;       /* (total, width), the own piece left out */
    MPI_Request *requests; /* [2 × group size]: from the members, to the members */
} strata__panels;

/* `own` must stay as it is until strata__panels_end(). */
void strata__panels_begin(strata_context *ctx, strata__axis axis, const float *own, int64_t total,
                          int64_t width, strata__panels *panels);
/* A member's piece, waited for. Valid until the end. */
const float *strata__panels_of(strata__panels *panels, int member);
void strata__panels_end(strata__panels *panels);

/* Everybody forms a part of each member's piece; each member gets the sum of its parts. */
typedef struct strata__parts {
    strata_context *ctx;
    strata__axis axis;
    const strata__group *group;
    int64_t total, width;
    float *formed;         /* (total, width): the own parts of all pieces */
    float *arrivals;       /* (group size, own piece): the others' parts of the own piece */
    MPI_Request *requests; /* [2 × group size] */
} strata__parts;

void strata__parts_begin(strata_context *ctx, strata__axis axis, int64_t total, int64_t width,
                         strata__parts *parts);
/* Where to form the part of a member's piece; then it is sent off. */
float *strata__parts_of(strata__parts *parts, int member);
void strata__parts_send(strata__parts *parts, int member);
/* piece = beta·piece + the sum of its parts in the order of the members. */
void strata__parts_end(strata__parts *parts, float beta, float *piece);

/*
 * C = op(A)·op(B) + beta·C by p?gemm, row-major as everywhere (mesh/descriptor.h), pieces with the
 * leading dimension local_n. Collective on the model grid.
 */
void strata__pblas_product(strata_context *ctx, bool transpose_a, bool transpose_b,
                           const strata__matrix *a, const float *a_piece, const strata__matrix *b,
                           const float *b_piece, float beta, const strata__matrix *c,
                           float *c_piece);

#endif
