/* Models from the inside: the graph as a list of steps, and what other rooms hang on a model. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_MODEL_MODEL_H
#define STRATA_MODEL_MODEL_H

#include <strata/model.h>

#include "layers/layer.h"

/* Most tensors that one call takes, or a model has as inputs or outputs, in a file. */
#define STRATA__MOST_INPUTS 64

/* One call of the graph; its tensors' values live in numbered slots while the model runs. */
typedef struct strata__graph_step {
    strata__graph_call *call;
    int *input_slots;  /* [call->input_count] */
    int *output_slots; /* [call->output_count] */
} strata__graph_step;

struct strata_model {
    strata_context *ctx;
    strata_model *next; /* in the context's list */
    strata_layer *layer;
    bool sequential;
    bool ready;          /* the graph below stands */
    strata__list layers; /* Keras's model.layers; of a Sequential without the InputLayer */
    strata_layer *entry; /* Sequential: its InputLayer, given or made */
    strata_tensor *top;  /* Sequential: output of the last layer so far, or NULL */
    int input_count, output_count;
    strata_tensor **inputs, **outputs; /* symbolic; kept */
    char **input_keys, **output_keys;  /* of dictionaries in a file; NULL: lists */
    int step_count, slot_count;
    strata__graph_step *steps; /* in an order in which they can run */
    int *input_slots, *output_slots;
    struct strata__trainer *trainer; /* when compiled; training/trainer.h */
};

/* What saving and loading need of the training room; ctx->compiler. */
typedef struct strata__compiler {
    /* compile_config, or NULL when not compiled. New reference. */
    json_t *(*to_json)(strata_model *model);
    strata_status (*from_json)(strata_model *model, const json_t *config);
    /* Makes the optimizer's variables, which loading needs before it can write them. Collective. */
    strata_status (*build)(strata_model *model);
    /* Optimizer variables in Keras's file order; none before the build. shape rank 0: scalar. */
    int (*variable_count)(strata_model *model);
    strata_status (*variable_describe)(strata_model *model, int index, const char **path,
                                       strata_dtype *dtype, strata_shape *shape);
    /* Whole values on every rank, row-major. Collective. */
    strata_status (*variable_read)(strata_model *model, int index, void *data);
    strata_status (*variable_write)(strata_model *model, int index, const void *data);
    void (*free)(strata_model *model);
} strata__compiler;

extern const strata_layer_class strata_functional_class;
extern const strata_layer_class strata_sequential_class;

/* graph.c: fills steps, slots and layers from inputs and outputs. */
strata_status strata__graph_make(strata_model *model);
void strata__graph_free(strata_model *model);

/* Whether a call of a layer belongs to the model, and how many earlier calls of that layer do:
 * calls outside do not count. */
bool strata__is_step(const strata_model *model, const strata__graph_call *call);
int strata__node_index(const strata_model *model, const strata__graph_call *call);

/* Makes sure the graph stands (a Sequential needs an InputLayer or a build). */
strata_status strata__model_ready(strata_model *model);
/* The model behind a layer of class Functional or Sequential, else NULL. */
strata_model *strata__model_of(const strata_layer *layer);
/* An empty model whose layer has that class. */
strata_model *strata__model_new(strata_context *ctx, const strata_layer_class *class,
                                const char *name);

/* config.c: {"module", "class_name", "config", …} without compile_config. New reference. */
json_t *strata__model_serialize(strata_model *model);
strata_model *strata__model_from_json(strata_context *ctx, const json_t *object);

/* Frees all models. Collective on the mesh. */
void strata__models_free(strata_context *ctx);

#endif
