/* Axes arguments: one axis or a list of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_AXES_H
#define STRATA_LAYERS_AXES_H

#include "layers/layer.h"

/* text is JSON, "-1" or "[1, 2]". Positive, different axes of a tensor of that rank into axes;
 * STRATA_INVALID otherwise. Local. */
strata_status strata__axes_parse(strata_layer *layer, const char *argument, const char *text,
                                 int rank, int axes[STRATA_MAX_RANK], int *count);

#endif
