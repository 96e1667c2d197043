/* EinsumDense as a part of other layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_CORE_EINSUM_DENSE_H
#define STRATA_LAYERS_CORE_EINSUM_DENSE_H

#include "layers/layer.h"

/*
 * For an equation that is a product of the last axes of x and the first of the kernel, of a layer
 * that is built: the same on matrices. x (…, k) with its contracted axes as one, whole or split →
 * (…, n) with the columns of the kernel as one, split over cols if the kernel is sharded. Bias,
 * activation and activity_regularizer as in a call. Collective on the mesh.
 */
strata_tensor *strata__einsum_dense_product(strata_layer *layer, strata_tensor *x);

#endif
