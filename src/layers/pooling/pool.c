/* What pooling layers with windows share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/pooling/pool.h"

#include <string.h>

typedef strata_pool2d_config config;

strata_status strata__create_pool2d(strata_layer *layer)
{
    config *c = layer->config;
    if (c->strides[0] == 0)
        memcpy(c->strides, c->pool_size, sizeof c->strides);
    strata_layer_set_input_spec(
        layer, 0,
        &(strata_input_spec){.ndim = 4, .min_ndim = -1, .max_ndim = -1, .shape.rank = -1});
    return strata__set_data_format(layer);
}

strata_tensor *strata__call_pool2d(strata_layer *layer, strata_tensor *x, strata__pool *pool)
{
    const config *c = layer->config;
    strata__sliding sliding = {2, c->pool_size, c->strides, NULL, c->padding, c->data_format};
    strata__window window;
    return strata__sliding_window(layer, &sliding, x, &window) ? pool(layer->name, x, &window)
                                                               : NULL;
}
