/* --check-numerics: the first NaN or infinity of a step, by rank, layer, tensor and index. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TENSOR_NUMERICS_H
#define STRATA_TENSOR_NUMERICS_H

#include "tensor/tensor.h"

/* The first local element of `data`, which has the tensor's type and local shape, that is no
 * number; -1: none, or no type that has such values. Local. */
int64_t strata__find_not_finite(const strata_tensor *tensor, const void *data);

/*
 * While ctx->settings.check_numerics: looks at `data`, which lies as the tensor does and stands for
 * the global `shape` with as many elements, and defers STRATA_NOT_FINITE with the step, the rank,
 * the layer (NULL: none), what the format says, the value and its global index. Only the first
 * finding of a step counts. All ranks must look at the same things in the same order. Local.
 */
void strata__look(const strata_tensor *tensor, const void *data, const strata_shape *shape,
                  const char *layer, const char *format, ...) __attribute__((format(printf, 5, 6)));

/*
 * At the end of a step, before ranks agree on errors: of the findings of all ranks, which spread
 * through collectives, the first one stays. Collective on the mesh, while checks are on.
 */
void strata__looks_settle(strata_context *ctx);

#endif
