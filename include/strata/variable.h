/* Variables: the weights of layers, with declared synchronization and aggregation. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_VARIABLE_H
#define STRATA_VARIABLE_H

#include <strata/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** When the copies on the replicas are brought together; values and names are those of
 * tf.VariableSynchronization. */
typedef enum strata_synchronization {
    STRATA_SYNCHRONIZATION_AUTO, /**< becomes ON_WRITE */
    STRATA_SYNCHRONIZATION_NONE, /**< one plain copy: only where there is one replica */
    STRATA_SYNCHRONIZATION_ON_WRITE,
    STRATA_SYNCHRONIZATION_ON_READ /**< each replica has its own value; a cross read aggregates. Not
                                      trainable */
} strata_synchronization;

/** How per-replica values become one; values and names are those of tf.VariableAggregation. */
typedef enum strata_aggregation {
    STRATA_AGGREGATION_NONE,
    STRATA_AGGREGATION_SUM,
    STRATA_AGGREGATION_MEAN,
    STRATA_AGGREGATION_ONLY_FIRST_REPLICA,
    STRATA_AGGREGATION_ONLY_FIRST_TOWER = STRATA_AGGREGATION_ONLY_FIRST_REPLICA
} strata_aggregation;

/** Keras's names: "auto", "none", "on_write", "on_read"; "none", "sum", "mean",
 * "only_first_replica". Local. */
STRATA_EXPORT const char *strata_synchronization_name(strata_synchronization synchronization);
STRATA_EXPORT const char *strata_aggregation_name(strata_aggregation aggregation);

/** The mode of that name; NULL is "none", as None is in Keras. Another name is STRATA_INVALID.
 * Local. */
STRATA_EXPORT strata_status strata_synchronization_from_name(
    strata_context *ctx, const char *name, strata_synchronization *synchronization);
STRATA_EXPORT strata_status strata_aggregation_from_name(strata_context *ctx, const char *name,
                                                         strata_aggregation *aggregation);

/** Last component of the path: "kernel". Local. */
STRATA_EXPORT const char *strata_variable_name(const strata_variable *variable);

/** "dense/kernel". Local. */
STRATA_EXPORT const char *strata_variable_path(const strata_variable *variable);

/** Global shape. Local. */
STRATA_EXPORT strata_shape strata_variable_shape(const strata_variable *variable);
STRATA_EXPORT strata_dtype strata_variable_dtype(const strata_variable *variable);
STRATA_EXPORT bool strata_variable_trainable(const strata_variable *variable);

/** AUTO reads as ON_WRITE. Local. */
STRATA_EXPORT strata_synchronization
strata_variable_synchronization(const strata_variable *variable);
STRATA_EXPORT strata_aggregation strata_variable_aggregation(const strata_variable *variable);

/*
 * A replica is a position of the mesh that holds a copy: data × rows for a whole variable, data for
 * one whose columns or blocks lie over the model grid. Replica operations (strata_replica_…, and
 * strata_variable_value()) are what each replica does with its own copy inside a step. Cross
 * operations (strata_cross_…) are for all ranks together, outside a step, with one agreed value.
 * With one replica both are plain.
 *
 * An operation that some ranks alone reach, or reach with another variable, is a mistake in the
 * program. With STRATA_CHECK=1 in the environment every collective is compared before it begins,
 * and such a mistake ends the job with what each rank called.
 */

/* --- replica operations: each with its own value, inside a step --- */

/**
 * The replica's own value as a tensor, to compute with. Owned by the variable. An ON_READ variable,
 * of which each replica has another value, has one inside a scope or the call of a layer only;
 * elsewhere it is STRATA_INVALID, and NULL. NULL has the value NULL. Local.
 */
STRATA_EXPORT strata_tensor *strata_variable_value(strata_variable *variable);

/**
 * Assigns the replica's value. ON_READ: own copy, no communication. ON_WRITE: the passed values are
 * aggregated over the replicas first, and every copy gets the result; with aggregation NONE that is
 * refused: "You must specify an aggregation method to update …", and so is the MEAN of other than
 * floats. The same number passed by R replicas with SUM gives R times that number: a whole (not
 * batch-split) tensor that is equal on all replicas, as sums over the batch are, should go with
 * MEAN or ONLY_FIRST_REPLICA. A value that is split over the batch is refused. Collective on the
 * replicas when ON_WRITE aggregates, else Local; a value whose features are split otherwise than
 * the variable's is gathered first, Collective on the columns of the mesh. A symbolic value changes
 * nothing.
 */
STRATA_EXPORT strata_status strata_replica_assign(strata_variable *variable, strata_tensor *value);
/** value ± the (aggregated) passed value; not for bool. */
STRATA_EXPORT strata_status strata_replica_assign_add(strata_variable *variable,
                                                      strata_tensor *value);
STRATA_EXPORT strata_status strata_replica_assign_sub(strata_variable *variable,
                                                      strata_tensor *value);

/** What a slice of the variable becomes; the names are those of tf.Variable.scatter_add() and its
 * likes. */
typedef enum strata_scatter {
    STRATA_SCATTER_ADD,
    STRATA_SCATTER_SUB,
    STRATA_SCATTER_MUL,
    STRATA_SCATTER_DIV, /**< whole numbers towards 0; by 0 it is 0 */
    STRATA_SCATTER_MIN,
    STRATA_SCATTER_MAX,
    STRATA_SCATTER_UPDATE
} strata_scatter;

/**
 * Changes slices along axis 0. indices: int32 or int64, whole, of any shape, each replica's own;
 * values: indices' shape and then that of a slice, whole. SUM and MEAN: values for one slice are
 * added up over indices and replicas (MEAN: and divided by the number of replicas, whether they
 * touched the slice or not), then applied once; MIN, MAX and UPDATE are refused
 * (STRATA_UNSUPPORTED) if there are several replicas. ONLY_FIRST_REPLICA: the first replica's
 * indices and values, one after the other. NONE, MEAN of other than floats, and bool other than
 * UPDATE are refused as above. ON_READ variables with several replicas have no scatter operations
 * (STRATA_UNSUPPORTED). An index out of range changes nothing and is STRATA_BAD_DATA when the ranks
 * agree next. Collective on the replicas.
 */
STRATA_EXPORT strata_status strata_replica_scatter(strata_variable *variable,
                                                   strata_scatter operation, strata_tensor *indices,
                                                   strata_tensor *values);

/* --- cross operations: all ranks, outside a step, one agreed value --- */

/**
 * The whole value, row-major, in the variable's dtype, on every rank. ON_READ: the aggregate over
 * the replicas; aggregation NONE is refused. Of booleans sum and mean are `any`, the mean of whole
 * numbers is cut towards 0. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_cross_read(strata_variable *variable, void *data);

/**
 * Sets every copy from `data`, the whole value, equal on every rank. ON_READ with SUM: each replica
 * gets data / replicas, the remainder of integers going to the low ones, so that reading gives
 * `data` back. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_cross_assign(strata_variable *variable, const void *data);

/** Every copy ± `data`, as above; not for bool. ON_READ with SUM and several replicas is refused.
 * Collective on the mesh. */
STRATA_EXPORT strata_status strata_cross_assign_add(strata_variable *variable, const void *data);
STRATA_EXPORT strata_status strata_cross_assign_sub(strata_variable *variable, const void *data);

/** Given to strata_cross_update(); errors go to the context. */
typedef void strata_variable_update(strata_variable *variable, void *user);

/**
 * Runs `update` on every rank, in a scope: inside it replica operations on this variable read and
 * write the own copy, whatever its synchronization and aggregation are (tf.distribute's
 * extended.update). Copies of an ON_WRITE variable must get equal values. Collective on the mesh.
 */
STRATA_EXPORT strata_status strata_cross_update(strata_variable *variable,
                                                strata_variable_update *update, void *user);

#ifdef __cplusplus
}
#endif
#endif
