/* Strata: all public headers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_H
#define STRATA_H

#include <strata/config.h>
#include <strata/context.h>
#include <strata/data.h>
#include <strata/layer.h>
#include <strata/layers/activation.h>
#include <strata/layers/attention.h>
#include <strata/layers/convolutional.h>
#include <strata/layers/core.h>
#include <strata/layers/merging.h>
#include <strata/layers/normalization.h>
#include <strata/layers/pooling.h>
#include <strata/layers/preprocessing.h>
#include <strata/layers/regularization.h>
#include <strata/layers/reshaping.h>
#include <strata/model.h>
#include <strata/ops.h>
#include <strata/plain.h>
#include <strata/plan.h>
#include <strata/status.h>
#include <strata/tensor.h>
#include <strata/training.h>
#include <strata/types.h>
#include <strata/variable.h>

#endif
