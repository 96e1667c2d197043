/* The context: options, start and end of the library's use, errors. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_CONTEXT_H
#define STRATA_CONTEXT_H

#include <mpi.h>

#include <strata/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A watchdog of no seconds: none. */
#define STRATA_WATCHDOG_OFF (-1)

/** Options of a context. Zero or NULL: the environment variable, else the default. */
typedef struct strata_options {
    const char *mesh; /**< "data=2,rows=2,cols=2"; STRATA_MESH; default: all ranks to data */
    int64_t seed;     /**< of weights, sample order and dropout; STRATA_SEED; default 1 */
    int verbosity; /**< 1 errors, 2 and warnings (default), 3 and information; STRATA_VERBOSITY */
    const char *dtype_policy; /**< of layers that name none, see strata_set_dtype_policy();
                                 STRATA_DTYPE_POLICY */
    int64_t watchdog;    /**< seconds, see below; STRATA_WATCHDOG_OFF; STRATA_WATCHDOG; default 600,
                            off where the caller started MPI */
    const char *signals; /**< "USR1,TERM": a run is saved and stopped when they come, see below;
                            "none"; STRATA_SIGNALS; default none */
    const char *max_time;   /**< time the job has, as "3600", "90m", "1:30:00", see below; "none";
                               STRATA_MAX_TIME; default: Slurm's */
    bool check_numerics;    /**< the first number that is not finite ends the work, see below;
                               STRATA_CHECK_NUMERICS=1 */
    int64_t check_replicas; /**< every so many training steps the copies of each weight are
                               compared, see below; STRATA_CHECK_REPLICAS; default: never */
    const char *profile; /**< "1": every fit ends with a table of its time, see below; a file: and
                            with a trace in it; STRATA_PROFILE */
    bool plan; /**< every fit first prints what a step will cost, see strata/plan.h; STRATA_PLAN */
    int *argc; /**< when set: the library's options are taken out of the program's arguments */
    char ***argv;
} strata_options;

/*
 * The profile. With --profile each fit ends with tables on rank 0's standard output: the time of
 * each layer in each phase of a step and how much of it went into exchange with other ranks; of
 * each collective how often and how long ranks were in it, how long they waited there until the
 * last one came, and which rank they waited for most. With --profile=FILE the last 65,536 spans of
 * every rank, phases, layers and collectives, are also written to FILE when a fit ends, in the
 * format of Chrome's traces, which Perfetto (ui.perfetto.dev) opens: a process is a rank. Clocks of
 * other machines are brought to that of rank 0. Without the option nothing is timed.
 */

/*
 * A mesh on which the ranks of a node cannot hold the weights, gradients and optimizer slots of a
 * model is refused before training. A node holds its memory and swap, or so many bytes as the
 * environment variable STRATA_NODE_MEMORY of rank 0 says.
 */

/*
 * Memory that is short on one rank is an error on all: functions return STRATA_NO_MEMORY, and
 * strata_finish() prints one message and returns 71. Within a training step, or any other scope,
 * ranks cannot wait for each other's errors: there the rank prints the message and ends the job
 * with exit code 71.
 */

/**
 * Options from a program's arguments: --mesh=…, --seed=…, --dtype-policy=…, --verbosity=…,
 * --watchdog=…, --signals=…, --max-time=…,
 * --check-replicas=… (also as two words), --check-numerics, --plan, --profile and
 * --profile=… are taken out; the rest is left in place. The text stays owned by argv. Errors
 * show up in strata_init(). Local.
 */
STRATA_EXPORT strata_options strata_options_from(int *argc, char ***argv);

/*
 * The watchdog. In every process a thread that makes no MPI call sees whether its rank begins or
 * ends anything: a batch, a layer, a collective, a checkpoint. When no rank of the job has done so
 * for half of the time, one of them prints a table as a warning: of each rank the step, phase,
 * layer and collective, for how long, and who is waited for. After all of it the table is printed
 * again and the process ends with the exit code of STRATA_STALLED; the launcher ends the others
 * (srun: with -K1), and who is left ends by itself some seconds later.
 *   - One rank that goes on is enough. A job whose ranks are all outside of the library stands
 *     still as long as it likes.
 *   - One operation of one layer counts as one, however long it takes: the time must be longer than
 *     the longest.
 *   - Time in which the watchdog itself was stopped, as by a suspended job, does not count, nor
 *     while a debugger holds a rank.
 *   - Nodes tell each other by UDP, IPv4, on any free port. Where a firewall keeps it back, other
 *     nodes' ranks are "never heard" in the table, and only those of the own node can show
 *     progress.
 *   - When a network fails, the processes end, but mpirun waits for its daemons as long as TCP
 *     tries to reach them: a quarter of an hour where net.ipv4.tcp_retries2 is 15.
 */

/*
 * Ranks that do not do the same. With `check_replicas` a 64-bit digest of all weights that several
 * ranks hold alike goes along with the agreement that ends a training step. If copies differ, the
 * step ends with STRATA_DIVERGED, and the error names the first variable, the ranks and the step.
 * Weights that ranks of a node share in memory are one copy.
 *
 * With STRATA_CHECK=1 in the environment of rank 0 all collectives are compared before they begin:
 * what is called, on which variable, shape, dtype, layer, and how many have gone before in the
 * group. Where ranks call something else, or do not come within STRATA_CHECK_SECONDS (60), the job
 * ends with the exit code of STRATA_DIVERGED and one line that says what each rank calls. It costs
 * a message to and from each rank a collective, nothing when it is off.
 */

/*
 * Stopping in time. A fit with a Checkpoint callback is saved after the step that is under way, and
 * ends with STRATA_RESTART, when
 *   - one of `signals` has come to any rank. USR1 is taken from strata_init() to strata_finish(),
 *     and one that comes before fit waits for it; TERM while such a fit runs, and at other times
 *     ends the process as ever. Other handlers of these signals come back afterwards. One context
 *     of a process may ask for signals.
 *   - so little is left of `max_time`, counted from strata_init(), or to the end of the Slurm job
 *     (SLURM_JOB_END_TIME), that it is needed: 5 seconds, and 1.5 times the longest save so far and
 *     a step. To know what a save costs, one is made after a quarter of the time.
 *
 * strata_finish() then prints what happened as one line, and rank 0 alone returns 75, since a
 * launcher ends a job with a message for every process that returns something else than 0. Start
 * the program again with fit's `resume` to go on.
 */

/*
 * With check_numerics every step looks for NaN and infinity: in its data, the outputs of layers,
 * losses, gradients and updated weights. The first one is an error, STRATA_NOT_FINITE, on all ranks
 * at the end of the step, with the step, the rank, the layer, what it is, and its index in the
 * whole tensor. By then the step has been done: its weights are not to be used. Arrays of the data
 * count from 0: x, y, weights.
 */

/**
 * Starts using the library on a communicator, which is duplicated. Calls MPI_Init when nobody has,
 * and strata_finish() then ends MPI. Never NULL unless memory for the context itself is missing;
 * errors are sticky in it. Collective on comm.
 */
STRATA_EXPORT strata_context *strata_init(MPI_Comm comm, strata_options options);

/**
 * Frees the context with everything made in it; prints the first error, if any, as one line on rank
 * 0; sets *ctx to NULL and returns the process exit code, the same on every rank but for
 * STRATA_RESTART (strata_status_exit_code()). Collective on the mesh.
 */
STRATA_EXPORT int strata_finish(strata_context **ctx);

/**
 * Policy of the layers made from now on that name no dtype, as keras.config.set_dtype_policy():
 * "float32" (the default), or "mixed_bfloat16": then the operands of matrix products (Dense,
 * EinsumDense, the projections of attention) are rounded to bfloat16, their sums, and everything
 * else, stay float32: weights, activations, gradients, convolutions, optimizer. On processors with
 * AMX these products take a third of the time or less. The same on all ranks. Local.
 */
STRATA_EXPORT strata_status strata_set_dtype_policy(strata_context *ctx, const char *policy);

/** First error of the context, with its message ("" without one). Local. */
STRATA_EXPORT strata_status strata_error(const strata_context *ctx);
STRATA_EXPORT const char *strata_error_message(const strata_context *ctx);

/**
 * Sets an error from outside the library, as custom layers and programs do: one line that names the
 * object, the value and the remedy. The first error is kept. Returns the status. Local; all ranks
 * must do the same, or meet in strata_agree().
 */
STRATA_EXPORT strata_status strata_fail(strata_context *ctx, strata_status status,
                                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Forgets the error, to go on. All ranks must do the same. Local. */
STRATA_EXPORT void strata_error_clear(strata_context *ctx);

/** Brings errors that one rank alone saw to all ranks: every rank returns the same status.
 * Collective on the mesh. */
STRATA_EXPORT strata_status strata_agree(strata_context *ctx);

/** The nearest of `count` names to a mistyped one, for a hint in a message; NULL when none is near.
 * Local. */
STRATA_EXPORT const char *strata_nearest_name(const char *name, const char *const *names,
                                              int count);

/** Rank and size of the mesh's communicator. Local. */
STRATA_EXPORT int strata_rank(const strata_context *ctx);
STRATA_EXPORT int strata_size(const strata_context *ctx);

/** Bytes this rank holds in the library's counted memory now, at most so far, and how often the
 * system was asked for more. Local. */
typedef struct strata_memory_use {
    int64_t live_bytes, peak_bytes, system_bytes, system_allocations;
} strata_memory_use;
STRATA_EXPORT strata_memory_use strata_memory(const strata_context *ctx);

#ifdef __cplusplus
}
#endif
#endif
