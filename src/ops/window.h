/* Windows that slide over spatial axes: what convolution and pooling share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_WINDOW_H
#define STRATA_OPS_WINDOW_H

#include "ops/onednn.h"

/* Whether the window can go over x: float32, spatial axes and two more. An error otherwise; NULL is
 * refused quietly. */
bool strata__window_accepts(const char *who, const strata_tensor *x, const strata__window *window);

/* (batch, sizes…, channels) after the window has gone over x, both channels-last. Unknown sizes
 * stay unknown. False and an error: a size is zero or negative. */
bool strata__window_shape(const char *who, const strata_tensor *x, const strata__window *window,
                          int64_t channels, strata_shape *shape);

/* Window and sizes of the local pieces of x and y; the rest of the key is zero, groups 1. */
strata__primitive_key strata__window_key(strata__primitive_kind kind, const strata__window *window,
                                         const strata_tensor *x, const strata_tensor *y);

/* (batch, channels, sizes…) → (batch, sizes…, channels), features whole, and back. Collective on
 * cols. */
strata_tensor *strata__channels_to_last(strata_tensor *x);
strata_tensor *strata__channels_to_first(strata_tensor *x);

/* Padding in oneDNN's terms: the lengths before and after, dilation as the number of cells left
 * out. */
typedef struct strata__onednn_window {
    dnnl_dims_t size, strides, dilation, before, after;
} strata__onednn_window;
strata__onednn_window strata__window_for_onednn(const strata__primitive_key *key);

#endif
