/* Aggregation: the replicas' values of a variable become one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_STATE_AGGREGATE_H
#define STRATA_STATE_AGGREGATE_H

#include "state/variable.h"

/* Whether replica operations bring the passed values together before they change the copies:
 * several replicas with equal copies (ON_WRITE), and not inside strata_cross_update(). Local. */
bool strata__variable_joins(const strata_variable *variable);

/* Refuses what cannot be brought together: without a rule, or the mean of whole numbers. The
 * message begins with the operation. Local, the same verdict on all ranks. */
strata_status strata__aggregation_check(const strata_variable *variable, const char *operation);

/* Refuses bool, which can only be assigned. Local. */
strata_status strata__arithmetic_check(const strata_variable *variable, const char *operation);

/*
 * piece (the variable's local count, its dtype): the replicas' values in, their aggregate out.
 * There is no way back from memory that is short on one rank. Not for NONE. Collective on the
 * replicas.
 */
void strata__aggregate(const strata_variable *variable, void *piece);

#endif
