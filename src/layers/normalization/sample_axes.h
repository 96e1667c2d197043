/* Axes over which a layer normalizes each sample by itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_NORMALIZATION_SAMPLE_AXES_H
#define STRATA_LAYERS_NORMALIZATION_SAMPLE_AXES_H

#include "layers/layer.h"

typedef struct strata__sample_axes {
    int count, axes[STRATA_MAX_RANK]; /* positive */
    strata_shape shape;               /* of the weights: sizes of the axes as Keras sorts them */
    bool last;                        /* they are the last axes of the input */
    strata__placement
        placement; /* of the weights: cut like the features where those are among the axes */
} strata__sample_axes;

/* Whether the configuration's `axis` can be an axis or a list of axes at all. Local. */
strata_status strata__sample_axes_check(const strata_layer *layer, const char *axis);

/*
 * For inputs of that shape. Keras sorts the axes as they were given when it builds, and from then
 * on writes them as a list: so *axis is replaced. Local.
 */
strata_status strata__sample_axes_build(strata_layer *layer, const char **axis,
                                        const strata_shape *input, strata__sample_axes *axes);

#endif
