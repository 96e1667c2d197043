/* Checked mode (STRATA_CHECK=1): the members of a collective compare what they call before it
 * begins. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MESH_CHECKED_H
#define STRATA_MESH_CHECKED_H

#include "mesh/mesh.h"

/* What a rank is about to do together with others. */
typedef struct strata__signature {
    const char *operation; /* "assign_add", "sum on data × rows"; a literal */
    const char *variable;  /* path; NULL: none */
    strata_shape shape;    /* of what is passed */
    strata_dtype dtype;
    uint64_t digest; /* of values that must be equal on all members; 0: they may differ */
} strata__signature;

/*
 * The first member of a group receives the signatures of the others, with the number of the
 * collective in the group and the layer that asks for it, and gives the word to begin. Where they
 * differ, or a member does not come within STRATA_CHECK_SECONDS, it ends the job with
 * STRATA_DIVERGED and one line that says what each rank calls: also those that wait in a collective
 * of another group, who answer when they are asked. Messages travel on a communicator of their own.
 */
strata_status strata__checked_new(strata_context *ctx, int seconds); /* Collective on the mesh. */
void strata__checked_free(strata_context *ctx);                      /* Collective on the mesh. */

void strata__checked_compare(strata_context *ctx, strata__axis axis,
                             const strata__signature *signature);

/* To be called first by every operation that is collective on a group. Nothing outside checked
 * mode. Collective on the group. */
static inline void strata__check(strata_context *ctx, strata__axis axis,
                                 const strata__signature *signature)
{
    if (ctx->mesh->checked)
        strata__checked_compare(ctx, axis, signature);
}

#endif
