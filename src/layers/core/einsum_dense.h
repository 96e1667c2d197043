/* EinsumDense as a part of other layers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_CORE_EINSUM_DENSE_H
#define STRATA_LAYERS_CORE_EINSUM_DENSE_H

#include "layers/layer.h"

/*
 * For a layer that is built and whose equation is a product of the last axes of x and the first of
 * the kernel, with a bias of all columns or none and an activation of single elements: the same on
 * matrices. x (…, k) with its contracted axes as one, whole or split → (…, n) with the columns of
 * the kernel as one, split over cols if the kernel is sharded. activity_regularizer as in a call.
 * Collective on the mesh.
 */
strata_tensor *strata__einsum_dense_product(strata_layer *layer, strata_tensor *x);

#endif
