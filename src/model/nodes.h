/* Inbound nodes: the calls of a graph, as Keras's JSON lists them layer by layer. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MODEL_NODES_H
#define STRATA_MODEL_NODES_H

#include "model/model.h"

/* The calls of a layer in the model. New reference. */
json_t *strata__nodes_json(const strata_model *model, const strata_layer *layer);

/* The name by which a call takes an input; length 0: none, it stands in `args`. */
typedef struct strata__keyword {
    const char *name; /* not terminated */
    size_t length;
} strata__keyword;
strata__keyword strata__keyword_of(const strata__graph_call *call, int input);

/* As Keras sorts them: < 0, 0, > 0. Those without a name come first. */
int strata__keyword_compare(strata__keyword a, strata__keyword b);

/* A layer of a file, while the graph is put together. */
typedef struct strata__stored_layer {
    const char *name;
    strata_layer *layer; /* NULL: an operation that computes masks; ours are derived anew */
    const json_t *nodes;
    size_t next_node;
} strata__stored_layer;

typedef struct strata__stored_graph {
    strata_context *ctx;
    const char *model; /* name, for messages */
    int count;
    strata__stored_layer *layers;
} strata__stored_graph;

/* STRATA_BAD_DATA: what is wrong, in which layer. */
strata_status strata__stored_damaged(const strata__stored_graph *graph, const char *what,
                                     const char *where);

/* The layer of that name; NULL without an error. */
strata__stored_layer *strata__stored_find(const strata__stored_graph *graph, const char *name);

typedef enum strata__found { STRATA__FOUND, STRATA__WAIT, STRATA__BROKEN } strata__found;

/* The tensor of a keras_history [layer, node, tensor]; WAIT while that call has not been made. */
strata__found strata__stored_tensor(const strata__stored_graph *graph, const json_t *history,
                                    strata_tensor **tensor);

/* Makes every call whose inputs exist, until all are made or none can be. Collective. */
strata_status strata__stored_calls(strata__stored_graph *graph);

#endif
