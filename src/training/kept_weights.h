/* Weights set aside in memory, to be put back later. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_KEPT_WEIGHTS_H
#define STRATA_TRAINING_KEPT_WEIGHTS_H

#include "model/model.h"

/* Each rank keeps the pieces it holds, in the order of the model's weights. Starts as zero. */
typedef struct strata__kept_weights {
    int count; /* 0: nothing is kept */
    strata_variable **weights;
    void **pieces; /* (variable->count) elements each */
} strata__kept_weights;

/* Replaces what was kept. After an error of this rank alone: agree before the next use. Local. */
strata_status strata__kept_weights_take(strata__kept_weights *kept, const strata_model *model);

/* Collective on the mesh. */
void strata__kept_weights_put_back(const strata__kept_weights *kept);

void strata__kept_weights_free(strata_context *ctx, strata__kept_weights *kept);

#endif
