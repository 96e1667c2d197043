/* Weights set aside in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/kept_weights.h"

#include <string.h>

#include "base/memory.h"
#include "state/variable.h"

static size_t bytes_of(const strata_variable *variable)
{
    return (size_t)variable->count * strata_dtype_size(variable->dtype);
}

static strata_status make_room(strata__kept_weights *kept, const strata_model *model)
{
    strata_context *ctx = model->ctx;
    int count = strata_layer_weights(model->layer, NULL, 0);
    if (kept->count > 0)
        return STRATA_OK;
    kept->weights = strata__alloc(ctx, (size_t)count * sizeof *kept->weights);
    kept->pieces = strata__calloc(ctx, (size_t)count, sizeof *kept->pieces);
    if (!kept->weights || !kept->pieces)
        return STRATA_NO_MEMORY;
    kept->count = strata_layer_weights(model->layer, kept->weights, count);
    for (int i = 0; i < count; i++) {
        kept->pieces[i] = strata__alloc(ctx, bytes_of(kept->weights[i]));
        if (!kept->pieces[i])
            return STRATA_NO_MEMORY;
    }
    return STRATA_OK;
}

strata_status strata__kept_weights_take(strata__kept_weights *kept, const strata_model *model)
{
    STRATA_TRY(make_room(kept, model));
    for (int i = 0; i < kept->count; i++)
        memcpy(kept->pieces[i], kept->weights[i]->value->data, bytes_of(kept->weights[i]));
    return STRATA_OK;
}

void strata__kept_weights_put_back(const strata__kept_weights *kept)
{
    for (int i = 0; i < kept->count; i++) {
        strata_variable *variable = kept->weights[i];
        if (strata__variable_write_begin(variable))
            memcpy(variable->value->data, kept->pieces[i], bytes_of(variable));
        strata__variable_write_end(variable);
    }
}

void strata__kept_weights_free(strata_context *ctx, strata__kept_weights *kept)
{
    for (int i = 0; i < kept->count; i++)
        strata__free(ctx, kept->pieces[i]);
    strata__free(ctx, kept->weights);
    strata__free(ctx, kept->pieces);
    *kept = (strata__kept_weights){0};
}
