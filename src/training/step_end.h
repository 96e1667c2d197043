/* The end of a step: what one rank wants all to know. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_STEP_END_H
#define STRATA_TRAINING_STEP_END_H

#include "training/stop.h"

/* What any rank may want all to know at the end of a step. */
typedef struct strata__step_flags {
    bool nan;  /* a part of the loss is not finite */
    bool show; /* rank 0 wants to show numbers, which all must sum */
    strata__request request;
    int32_t saves;    /* bit i, on rank 0: callback i saves the run now */
    int64_t *numbers; /* [number_count]: more of which all want the greatest */
    int number_count;
} strata__step_flags;

/* Of each flag the greatest of all ranks holds; an error that one rank deferred becomes
 * everybody's. One short reduction. Collective on the mesh. */
strata_status strata__step_agree(strata_context *ctx, strata__step_flags *flags);

#endif
