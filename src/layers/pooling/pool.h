/* What pooling layers with windows share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_POOLING_POOL_H
#define STRATA_LAYERS_POOLING_POOL_H

#include <strata/layers/pooling.h>

#include "layers/sliding.h"

/* Strides default to pool_size. */
strata_status strata__create_pool2d(strata_layer *layer);

typedef strata_tensor *strata__pool(const char *who, strata_tensor *x,
                                    const strata__window *window);
strata_tensor *strata__call_pool2d(strata_layer *layer, strata_tensor *x, strata__pool *pool);

#endif
