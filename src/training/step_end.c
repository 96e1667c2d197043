/* The end of a step: what one rank wants all to know. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "training/step_end.h"

#include <string.h>

#include "base/memory.h"
#include "mesh/mesh.h"
#include "tensor/numerics.h"

strata_status strata__step_agree(strata_context *ctx, strata__step_flags *flags)
{
    enum { ERROR, NOT_A_NUMBER, SHOW, REQUEST, SAVES, COUNT };
    strata__looks_settle(ctx);
    const int64_t own[COUNT] = {[ERROR] =
                                    ctx->status != STRATA_OK || ctx->deferred_status != STRATA_OK,
                                [NOT_A_NUMBER] = flags->nan,
                                [SHOW] = flags->show,
                                [REQUEST] = flags->request,
                                [SAVES] = ctx->rank == 0 ? flags->saves : 0};
    size_t more = (size_t)flags->number_count * sizeof *flags->numbers;
    int64_t *values = strata__scratch(ctx, COUNT + flags->number_count, sizeof *values);
    memcpy(values, own, sizeof own);
    if (more > 0)
        memcpy(values + COUNT, flags->numbers, more);
    strata__max(ctx, STRATA__WORLD, values, COUNT + flags->number_count, STRATA_INT64);
    bool error = values[ERROR];
    flags->nan = values[NOT_A_NUMBER];
    flags->show = values[SHOW];
    flags->request = (strata__request)values[REQUEST];
    flags->saves = (int32_t)values[SAVES];
    if (more > 0)
        memcpy(flags->numbers, values + COUNT, more);
    strata__free(ctx, values);
    return error ? strata__agree(ctx) : STRATA_OK;
}
