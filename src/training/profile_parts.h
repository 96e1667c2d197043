/* Insides of the profile: times by layer and phase, meetings of ranks, spans. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_PROFILE_PARTS_H
#define STRATA_TRAINING_PROFILE_PARTS_H

#include "mesh/collective.h"
#include "training/owners.h"
#include "training/profile.h"

/* As in activity.h, by the outermost: "forward" within "validation" is validation. */
typedef enum strata__profiled {
    STRATA__IN_DATA,
    STRATA__IN_FORWARD,
    STRATA__IN_BACKWARD,
    STRATA__IN_UPDATE,
    STRATA__IN_VALIDATION,
    STRATA__IN_CHECKPOINT,
    STRATA__BETWEEN, /* callbacks, progress, agreement of ranks after a step */
    STRATA__PROFILED
} strata__profiled;

/* One of the things that were begun and ended. Seconds of this rank's clock. */
typedef struct strata__span {
    const char *name;
    strata__doing kind;
    uint32_t step;
    double begin, length;
} strata__span;

/* A collective, all the times that this rank came to it. */
typedef struct strata__meeting {
    int64_t count;
    double seconds;  /* in it, without what nests in it */
    double *begins;  /* [STRATA__MEETINGS] when it came, the first times; NULL: not yet */
    double *lengths; /* [STRATA__MEETINGS] how long it stayed */
} strata__meeting;

/* Meetings of one kind that are compared between ranks, and spans that are kept for the trace: the
 * first and the last ones. */
enum { STRATA__MEETINGS = 8192, STRATA__SPANS = 1 << 16, STRATA__FRAMES = 64 };

typedef struct strata__frame {
    const char *name;
    double begin;
    int outer; /* phase, layer or collective around it */
} strata__frame;

struct strata__profile {
    strata_context *ctx;
    const char *model;
    strata__owners owners;
    double (*seconds)[STRATA__PROFILED];  /* [layer_count + 1]; the last: no layer at work */
    double (*exchange)[STRATA__PROFILED]; /* of these, in collectives */
    strata__meeting meetings[STRATA__COLLECTIVES][STRATA__AXES];
    double begun, last; /* when the profile began, and when it last looked at the clock */
    uint64_t first_step;
    int depth[STRATA__DOINGS];
    strata__frame frames[STRATA__DOINGS][STRATA__FRAMES];
    int now[STRATA__DOINGS]; /* strata__profiled; layer; collective · axes + axis, or −1 */
    strata__span *spans;     /* [STRATA__SPANS] a ring, or NULL without a trace */
    int64_t span_count;      /* all that were */
    FILE *file;              /* rank 0's, where there is a trace */
    double offset[2];        /* to rank 0's clock, at the beginning and at the end */
    double ended;
};

/* A reading of this rank's clock as one of rank 0's. Local. */
static inline double strata__profile_time(const strata__profile *p, double seconds)
{
    double span = p->ended - p->begun, share = span > 0 ? (seconds - p->begun) / span : 0;
    return seconds + p->offset[0] + share * (p->offset[1] - p->offset[0]);
}

/* How ranks met: numbers of one collective on one axis. */
typedef struct strata__waits {
    double count, seconds; /* Σ over the ranks */
    double waited;         /* Σ over the ranks: until the last one of the group had come */
    double caused;         /* by the rank that made others wait most */
    int latest;            /* that rank */
} strata__waits;

/*
 * Compares when ranks came. caused: (mesh size) seconds that others waited for each, of all
 * collectives. Results on all ranks. Collective on the mesh.
 */
void strata__profile_waits(strata__profile *profile,
                           strata__waits waits[STRATA__COLLECTIVES][STRATA__AXES], double *caused);

/* Sums over the ranks, printed on rank 0. Collective on the mesh. */
void strata__profile_show(strata__profile *profile);

/* Writes all ranks' spans to the file. Collective on the mesh. */
void strata__profile_trace(strata__profile *profile);

#endif
