/* The plan: what a training step will exchange and hold on this mesh. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_PLAN_H
#define STRATA_PLAN_H

#include <stdio.h>

#include <strata/training.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Prints, on rank 0, what a step of this compiled model will cost: for each layer how its largest
 * weight and its output lie on the mesh
 * ("784/2 × 512/4": cut in 2 over rows and in 4 over cols), which engine forms its products over
 * the mesh (summa, pblas; local: none), what attention gathers where columns cannot share the heads
 * out ("gathers keys": columns have heads of the same groups of keys and values; "gathers heads":
 * each computes all of them), the bytes a rank exchanges on each axis of the mesh, and its bytes of
 * weights, gradients, optimizer slots and activations. Numbers are those of the rank that has most.
 *
 * Exchanged is what a rank hands to MPI for others, and on a node that shares memory what it reads
 * of theirs; a layer's include the sums of its gradients. ScaLAPACK's own messages (engine pblas)
 * are not in it.
 *
 * One step is rehearsed for that on the first batch_size (0: 32) samples of the data, without an
 * update: training goes on afterwards as if there had been none, but for metrics, which are reset,
 * and for what custom layers keep outside of their weights. So any layer may be in the model. Not
 * during fit. The option --plan (strata_options) does this at the start of every fit. Collective on
 * the mesh.
 */
STRATA_EXPORT strata_status strata_plan_print(strata_model *model, strata_dataset *data,
                                              int64_t batch_size, FILE *stream);

#ifdef __cplusplus
}
#endif
#endif
