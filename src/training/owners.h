/* Whose work it is: the layer of a model behind the name of a layer at work. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_OWNERS_H
#define STRATA_TRAINING_OWNERS_H

#include "model/model.h"

/* Layers of the model, but for its inputs, and under each all that it is made of. Names are told
 * apart by their addresses: each layer owns its own. */
typedef struct strata__owners {
    strata_context *ctx;
    int layer_count;
    strata_layer **layers; /* [layer_count] */
    size_t room;           /* a power of two, twice the number of names or more */
    struct strata__owner {
        const char *name; /* NULL: free */
        int layer;
    } * table; /* [room], by hash */
} strata__owners;

/* strata__owners_free() also after an error. Local. */
strata_status strata__owners_find(strata_model *model, strata__owners *owners);
void strata__owners_free(strata__owners *owners);

/* Index of the layer that the name, or that of the layer around it, belongs to; `otherwise` for the
 * model itself and what is no layer. Local. */
int strata__owner_of(const strata__owners *owners, const char *name, int otherwise);

#endif
