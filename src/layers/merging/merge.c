/* What merging layers share: one rank for all inputs, masks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/merging/merge.h"

strata_tensor *strata__merge(const strata_call *call, strata__merge_function *merge)
{
    int rank = 0;
    for (int i = 0; i < call->count; i++)
        rank = call->inputs[i]->shape.rank > rank ? call->inputs[i]->shape.rank : rank;
    strata_tensor *result = strata__expand_like(call->inputs[0], rank);
    for (int i = 1; i < call->count && result; i++)
        result = merge(result, strata__expand_like(call->inputs[i], rank));
    return result;
}

strata_tensor *strata__mask_factor(strata_tensor *mask)
{
    strata_shape shape = {.rank = mask->shape.rank};
    for (int i = 1; i < mask->shape.rank; i++)
        shape.dims[i - 1] = mask->shape.dims[i];
    shape.dims[shape.rank - 1] = 1;
    return strata_ops_reshape(strata_ops_cast(mask, STRATA_FLOAT32), shape);
}

strata_tensor *strata__merge_masks(strata_layer *layer, const strata_call *call)
{
    for (int i = 0; i < call->count; i++) {
        if (!call->inputs[i]->mask)
            return NULL;
    }
    strata__tape *tape = strata__tape_pause(layer->ctx);
    strata_tensor *any = strata_ops_cast(call->inputs[0]->mask, STRATA_FLOAT32);
    for (int i = 1; i < call->count; i++)
        any = strata_ops_maximum(any, strata_ops_cast(call->inputs[i]->mask, STRATA_FLOAT32));
    any = strata_ops_cast(any, STRATA_BOOL);
    strata__tape_resume(layer->ctx, tape);
    return any;
}
