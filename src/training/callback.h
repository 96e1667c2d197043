/* Callbacks from the inside: what a built-in class is, what its instances share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_TRAINING_CALLBACK_H
#define STRATA_TRAINING_CALLBACK_H

#include <strata/training.h>

#include "base/fields.h"
#include "base/text.h"

extern const strata__family strata__callback_family;

/* What the state of every built-in callback begins with. */
typedef struct strata__builtin {
    strata__object object; /* class and configuration */
} strata__builtin;

/* Methods (strata__class.methods) of a callback class. */
typedef struct strata__callback_methods {
    size_t state_size;     /* of the state; it is zeroed */
    strata_callback hooks; /* all but name, state and destroy */
    bool comes_last;       /* is called after the callbacks that do not */
    /* Checks across arguments and makes what is left of the state; optional. Local. */
    strata_status (*make)(strata_callback *callback);
    /* Frees what the state owns beside the configuration; optional. */
    void (*free)(strata_callback *callback);
    /* Of a class that saves whole runs. `due` is asked after each step whether to save now: rank
     * 0's answer holds. Errors of `save_run` are equal on all ranks; while trainer->stopping it
     * must save or fail. Collective on the mesh; `due` and `place`, for messages, are local. */
    bool (*due)(strata_callback *callback);
    strata_status (*save_run)(strata_callback *callback, strata_model *model);
    const char *(*place)(const strata_callback *callback);
    /* For checkpoints, optional: what decides the future of the run (new reference), and back. */
    json_t *(*save)(strata_callback *callback);
    strata_status (*restore)(strata_callback *callback, strata_model *model, const json_t *state);
    /* Weights that it has set aside, which checkpoints hold too; optional. */
    struct strata__kept_weights *(*kept)(strata_callback *callback);
} strata__callback_methods;

extern const strata__class strata__checkpoint_callback, strata__csv_logger, strata__early_stopping,
    strata__model_checkpoint, strata__terminate_on_nan;

/* The methods of a built-in callback; NULL: the caller's own. */
const strata__callback_methods *strata__callback_methods_of(const strata_callback *callback);

static inline const void *strata__callback_config(const strata_callback *callback)
{
    return ((const strata__builtin *)callback->state)->object.config;
}

/* A line on standard output of rank 0, as Keras prints with verbose=1. */
void strata__callback_say(strata_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A real as Python prints it: the shortest text that reads back equal, nan, inf. */
void strata__text_real(strata__text *text, double value);

/*
 * save_freq as JSON text: "epoch", a number of batches, or, if `seconds` is not NULL, a time with
 * its unit ("600s", "0:10:00"). Both 0: at the end of epochs. `owner` stands in messages. Local.
 */
strata_status strata__save_freq_read(strata_context *ctx, const char *owner, const char *text,
                                     int64_t *batches, double *seconds);

/* Counts batches for a save_freq; starts as zero, and again with every run. */
typedef struct strata__batch_counter {
    int64_t since; /* batches since it last said true */
} strata__batch_counter;
bool strata__batch_counter_due(strata__batch_counter *counter, int64_t batches);

/* Destroys all callbacks of the context. */
void strata__callbacks_free(strata_context *ctx);

#endif
