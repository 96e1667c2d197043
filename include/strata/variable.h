/* Variables: the weights of layers, with declared synchronization and aggregation. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_VARIABLE_H
#define STRATA_VARIABLE_H

#include <strata/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** When the copies on the replicas are brought together; values and names are those of tf.VariableSynchronization. */
typedef enum strata_synchronization {
    STRATA_SYNCHRONIZATION_AUTO,    /**< becomes ON_WRITE */
    STRATA_SYNCHRONIZATION_NONE,    /**< one plain copy: only where there is one replica */
    STRATA_SYNCHRONIZATION_ON_WRITE,
    STRATA_SYNCHRONIZATION_ON_READ  /**< each replica has its own value; a cross read aggregates. Not trainable */
} strata_synchronization;

/** How per-replica values become one; values and names are those of tf.VariableAggregation. */
typedef enum strata_aggregation {
    STRATA_AGGREGATION_NONE,
    STRATA_AGGREGATION_SUM,
    STRATA_AGGREGATION_MEAN,
    STRATA_AGGREGATION_ONLY_FIRST_REPLICA
} strata_aggregation;

/** Last component of the path: "kernel". Local. */
STRATA_EXPORT const char *strata_variable_name(const strata_variable *variable);

/** "dense/kernel". Local. */
STRATA_EXPORT const char *strata_variable_path(const strata_variable *variable);

/** Global shape. Local. */
STRATA_EXPORT strata_shape strata_variable_shape(const strata_variable *variable);
STRATA_EXPORT strata_dtype strata_variable_dtype(const strata_variable *variable);
STRATA_EXPORT bool strata_variable_trainable(const strata_variable *variable);

/** AUTO reads as ON_WRITE. Local. */
STRATA_EXPORT strata_synchronization strata_variable_synchronization(const strata_variable *variable);
STRATA_EXPORT strata_aggregation strata_variable_aggregation(const strata_variable *variable);

/* --- replica operations: what each rank does with its own copy, inside a step --- */

/** The replica's own value as a tensor, to compute with. Owned by the variable. Local. */
STRATA_EXPORT strata_tensor *strata_variable_value(strata_variable *variable);

/**
 * Assigns the replica's value. ON_READ: own copy, no communication. ON_WRITE: the passed values are aggregated over the replicas
 * first, and every copy gets the result; with aggregation NONE that is refused: "You must specify an aggregation method to update …".
 * A whole (not batch-split) tensor that is equal on all replicas, as sums over the batch are, should go with MEAN or
 * ONLY_FIRST_REPLICA, or with one replica. Collective on the replicas when ON_WRITE aggregates, else Local; a value whose features are
 * split otherwise than the variable's is gathered first, Collective on the columns of the mesh. A symbolic value changes nothing.
 */
STRATA_EXPORT strata_status strata_replica_assign(strata_variable *variable, strata_tensor *value);
/** value ± the passed value; not for bool. */
STRATA_EXPORT strata_status strata_replica_assign_add(strata_variable *variable, strata_tensor *value);
STRATA_EXPORT strata_status strata_replica_assign_sub(strata_variable *variable, strata_tensor *value);

/* --- cross operations: outside a step, one agreed value --- */

/**
 * The whole value, row-major, in the variable's dtype, on every rank. ON_READ: the aggregate over the replicas; aggregation NONE is
 * refused. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_cross_read(strata_variable *variable, void *data);

/**
 * Sets every copy from `data`, the whole value, equal on every rank. ON_READ with SUM: each replica gets data / replicas, the
 * remainder of integers going to the low ones, so that reading gives `data` back. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_cross_assign(strata_variable *variable, const void *data);

#ifdef __cplusplus
}
#endif
#endif
