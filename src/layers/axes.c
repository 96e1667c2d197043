/* Axes arguments of layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/axes.h"

#include "tensor/axes.h"

strata_status strata__axes_parse(strata_layer *layer, const char *argument, const char *text,
                                 int rank, int axes[STRATA_MAX_RANK], int *count)
{
    if (strata__axes_read(text, rank, axes, count))
        return STRATA_OK;
    return strata__fail(layer->ctx, STRATA_INVALID,
                        "layer '%s': %s=%s does not name different axes of an input with %d axes",
                        layer->name, argument, text, rank);
}
