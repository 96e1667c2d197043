/* Loops over elements of any type. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_ELEMENTS_H
#define STRATA_STATE_ELEMENTS_H

#include <strata/types.h>

bool strata__dtype_is_real(strata_dtype dtype);

/* Every element becomes `value`; a bool, whether it is not 0. */
void strata__elements_set(strata_dtype dtype, void *elements, int64_t count, double value);

/* Converted from float32: whole numbers lose the fraction, a bool is whether it is not 0. */
void strata__elements_from_floats(strata_dtype dtype, void *elements, const float *from,
                                  int64_t count);

/* elements ± from; not for bool. */
void strata__elements_add(strata_dtype dtype, void *elements, const void *from, int64_t count);
void strata__elements_subtract(strata_dtype dtype, void *elements, const void *from, int64_t count);

/* Divided by a count; whole numbers towards 0, a bool stays. */
void strata__elements_divide(strata_dtype dtype, void *elements, int64_t count, int divisor);

/*
 * The part of replica `index` of `replicas`, such that the parts add up: reals are divided, the
 * remainder of whole numbers goes to the low replicas, a bool (whose sum is `any`) stays.
 */
void strata__elements_share(strata_dtype dtype, void *elements, int64_t count, int replicas,
                            int index);

#endif
