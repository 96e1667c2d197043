/* bfloat16: the upper half of a float32. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_OPS_HALF_H
#define STRATA_OPS_HALF_H

#include <stdint.h>

/* To the nearest bfloat16, ties to even; NaN stays NaN. m rows of n with the leading dimension ld
 * into (m × n). As bfloat16, or as float32 of that value. Local. */
void strata__half_from(const float *x, int64_t m, int64_t n, int64_t ld, uint16_t *half);
void strata__half_round(const float *x, int64_t m, int64_t n, int64_t ld, float *rounded);

#endif
