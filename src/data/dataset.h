/* Datasets from the inside: columns of samples, and the feed that turns them into batches. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_DATA_DATASET_H
#define STRATA_DATA_DATASET_H

#include <strata/data.h>

#include "base/random.h"
#include "storage/array.h"
#include "tensor/tensor.h"

/* One input, target or weight of every sample: row-major, axis 0 counts samples. */
typedef struct strata__column {
    char *name; /* of the model's input or output; NULL: by position */
    strata_dtype dtype;
    strata_shape sample; /* shape of one sample, without axis 0 */
    size_t sample_bytes;
    const char *data; /* of sample 0 of the dataset, or of the own ones; borrowed, or in `shared` of
                         the dataset that owns it */
} strata__column;

struct strata_dataset {
    strata_context *ctx;
    strata_dataset *next; /* in the context's list */
    int64_t size;
    int64_t *firsts; /* [ranks + 1]: samples firsts[r] … firsts[r + 1] − 1 lie on rank r; NULL: all
                        on every rank */
    int x_count, y_count, weight_count;
    strata__column x[STRATA_MAX_COLUMNS], y[STRATA_MAX_COLUMNS], weights[STRATA_MAX_COLUMNS];
    int shared_count;
    strata__shared *shared[3 * STRATA_MAX_COLUMNS]; /* memory that the node's ranks share */
    int array_count;
    strata__array *arrays[3 * STRATA_MAX_COLUMNS]; /* mapped files */
};

/* An empty dataset, in the context's list. */
strata_dataset *strata__dataset_new(strata_context *ctx);
/* Fills a column; checks that it has as many samples as the others. name may be NULL. */
strata_status strata__column_set(strata_dataset *dataset, strata__column *column, const char *name,
                                 strata_dtype dtype, const strata_shape *shape, const void *data);

/* Of the dataset's samples first … first + count − 1, those on this rank: the first, counted from
 * its own first one. Sets slice->firsts. Local. */
strata_status strata__local_slice(const strata_dataset *dataset, int64_t first, int64_t count,
                                  strata_dataset *slice, int64_t *own_first);

/* Frees all datasets of the context. Collective on the mesh. */
void strata__datasets_free(strata_context *ctx);

typedef enum strata__shuffle {
    STRATA__IN_ORDER,
    STRATA__SHUFFLE_SAMPLES,
    STRATA__SHUFFLE_BATCHES
} strata__shuffle;

/* As fit takes it: "False", "True", "batch". */
const char *strata__shuffle_name(strata__shuffle shuffle);

/*
 * Which sample stands at which place of an epoch depends on (seed, epoch, sample count) only: never
 * on the mesh. Batch b holds places b·batch_size … ; the last one may be smaller; each rank gets
 * its block of the batch.
 */
typedef struct strata__feed_options {
    int64_t batch_size; /* global */
    strata__shuffle shuffle;
    uint64_t seed;
    int64_t steps; /* batches an epoch; 0: all */
    bool prefetch; /* a thread (it makes no MPI call) gathers the next batch while this one is
                      worked on */
} strata__feed_options;

typedef struct strata__batch {
    int64_t step; /* number of the batch in its epoch */
    int64_t size; /* samples in the global batch */
    strata_tensor *x[STRATA_MAX_COLUMNS], *y[STRATA_MAX_COLUMNS], *weights[STRATA_MAX_COLUMNS];
} strata__batch;

typedef struct strata__feed strata__feed;

/* Local, but of a dataset whose samples lie on their ranks strata__feed_next() is collective on the
 * mesh. The dataset must outlive the feed. */
strata_status strata__feed_new(strata_dataset *dataset, const strata__feed_options *options,
                               strata__feed **feed);
void strata__feed_free(strata__feed *feed); /* NULL is fine */

/* Batches of one epoch. */
int64_t strata__feed_steps(const strata__feed *feed);

/* Starts an epoch, at a batch in its middle when a run goes on. Local. */
void strata__feed_start(strata__feed *feed, int64_t epoch, int64_t first_step);

/*
 * The next batch as tensors in the current scope (batch layout, dtype of the column); they are
 * valid until the next call. false: the epoch is over. Allocates nothing in the steady state.
 * Local, or collective as above.
 */
bool strata__feed_next(strata__feed *feed, strata__batch *batch);

#endif
