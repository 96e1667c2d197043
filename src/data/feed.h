/* A feed from the inside, and its prefetch thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_DATA_FEED_H
#define STRATA_DATA_FEED_H

#include "data/dataset.h"

struct strata__feed {
    strata_context *ctx;
    strata_dataset *dataset;
    strata__feed_options options;
    strata__key key; /* of this epoch's order */
    int parts, part; /* ranks among which a batch is split; this one */
    int64_t steps, next;
    int column_count;
    const strata__column *columns[3 * STRATA_MAX_COLUMNS]; /* x, y, weights */
    bool gathers;
    char *buffers[2][3 * STRATA_MAX_COLUMNS]; /* own samples of an even and of an odd step */
    struct strata__prefetch *worker;          /* NULL: gathered when asked for */
    struct strata__travel *travel;            /* NULL: every rank has all samples */
};

/* Sample at a place of the epoch. */
int64_t strata__feed_sample_at(const strata__feed *feed, int64_t place);

/* Samples in the batch of a step, of all ranks. */
int64_t strata__feed_batch_size(const strata__feed *feed, int64_t step);

/* Samples that lie on their ranks: what it takes to bring those of a batch to the ranks that work
 * on them, batch by batch; sets feed->travel. Local. */
strata_status strata__travel_new(strata__feed *feed);
void strata__travel_free(strata__feed *feed);
/* This rank's samples of a step into a set of buffers. Collective on the mesh. */
void strata__travel_gather(strata__feed *feed, int64_t step, int set);

/* Copies this rank's samples of a step into a set of buffers. Any thread. */
void strata__feed_gather(const strata__feed *feed, int64_t step, int set);

/* A thread that gathers one step at a time; sets feed->worker. false where none can be made. */
bool strata__prefetch_start(strata__feed *feed);
void strata__prefetch_stop(strata__feed *feed);
void strata__prefetch_request(strata__feed *feed, int64_t step, int set);
/* Until the request is done; returns at once without one. */
void strata__prefetch_wait(strata__feed *feed);

#endif
