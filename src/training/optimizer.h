/* Optimizers: from summed gradients to new values, slice by slice of the arenas. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_OPTIMIZER_H
#define STRATA_TRAINING_OPTIMIZER_H

#include "state/variable.h"
#include "training/optimizer_class.h"
#include "training/schedule.h"

extern const strata__family strata__optimizer_family;

/* One kind of slot: a number for each element of every variable, kept only for this rank's slices.
 */
typedef struct strata__slot_kind {
    const char *name; /* "momentum"; slot names end with it */
    int group;        /* kinds of one group take turns, variable by variable, in files */
    float *data[2];   /* by arena of the pack: (arena->slot_count) */
} strata__slot_kind;

/* Where a variable lies in its arena, in ascending order: what a slice is made of. */
typedef struct strata__segment {
    int64_t first, count; /* elements of the arena */
    int variable;         /* index in the pack */
} strata__segment;

typedef struct strata__optimizer {
    strata_context *ctx;
    strata__object object; /* config: strata__optimizer_config */
    const strata__optimizer_config *config;
    strata__schedule *schedule; /* NULL: learning_rate holds */
    float learning_rate;
    int64_t iteration; /* steps done, accumulating ones included */

    strata__pack *pack;           /* NULL before strata__optimizer_build() */
    strata__segment *segments[2]; /* by arena */
    int segment_count[2];
    int kind_count;
    strata__slot_kind kinds[STRATA__MAX_SLOTS + 2]; /* average, gradient_accumulator, then the
                                                       class's, as far as used */
    int average, accumulator;                       /* index of the kind; -1: not used */
    int slots[STRATA__MAX_SLOTS]; /* kind of each slot of the class; -1: not used */
    int variable_count;           /* of the optimizer's own variables */
    struct strata__optimizer_entry *entries;

    bool *decays;     /* [pack->count]: weight decay applies */
    char **undecayed; /* paths and patterns from strata__optimizer_exclude() */
    int undecayed_count;
    double *squares;   /* [pack->count]: Σ g² of each variable, for clipping by norm */
    float *clips;      /* [pack->count]: factor that clipping by norm asks for; NULL without */
    strata__step step; /* numbers of the step under way */
} strata__optimizer;

/* From Keras notation or JSON: "adam", "SGD(learning_rate=ExponentialDecay(0.1, 1000, 0.9),
 * momentum=0.9)". Keras optimizers that are not here are STRATA_UNSUPPORTED; the message lists
 * those that are. Local. */
strata_status strata__optimizer_new(strata_context *ctx, const char *text,
                                    strata__optimizer **optimizer);

/* Values go back to the variables' own memory: free it before the variables. NULL is fine.
 * Collective on the mesh once built. */
void strata__optimizer_free(strata__optimizer *optimizer);

/* The serialized object, learning rate as the float32 it is. New reference. */
json_t *strata__optimizer_to_json(const strata__optimizer *optimizer);

/* No weight decay for variables with this path, or in whose path the (extended) regular expression
 * is found. Before the build. Local. */
strata_status strata__optimizer_exclude(strata__optimizer *optimizer, const char *pattern);

/* Numbers that it keeps for each element of a variable, besides value and gradient. Local. */
int strata__optimizer_slot_count(const strata__optimizer *optimizer);

/* Packs the variables (trainable, float32, in the model's order) and makes the slots. Once.
 * Collective on the mesh. */
strata_status strata__optimizer_build(strata__optimizer *optimizer, int count,
                                      strata_variable *const *variables);

/*
 * A step:  begin → strata__tape_begin(ctx, strata__optimizer_complete, optimizer) → forward →
 * backward → apply. Without clipping by norm, slices are updated during the backward pass, as soon
 * as their gradients are complete everywhere. A variable that the backward pass did not reach keeps
 * its value and slots. After apply every rank sees the new values.
 */
void strata__optimizer_begin(strata__optimizer *optimizer);
void strata__optimizer_complete(void *optimizer, strata_variable *variable);
/* STRATA_INVALID when no variable got a gradient. Collective on the mesh. */
strata_status strata__optimizer_apply(strata__optimizer *optimizer);

/* Exchanges what apply would, but for the arenas, on a step that updates; changes nothing.
 * Collective on the mesh. */
strata_status strata__optimizer_rehearse(strata__optimizer *optimizer);

/* The loss is to be multiplied by this before the backward pass: loss_scale_factor, or 1. */
double strata__optimizer_loss_scale(const strata__optimizer *optimizer);

/* End of fit: with use_ema the averages become the values. Collective on the mesh. */
strata_status strata__optimizer_finalize(strata__optimizer *optimizer);

/* The rate of the next step. Setting it is refused with a schedule. */
double strata__optimizer_learning_rate(const strata__optimizer *optimizer);
strata_status strata__optimizer_set_learning_rate(strata__optimizer *optimizer, double rate);

/*
 * The optimizer's own variables, in Keras's file order: iteration, learning_rate (not with a
 * schedule), averages, gradient accumulators, slots. index in 0 …
 * strata__optimizer_variable_count() − 1, after the build.
 */
typedef struct strata__optimizer_variable {
    const char *path;   /* "adam/dense_kernel_momentum"; owned by the optimizer */
    const char *name;   /* "iteration", "learning_rate", "dense_kernel_momentum" */
    strata_dtype dtype; /* int32 for iteration, else float32 */
    strata_shape shape;
    bool slot; /* strata__optimizer_runs() has its elements; false: a number that all ranks know */
} strata__optimizer_variable;

int strata__optimizer_variable_count(const strata__optimizer *optimizer);
strata__optimizer_variable strata__optimizer_variable_at(const strata__optimizer *optimizer,
                                                         int index);

/* The whole value, row-major, on every rank. Collective on the mesh. */
strata_status strata__optimizer_read(strata__optimizer *optimizer, int index, void *data);
/* From the whole value, equal on every rank. Local. */
strata_status strata__optimizer_write(strata__optimizer *optimizer, int index, const void *data);

/*
 * The elements of a slot that this rank keeps: calls each(user, global first element, pointer to
 * them, length) for runs of consecutive ones. With `unique` only one rank of the mesh gets each
 * element (for writing files), else all that keep it (for reading). Local.
 */
typedef void strata__slot_run(void *user, int64_t global, float *elements, int64_t length);
void strata__optimizer_runs(const strata__optimizer *optimizer, int index, bool unique,
                            strata__slot_run *each, void *user);

#endif
