/* Loops over elements of any type. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_ELEMENTS_H
#define STRATA_STATE_ELEMENTS_H

#include <strata/variable.h>

bool strata__dtype_is_real(strata_dtype dtype);

/* Every element becomes `value`; a bool, whether it is not 0. */
void strata__elements_set(strata_dtype dtype, void *elements, int64_t count, double value);

/* Converted from float32: whole numbers lose the fraction, a bool is whether it is not 0. */
void strata__elements_from_floats(strata_dtype dtype, void *elements, const float *from,
                                  int64_t count);

/* elements ± from; not for bool. */
typedef void strata__elements_update(strata_dtype dtype, void *elements, const void *from,
                                     int64_t count);
strata__elements_update strata__elements_add, strata__elements_subtract;

/*
 * element = what the operation makes of it and `by`, one of each. Whole numbers wrap around, are
 * divided towards 0, and by 0 give 0, as NumPy's do. A bool can only be updated.
 */
void strata__element_scatter(strata_dtype dtype, strata_scatter operation, void *element,
                             const void *by);

/* Divided by a count; whole numbers towards 0, a bool stays. */
void strata__elements_divide(strata_dtype dtype, void *elements, int64_t count, int divisor);

/*
 * The part of replica `index` of `replicas`, such that the parts add up: reals are divided, the
 * remainder of whole numbers goes to the low replicas, a bool (whose sum is `any`) stays.
 */
void strata__elements_share(strata_dtype dtype, void *elements, int64_t count, int replicas,
                            int index);

#endif
