/* The context: everything that belongs to one use of the library. There is no global state. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_BASE_CONTEXT_H
#define STRATA_BASE_CONTEXT_H

#include <stdarg.h>
#include <stdio.h>

#include <strata/types.h>

#include "base/activity.h"

/* Owned by the rooms below, in the order in which they are taken down: last first. */
struct strata__mesh;     /* mesh/mesh.h */
struct strata__watchdog; /* mesh/watchdog.h */
struct strata__signals;  /* training/signals.h */
struct strata__deadline; /* training/deadline.h */
struct strata__tape;     /* tensor/tape.h */
struct strata__scope;    /* tensor/tensor.h */
struct strata__onednn;   /* ops/onednn.h */
struct strata__name_count;

#define STRATA__MESSAGE_SIZE 1024
#define STRATA__SIZE_CLASSES 256

/* Counted memory: a free list for each size class, so that a steady step asks the system for
 * nothing. */
typedef struct strata__memory {
    struct strata__block *free[STRATA__SIZE_CLASSES];
    int64_t live_blocks;        /* handed out and not yet freed */
    int64_t live_bytes;         /* their sizes */
    int64_t peak_bytes;         /* highest live_bytes */
    int64_t system_bytes;       /* taken from the system, free lists included */
    int64_t system_allocations; /* how often the system was asked */
} strata__memory;

/* What multiplies local matrices (STRATA_GEMM): the fastest for the shape, own kernels among them,
 * or always the same library. */
typedef enum strata__gemm_library {
    STRATA__GEMM_AUTO,
    STRATA__GEMM_ONEDNN,
    STRATA__GEMM_OPENBLAS
} strata__gemm_library;

/* Of the operands of matrix products: Keras's dtype policies "float32" and "mixed_bfloat16". */
typedef enum strata__precision { STRATA__FLOAT32, STRATA__MIXED_BFLOAT16 } strata__precision;

/* What multiplies matrices that are cut over the mesh (STRATA_MATMUL); see ops/matmul.h. */
typedef enum strata__matmul_engine {
    STRATA__MATMUL_AUTO,
    STRATA__MATMUL_SUMMA,
    STRATA__MATMUL_PBLAS,
    STRATA__MATMUL_ENGINES
} strata__matmul_engine;

/* What attention over split features gathers from the other columns; see ops/attention.h. */
typedef enum strata__attention_gathers {
    STRATA__GATHERS_NOTHING, /* pieces are whole heads with their groups */
    STRATA__GATHERS_KEYS,    /* k and v: columns share groups */
    STRATA__GATHERS_ALL,     /* and q: each column computes all heads */
    STRATA__ATTENTION_GATHERS
} strata__attention_gathers;

/* --profile, see training/profile.h. */
typedef enum strata__profiling {
    STRATA__NO_PROFILE,
    STRATA__PROFILE_TABLE,
    STRATA__PROFILE_TRACE /* and a table */
} strata__profiling;

/* What a context is asked for, as numbers and the same on all ranks; see training/options.h. */
typedef struct strata__settings {
    uint64_t seed; /* of weights, sample order and dropout masks */
    strata__gemm_library gemm;
    strata__matmul_engine matmul;
    strata__precision policy; /* of layers that name none */
    bool check_numerics;      /* see tensor/numerics.h */
    int64_t check_replicas;   /* compare them every so many training steps; 0: never */
    int64_t watchdog;         /* seconds; 0: none */
    int64_t node_memory;      /* bytes that the ranks of a node may hold; 0: what it has */
    bool plans;               /* every fit begins with a plan */
    strata__profiling profiling;
} strata__settings;

/* Looks for numbers that are not finite; see tensor/numerics.h. */
typedef struct strata__numerics {
    int64_t looks; /* in this step */
    int64_t found; /* number of the look that found something; 0: none has */
} strata__numerics;

struct strata_context {
    strata_status status;               /* the first error is kept */
    char message[STRATA__MESSAGE_SIZE]; /* one line: object, value, remedy */
    strata_status deferred_status; /* an error of this rank alone, raised by the next agreement */
    char deferred_message[STRATA__MESSAGE_SIZE];
    int error_rank; /* rank that saw it; -1: not known to be one rank's own */
    bool agreed;    /* all ranks have the error: there is nothing left to agree on */
    void (*no_way_back)(
        strata_context *); /* NULL, or what ends the job when memory is short; mesh/mesh.h */
    strata__memory memory;
    strata__settings settings;
    struct strata__name_count *names; /* automatic names: prefix -> next number */
    char *profile_file;               /* of the trace, on rank 0; owned by the session */
    int verbosity;                    /* 0 errors, 1 warnings, 2 information */
    int rank;      /* in the mesh, 0 before there is one; rank 0 writes the log */
    uint64_t step; /* training steps done; part of every random key of a step */
    int64_t products[STRATA__MATMUL_ENGINES];      /* over the mesh that each engine has formed */
    int64_t attentions[STRATA__ATTENTION_GATHERS]; /* over split features that have gathered this */
    strata__precision precision; /* of the layer call, or node of the tape, at work */
    int nesting;                 /* depth of layer calls; 0: outside */
    bool training;               /* value of `training` of the enclosing call */
    strata__activity activity;   /* what it is doing */
    strata__numerics numerics;
    struct strata__mesh *mesh;
    struct strata__watchdog *watchdog;       /* NULL: none */
    struct strata__signals *signals;         /* NULL: none are taken */
    struct strata__deadline *deadline;       /* NULL: none */
    struct strata__tape *tape;               /* the recording tape, or NULL */
    struct strata__scope *scope;             /* owner of tensors made now */
    strata_variable *variables;              /* all of them, newest first; state/variable.h */
    strata_layer *layers;                    /* all of them, newest first; layers/layer.h */
    strata_model *models;                    /* model/model.h */
    const struct strata__compiler *compiler; /* what saving needs of training; model/model.h */
    strata_dataset *datasets;                /* data/dataset.h */
    strata_callback *callbacks;              /* training */
    bool owns_mpi;                           /* strata_init called MPI_Init */
    struct strata__function *functions;      /* registered for Lambda; layers/core/lambda.c */
    struct strata__list *custom_classes;     /* registered layer classes; layers/layer.h */
    struct strata__onednn *onednn;           /* engine and cached primitives; ops/onednn.h */
    void (*onednn_free)(
        strata_context *); /* of the above; set with it, called by strata__context_free */
};

/*
 * Errors. The first one is kept and later ones are ignored until strata_error_clear(). A message is
 * one line that names the object, the value and the remedy, without a trailing newline.
 */
strata_status strata__fail(strata_context *ctx, strata_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * An error that one rank alone sees while others go on into collectives, such as an index out of
 * range: it is kept aside, the caller goes on with a harmless value, and strata__agree() at the end
 * of the step raises it on all ranks.
 */
void strata__defer(strata_context *ctx, strata_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes a deferred error the context's error. */
void strata__raise_deferred(strata_context *ctx);

/* Passes a status up. */
#define STRATA_TRY(call)                                                                           \
    do {                                                                                           \
        strata_status status_ = (call);                                                            \
        if (status_ != STRATA_OK)                                                                  \
            return status_;                                                                        \
    } while (0)

/* One line on stderr, on rank 0 only. */
void strata__warn(strata_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void strata__inform(strata_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* By the name of Keras's policy; false: unknown. Local. */
bool strata__precision_find(const char *name, strata__precision *precision);
const char *strata__precision_name(strata__precision precision);

/* A context without mesh: for the base room and its tests. NULL when memory is short. */
strata_context *strata__context_new(void);

/* Frees the pool and the context; returns the number of blocks that were still handed out. */
int64_t strata__context_free(strata_context *ctx);

/* "dense", "dense_1", …: the next automatic name for a prefix. Owned by the caller. */
char *strata__unique_name(strata_context *ctx, const char *prefix);
void strata__names_reset(strata_context *ctx);

/* snake_case of a class name by Keras's rule: Conv2D -> conv2d, ReLU -> re_lu. Owned by the caller.
 */
char *strata__snake_case(strata_context *ctx, const char *class_name);

/* The same into `text` of `size` bytes, cut where it does not fit; 2 · strlen + 2 always fit.
 * Returns its length. */
size_t strata__snake_case_into(const char *class_name, char *text, size_t size);

#endif
