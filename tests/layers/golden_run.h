/* A case of a layer's golden data: its inputs and the calls made with them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TESTS_LAYERS_GOLDEN_RUN_H
#define STRATA_TESTS_LAYERS_GOLDEN_RUN_H

#include "layers/layer.h"
#include "sessions.h"

enum { MOST = 16, PATH = 160 };

/* Options of a call that come in an argument struct besides its inputs. */
typedef struct options {
    strata__class described;
    void *arguments; /* NULL: the class has none */
} options;

/* One case on one mesh. */
typedef struct run {
    strata_context *ctx;
    const golden *group;
    const char *name; /* "Dense 0003_linear" for messages */
    const char *class;
    json_t *structure;
    strata_layer *layer;
    options options;
    int count; /* inputs */
    char inputs[MOST][PATH / 4];
    strata_tensor *tensors[MOST];   /* as made */
    strata_tensor *arguments[MOST]; /* as passed: split over the columns, or the same */
    int output_count;
    char outputs[MOST][PATH / 4];
    strata_tensor *results[MOST];
    bool split;
} run;

/* The names in a tree of the structure: one or a list. Returns how many. */
int run_names(const json_t *tree, char (*names)[PATH / 4]);
/* "folder/name"; writes into `path` (PATH) and returns it. */
const char *run_path(char *path, const char *folder, const char *name);

/* Inputs, whose gradients are wanted, as batches; split over the columns if the run is. */
void run_make_inputs(run *r);
/* Calls the layer with them as often as the case says. Collective. */
strata_status run_call(run *r);
/* Calls it with symbolic inputs of these shapes, which builds it. Collective. */
strata_status run_symbolic_call(run *r, strata_tensor **outputs);

#endif
