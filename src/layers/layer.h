/* Layers from the inside: instances, their variables, calls and the graph that symbolic calls form.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_LAYER_H
#define STRATA_LAYERS_LAYER_H

#include <strata/layer.h>

#include "base/fields.h"
#include "ops/ops.h"
#include "state/initializer.h"
#include "state/variable.h"

/* The row of activity_regularizer, for classes whose files have it only when it is set. */
#define STRATA_LAYER_ACTIVITY_FIELD(config)                                                        \
    STRATA_FIELD(config, activity_regularizer, .family = &strata__regularizer_family,              \
                 .omit_default = true, .help = "of the output")

/* The row of an activation function: the layer's `activation`. */
#define STRATA_LAYER_ACTIVATION_FIELD(config)                                                      \
    STRATA_FIELD(config, activation, .family = &strata__activation_family, .help = "of the result")

/* Inputs or outputs of a call at most: arrays of them lie on the stack. */
enum { STRATA__MOST_TENSORS = 4096 };

/* A growing list of pointers. */
typedef struct strata__list {
    int count, room;
    void **items;
} strata__list;
bool strata__list_add(strata_context *ctx, strata__list *list, void *item);
void strata__list_free(strata_context *ctx, strata__list *list);

/* One symbolic call: a node of the graph. Owned by the layer; its tensors are kept for it. */
typedef struct strata__graph_call {
    strata_layer *layer;
    int index;       /* how many calls of the layer came before */
    int training;    /* the explicit argument: 1, 0 or −1 */
    void *arguments; /* of the class's arguments_size; NULL: the defaults */
    int positional;  /* the first of the inputs; those of the arguments come after them */
    int unnamed;     /* the first of these: a file gives the others by their names */
    int input_count, output_count;
    strata_tensor **inputs, **outputs;
    /* While a model is put together: */
    int visit, depth, turn, first_slot;
} strata__graph_call;
void strata__graph_call_free(strata_context *ctx,
                             strata__graph_call *call); /* half made ones too */

typedef struct strata__sublayer {
    char *attribute;
    strata_layer *layer;
} strata__sublayer;

/* A Mean found again by name: Σ value and count over this rank's samples, totalled over the mesh
 * when read. */
typedef struct strata__layer_metric {
    char *name;
    double total, count;
} strata__layer_metric;

/* How often a layer has drawn random numbers within a training step: what tells its draws apart. */
typedef struct strata__draws {
    uint64_t step, count;
} strata__draws;

struct strata_layer {
    strata_context *ctx;
    strata_layer *next; /* in the context's list */
    const strata_layer_class *class;
    strata__class described; /* the class as the field tables see it */
    void *config;
    char *name;
    char *path; /* prefix of variable paths */
    void *state;
    bool built, building, trainable;
    strata__precision precision; /* of its dtype */
    strata__draws draws;
    bool mask_warned;
    int output_count;
    int visit, depth; /* while a model is put together */
    int build_count;
    strata_shape *build_shapes;
    strata__list trainable_store,
        non_trainable_store;                         /* strata_variable, by add_weight's argument */
    strata__list sublayers;                          /* strata__sublayer */
    strata__list losses;                             /* strata_tensor of the last pass; kept */
    strata__list metrics;                            /* strata__layer_metric */
    strata__list calls;                              /* strata__graph_call */
    strata__object activation, activity_regularizer; /* where the class has such a row */
    int spec_count;
    strata_input_spec specs[STRATA_MAX_RANK];
    /* Built-in classes with a JSON form that is not their field table's: the model room's,
     * InputLayer, Lambda. */
    json_t *(*to_json)(strata_layer *layer);
};

/*
 * The random stream of the layer's next draw. Draws are numbered by (training step, draw within the
 * step), so that they depend neither on the mesh nor on how often predict was called in between; a
 * shared layer draws anew at each call. Local, the same on all ranks.
 */
uint64_t strata__layer_draw(strata_layer *layer);

/* The error of adding a weight or sublayer of that name to a layer that is built. */
strata_status strata__layer_refuse_state(const strata_layer *layer, const char *name);

/* add_weight with what built-in layers need besides: where the elements lie, and which last axes
 * are the columns of a product (strata__variable_spec). */
strata_variable *strata__add_weight(strata_layer *layer, const strata_weight *weight,
                                    strata__placement placement, int columns);

/* What Keras makes names of: that of the Python class. */
static inline const char *strata__python_name(const strata_layer *layer)
{
    const strata_layer_class *class = layer->class;
    return class->python_name ? class->python_name : class->name;
}

/* The class of a Keras name or alias, or a registered "package>name"; NULL without an error. */
const strata_layer_class *strata__layer_class_find(strata_context *ctx, const char *name);
/* X-list of src/layers/layers.def as a table. */
extern const strata_layer_class *const strata__layer_classes[];
extern const int strata__layer_class_count;

/* From {"class_name", "config", …}; config keys are checked. build_config is not used: shapes come
 * from the graph. */
strata_layer *strata__layer_from_json(strata_context *ctx, const json_t *object);
json_t *strata__layer_config_json(strata_layer *layer); /* get_config; new reference */
json_t *
strata__layer_serialize(strata_layer *layer); /* with module and class_name; new reference */

/* --- arguments of calls (arguments.c) --- */

/* The class as the field tables see its arguments. */
strata__class strata__arguments_class(const strata_layer_class *class);
/* Their tensors that are given, in table order; as many are stored and counted. tensors NULL:
 * counted only. arguments NULL: none. */
int strata__argument_tensors(const strata_layer_class *class, const void *arguments,
                             strata_tensor **tensors);
/* Puts others in the place of the tensors that are given. */
void strata__argument_replace(const strata_layer_class *class, void *arguments,
                              strata_tensor *const *tensors);
/* How many outputs a call has. */
int strata__call_outputs(const strata_layer *layer, const void *arguments);

/* Makes the call of a graph anew with other tensors: one for each of its inputs. Collective. */
strata_status strata__graph_call_run(const strata__graph_call *call, strata_tensor *const *inputs,
                                     strata_tensor **outputs);

/* In a Lambda's configuration out of a file: "function_name" for the object of a named function,
 * nothing for code. */
void strata__lambda_name_function(json_t *config);
/* [null, 28, 28]. New reference. */
json_t *strata__shape_json(const strata_shape *shape);

/* Frees the names of registered functions. Local. */
void strata__functions_free(strata_context *ctx);

/* Frees all layers of the context, their graphs and variables. Collective on the mesh. */
void strata__layers_free(strata_context *ctx);

/* Calls visit(user, layer, attribute path) for the layer and everything under it, depth first in
 * the order of `weights`. */
typedef void strata__visit(void *user, strata_layer *layer);
void strata__layer_walk(strata_layer *layer, strata__visit *visit, void *user);

/* Adds the losses of activity_regularizer on such outputs, if the layer has one. */
strata_status strata__regularize_activity(strata_layer *layer, int count, strata_tensor **outputs);

/* The two halves of strata_layer_losses(): those added in the last outermost call, those of
 * regularized trainable weights. */
/* Forgets the losses of the last pass, of this layer alone. */
void strata__layer_clear_losses(strata_layer *layer);
int strata__layer_added_losses(strata_layer *layer, strata_tensor **losses, int size);
int strata__layer_regularization(strata_layer *layer, strata_tensor **losses, int size);

/* The symbolic tensor of an InputLayer. */
strata_tensor *strata__input_tensor(strata_layer *layer);

/* Common members of a configuration; NULL where the class has no such row. */
void *strata__config_member(const strata_layer *layer, const char *field);

#endif
