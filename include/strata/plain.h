/* Plain functions for languages without C's designated initializers: numbers, text and arrays only.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_PLAIN_H
#define STRATA_PLAIN_H

#include <mpi.h>

#include <strata/training.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * With strata_finish(), strata_error(), strata_error_message(), strata_error_clear(),
 * strata_agree(), strata_rank(), strata_size(), strata_model_from_json(), strata_load(),
 * strata_save() and strata_dataset_free() these are enough to train a model in a simulation. The
 * Fortran module strata, source text in strata.f90 beside this header, has all of them.
 */

/** strata_init() with a communicator of Fortran (MPI_Comm_c2f()) and options in words,
 * "--mesh=cols=2 --seed=3"; NULL: none. Collective on comm. */
STRATA_EXPORT strata_context *strata_plain_init(MPI_Fint comm, const char *words);

/** strata_compile() of a model with one output; loss and metric may be NULL. Collective on the
 * mesh. */
STRATA_EXPORT strata_status strata_plain_compile(strata_model *model, const char *optimizer,
                                                 const char *loss, const char *metric);

/**
 * strata_local_dataset() of one input and one target in float32: each rank passes `samples` of its
 * own, x (samples, features) and y (samples, targets); targets 0: none. In Fortran x(features,
 * samples). A model whose samples have more axes begins with a Reshape layer. The memory is
 * borrowed. Collective on the mesh.
 */
STRATA_EXPORT strata_dataset *strata_plain_local_dataset(strata_context *ctx, int64_t samples,
                                                         int64_t features, const float *x,
                                                         int64_t targets, const float *y);

/** strata_fit() without a word on the terminal, in a new order each epoch; returns the loss of the
 * last epoch, NaN after an error. Collective on the mesh. */
STRATA_EXPORT double strata_plain_fit(strata_model *model, strata_dataset *data, int64_t batch_size,
                                      int epochs);

/** strata_train_on_batch() and strata_evaluate(): the loss, NaN after an error. Collective on the
 * mesh. */
STRATA_EXPORT double strata_plain_train_on_batch(strata_model *model, strata_dataset *data);
STRATA_EXPORT double strata_plain_evaluate(strata_model *model, strata_dataset *data,
                                           int64_t batch_size);

#ifdef __cplusplus
}
#endif
#endif
