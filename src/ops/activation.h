/* What products and softmax share with the activations. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_ACTIVATION_H
#define STRATA_OPS_ACTIVATION_H

#include "ops/pointwise.h"

/* The function if a product can apply it together with its bias: it looks at one element at a time,
 * and nobody wants to know its input. Its arguments are the object's config. NULL otherwise. */
const strata__pointwise *strata__activation_fused(const strata__object *activation);

/* Of such a function: whether it may overwrite its input, since its slope follows from its result.
 */
bool strata__activation_in_place(const strata__object *activation);

/* relu without arguments, max(x, 0): the case that oneDNN fuses. */
bool strata__activation_is_relu(const strata__object *activation);

strata_tensor *strata__log_softmax(strata_tensor *x, int axis_count, const int *axes);

#endif
