/* What the files of the optimizer share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_OPTIMIZER_PARTS_H
#define STRATA_TRAINING_OPTIMIZER_PARTS_H

#include <math.h>

#include "training/optimizer.h"

static inline const strata__optimizer_methods *
strata__optimizer_methods_of(const strata__optimizer *optimizer)
{
    return optimizer->object.class->methods;
}

static inline bool strata__optimizer_clips_by_norm(const strata__optimizer *optimizer)
{
    return !isnan(optimizer->config->clipnorm) || !isnan(optimizer->config->global_clipnorm);
}

/* Whether this rank stands for its elements of the variable, of which other columns of the mesh may
 * hold a copy. */
static inline bool strata__optimizer_counts(const strata_variable *variable)
{
    return variable->placement != STRATA__WHOLE || variable->ctx->mesh->col == 0;
}

/* One of the optimizer's own variables. */
typedef struct strata__optimizer_entry {
    char *path;
    int kind;     /* of the slot; or one of the numbers below */
    int variable; /* index in the pack */
} strata__optimizer_entry;
enum { STRATA__ENTRY_ITERATION = -1, STRATA__ENTRY_LEARNING_RATE = -2 };

/* The list of them, in the order of files. */
strata_status strata__optimizer_entries_make(strata__optimizer *optimizer);
void strata__optimizer_entries_free(strata__optimizer *optimizer);

#endif
