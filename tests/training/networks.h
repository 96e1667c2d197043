/* Models of several kinds with one batch of data, for tests of what a step exchanges. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_TRAINING_NETWORKS_H
#define STRATA_TESTS_TRAINING_NETWORKS_H

#include "runs.h"

enum { NETWORK_BATCH = 10 };

typedef struct network {
    const char *name;
    /* A compiled model, and data of NETWORK_BATCH samples for it. */
    strata_model *(*make)(strata_context *ctx, strata_dataset **data);
} network;

extern const network networks[];
extern const int network_count;

/* Two dense layers 7 → 20 → 6, the mean squared error, this optimizer. */
strata_model *dense_network(strata_context *ctx, const char *optimizer, strata_dataset **data);

/* Two attention layers with 3 and with 4 heads, these with 2 groups of keys. */
strata_model *attention_network(strata_context *ctx, strata_dataset **data);

/*
 * One machine in several guises, as STRATA_NODE_RANKS and STRATA_SHARED have it: calls `check` with
 * a session for every mesh of the ranks in each.
 */
typedef struct guise {
    const char *node_ranks; /* NULL: as many as there are */
    const char *shared;
} guise;
void for_each_guise(void (*check)(strata_context *ctx, const guise *guise));

#endif
