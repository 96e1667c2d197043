/* Strata: all public headers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_H
#define STRATA_H

#include <strata/config.h>
#include <strata/layer.h>
#include <strata/layers/core.h>
#include <strata/ops.h>
#include <strata/status.h>
#include <strata/tensor.h>
#include <strata/types.h>
#include <strata/variable.h>

#endif
