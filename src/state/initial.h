/* Initial values of variables. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_INITIAL_H
#define STRATA_STATE_INITIAL_H

#include "state/variable.h"

/*
 * Values from an initializer (NULL: Keras's default, GlorotUniform for reals and Zeros for others),
 * the same on every mesh. Copies start equal. The ranks first agree on what went before, since
 * memory can be short on one alone. Collective on the mesh.
 */
strata_status strata__variable_initialize(strata_variable *variable, const char *initializer,
                                          uint64_t seed);

#endif
